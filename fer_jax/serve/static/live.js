// The camera on the page: from its start to its stop, with an answer drawn over the video as often as one comes.

import * as camera from "./camera.js";
import * as frames from "./frames.js";
import { ask } from "./server.js";
import { likeliest, smooth } from "./smoothing.js";
import { follow, GAP, NO_TRACKS, unit } from "./tracks.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);

const SENT = { longest: 640, quality: 0.8 }; // all that finding faces needs
const HELD = { quality: 0.92 };
const PAUSE = { busy: 60, error: 1000 }; // milliseconds before the next try; about half as much is added by chance
const SECONDS_OF_RATE = 2;
const SECONDS_OF_STATUS = 1; // between two changes of the line that screen readers speak

let current = null; // the start that is wanted: the browser may ask for a while whether it is allowed

export const isOn = () => current !== null;

// Films until it is stopped, or the camera ends.
export async function start(deviceId = "") {
  free();
  const mine = (current = { request: new AbortController(), stream: null });
  view.clear();
  view.showError("");
  view.showStatus("Starting the camera …");
  showControls(true);
  view.showStage("video");
  try {
    const stream = await camera.open(deviceId);
    if (current !== mine) return camera.close(stream);
    mine.stream = stream;
    const gone = camera.unplugged(stream);
    await Promise.race([play(stream), gone]);
    if (current === mine) await Promise.race([film(mine), gone]);
  } catch (error) {
    if (current !== mine) return;
    stop();
    view.clear();
    view.showStage(null);
    view.showStatus("");
    view.showError(error.message);
  }
}

// Frees the camera. What is shown stays.
export function stop() {
  free();
  showControls(false);
  mirror();
}

function free() {
  current?.request.abort();
  if (current?.stream) camera.close(current.stream);
  current = null;
  $("video").srcObject = null;
}

export function clear(status = "") {
  stop();
  view.clear();
  view.showStatus(status);
  view.showStage(null);
}

// The picture of this moment, in full size.
export const hold = () => frames.grab($("video"), HELD);

async function play(stream) {
  const { id, isFront } = camera.about(stream);
  $("video").srcObject = stream;
  $("mirror").checked = isFront;
  mirror();
  showCameras(id);
  await $("video").play().catch(() => { throw new Error("The camera could not be started."); });
}

async function film(mine) {
  const video = $("video");
  let state = { tracks: NO_TRACKS, faces: new Map() };
  let [times, last, spoken] = [[], -1, -Infinity];
  while (current === mine) {
    const isNew = await frames.newFrame(video, last);
    if (current !== mine) return;
    if (!isNew) {
      view.showStatus("The camera sends no picture. Is it covered, asleep or used by another program?");
      continue;
    }
    last = video.currentTime;
    const time = performance.now() / 1000;
    const frame = await frames.grab(video, SENT);
    if (current !== mine || !frame) continue;
    const answer = await ask($("heat").checked ? "/frame?heat=1" : "/frame", frame, mine.request.signal);
    if (current !== mine || answer === null) return;
    if (answer.error) {
      if (!answer.busy || isSilent(times)) view.showStatus(answer.error);
      await frames.wait((answer.busy ? PAUSE.busy : PAUSE.error) * (1 + Math.random()));
      continue;
    }
    state = update(state, answer.faces, time);
    const shown = inSight(state);
    const now = performance.now() / 1000;
    times = [...times.filter((t) => now - t < SECONDS_OF_RATE), now];
    view.showLive(shown, answer, frames.rate(times));
    if (now - spoken > SECONDS_OF_STATUS) {
      view.showStatus(view.names(shown.map((item) => item.face)));
      spoken = now;
    }
  }
}

// The tracks, and for each number its face with smoothed probabilities, after one more answer.
function update({ tracks, faces }, found, time) {
  const boxes = found.map((face) => face.seen);
  const interval = Number.isFinite(tracks.time) ? time - tracks.time : null;
  const followed = follow(tracks, boxes, frames.looks(boxes).map(unit), time);
  const known = new Map();
  for (const { number } of followed.tracks.active) if (faces.has(number)) known.set(number, faces.get(number));
  followed.numbers.forEach((number, n) => {
    if (number === null) return;
    const smoothed = smooth(faces.get(number)?.smoothed ?? null, found[n].probabilities, time, { interval });
    const face = { ...found[n], probabilities: smoothed.mean, label: likeliest(smoothed.mean) };
    known.set(number, { smoothed, face });
  });
  return { tracks: followed.tracks, faces: known };
}

// The faces to show, by number: one that was missed a moment ago stays.
function inSight({ tracks: { active, time }, faces }) {
  return active
    .filter((track) => time - track.seen <= GAP)
    .sort((a, b) => a.number - b.number)
    .map(({ number, seen }) => ({ number, face: faces.get(number).face, seen: seen === time }));
}

const isSilent = (times) => !times.length || performance.now() / 1000 - times.at(-1) > SECONDS_OF_STATUS;

function showControls(on) {
  $("camera").textContent = on ? "Stop the camera" : "Use the camera";
  $("snap").hidden = $("mirror-switch").hidden = !on;
  $("rate").hidden = true; // until there is one
  if (!on) $("which-label").hidden = true;
}

// A choice where there are several.
async function showCameras(id) {
  const found = await camera.cameras().catch(() => []);
  const options = found.map(({ id: value, name }) => new Option(name, value, false, value === id));
  $("which").replaceChildren(...options);
  $("which-label").hidden = !isOn() || found.length < 2;
}

function mirror() {
  $("frame").classList.toggle("mirrored", isOn() && $("mirror").checked);
}

$("mirror").addEventListener("change", mirror);
$("which").addEventListener("change", (event) => start(event.target.value));
navigator.mediaDevices?.addEventListener?.("devicechange", () => {
  if (current?.stream) showCameras(camera.about(current.stream).id);
});
// Nobody is filmed by a page that is out of sight.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && isOn()) clear("The camera was stopped, since the page was out of sight.");
});
window.addEventListener("pagehide", () => isOn() && clear());
