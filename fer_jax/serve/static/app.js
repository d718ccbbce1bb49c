// What a visitor does: drop, paste, choose, film; and what the server answers.

import * as camera from "./camera.js";
import * as view from "./view.js";

const MAX_BYTES = 25 * 2 ** 20; // the server's limit too; said here before anything is sent

const $ = (id) => document.getElementById(id);
let asking = null; // the request under way: a newer picture ends it

// Sends the bytes of a picture -> the answer, {error} in words, or null if a newer one came.
async function ask(blob) {
  asking?.abort();
  const mine = (asking = new AbortController());
  if (blob.size > MAX_BYTES) return { error: "The file is too large; at most 25 MB." };
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const response = await fetch("/analyse", { method: "POST", headers, body: blob, signal: mine.signal });
    // A proxy before the server refuses in its own words, for programs.
    if (!response.headers.get("content-type")?.includes("json")) {
      return { error: `The picture was refused (status ${response.status}).` };
    }
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") return null;
    return { error: "The server cannot be reached. Is it still running?" };
  } finally {
    if (asking === mine) asking = null;
  }
}

async function lookAt(blob) {
  stopCamera();
  showPhoto(blob);
  view.clear();
  view.showError("");
  view.showStatus("Looking …");
  $("stage").classList.add("busy");
  const answer = await ask(blob);
  if (answer === null) return;
  $("stage").classList.remove("busy");
  present(answer);
  if (answer.error) view.clear();
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
  photo.onerror = () => showStage(null);
  photo.src = URL.createObjectURL(blob);
  showStage("photo");
}

function showStage(which) {
  $("empty").hidden = which !== null;
  $("frame").hidden = which === null;
  $("photo").hidden = which !== "photo";
  $("video").hidden = which !== "video";
  $("stage").classList.toggle("filled", which !== null);
}

async function startCamera() {
  asking?.abort();
  $("stage").classList.remove("busy");
  view.clear();
  view.showError("");
  view.showStatus("Starting the camera …");
  $("camera").textContent = "Stop the camera";
  $("snap").hidden = false;
  showStage("video");
  try {
    await camera.start($("video"), async (frame) => {
      const answer = await ask(frame);
      if (answer === null || !camera.isOn()) return;
      if (answer.error) {
        view.clear();
        view.showStatus(answer.error);
      } else {
        view.show(answer);
        view.showStatus(view.summary(answer));
      }
    });
  } catch (error) {
    asking?.abort();
    stopCamera();
    view.clear();
    showStage(null);
    view.showStatus("");
    view.showError(error.message);
  }
}

function stopCamera() {
  camera.stop($("video"));
  $("camera").textContent = "Use the camera";
  $("snap").hidden = true;
}

const fileOf = (transfer) => [...(transfer?.files ?? [])][0];

$("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) lookAt(file);
  event.target.value = ""; // so that the same file can be chosen again
});

$("camera").addEventListener("click", () => {
  if (!camera.isOn()) return startCamera();
  asking?.abort();
  stopCamera();
  view.clear();
  view.showStatus("");
  showStage(null);
});

$("snap").addEventListener("click", async () => {
  const frame = await camera.grab($("video"));
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
  .catch(() => view.showError("The server cannot be reached. Is it still running?"));
