// What a visitor does: drop, paste, choose, film; and what the server answers.

import * as live from "./live.js";
import { ask, LOST } from "./server.js";
import * as view from "./view.js";

const MAX_BYTES = 25 * 2 ** 20; // the server's limit too; said here before anything is sent

const $ = (id) => document.getElementById(id);
let asking = null; // the request under way: a newer picture, or the camera, ends it

function stopAsking() {
  asking?.abort();
  asking = null;
  $("stage").classList.remove("busy");
}

async function lookAt(blob) {
  live.stop();
  stopAsking();
  showPhoto(blob);
  view.clear();
  view.showError("");
  view.showStatus("Looking …");
  $("stage").classList.add("busy");
  const mine = (asking = new AbortController());
  const tooLarge = blob.size > MAX_BYTES && { error: "The file is too large; at most 25 MB." };
  const answer = tooLarge || (await ask("/analyse", blob, mine.signal));
  if (answer === null || asking !== mine) return;
  stopAsking();
  present(answer);
}

function present(answer) {
  view.showError(answer.error ?? "");
  view.showStatus(answer.error ? "" : view.summary(answer));
  if (!answer.error) view.show(answer);
}

function showPhoto(blob) {
  const photo = $("photo");
  URL.revokeObjectURL(photo.src);
  photo.classList.remove("small");
  photo.onload = () => photo.classList.toggle("small", photo.naturalWidth < 240);
  // What the server can read, as TIFF, need not be what the browser can show: the cards still tell.
  photo.onerror = () => view.showStage(null);
  photo.src = URL.createObjectURL(blob);
  view.showStage("photo");
}

const fileOf = (transfer) => [...(transfer?.files ?? [])][0];

$("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) lookAt(file);
  event.target.value = ""; // so that the same file can be chosen again
});

$("camera").addEventListener("click", () => {
  if (live.isOn()) return live.clear();
  stopAsking();
  live.start();
});

$("snap").addEventListener("click", async () => {
  const frame = await live.hold();
  if (frame) lookAt(frame);
});

$("heat").addEventListener("change", (event) => {
  document.body.classList.toggle("show-heat", event.target.checked);
  $("heat-note").hidden = !event.target.checked;
});

document.addEventListener("paste", (event) => {
  const file = fileOf(event.clipboardData);
  if (file) lookAt(file);
  else view.showError("There is no picture in the clipboard.");
});

// The whole page takes a drop: a near miss would make the browser leave it.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  const file = fileOf(event.dataTransfer);
  if (file) lookAt(file);
  else view.showError("That was no file. Save the picture first, or copy and paste it.");
});

fetch("/about")
  .then((response) => response.json())
  .then(view.showAbout)
  .catch(() => view.showError(LOST));
