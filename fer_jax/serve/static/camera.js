// The camera: its picture on the stage, a frame of it about once a second.

const EVERY = 1000; // milliseconds between the starts of two frames, more if an answer takes longer

let stream = null;
let current = null; // the start that is wanted: the browser may ask for a while whether it is allowed

export const isOn = () => current !== null;

export async function start(video, onFrame) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The camera works on this computer (localhost) and over https alone.");
  }
  const mine = (current = {});
  const isOver = () => current !== mine; // stopped, or started anew
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    if (isOver()) return end(opened);
    stream = opened;
    video.srcObject = opened;
    await video.play();
  } catch (error) {
    if (isOver()) return;
    throw new Error(reason(error));
  }
  while (!isOver()) {
    const next = wait(EVERY);
    const frame = await grab(video);
    if (frame && !isOver()) await onFrame(frame);
    await next;
  }
}

export function stop(video) {
  if (stream) end(stream);
  stream = current = null;
  video.srcObject = null;
}

export function grab(video) {
  if (!video.videoWidth) return Promise.resolve(null);
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

const end = (opened) => opened.getTracks().forEach((track) => track.stop());

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function reason(error) {
  switch (error.name) {
    case "NotAllowedError": return "The browser was not allowed to use the camera.";
    case "NotFoundError": return "No camera was found.";
    case "NotReadableError": return "The camera is in use by another program.";
    default: return "The camera could not be started.";
  }
}
