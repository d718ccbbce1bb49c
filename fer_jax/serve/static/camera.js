// The camera: its picture on the stage, a frame of it about once a second.

const EVERY = 1000; // milliseconds between the starts of two frames, more if an answer takes longer

let stream = null;
let current = null; // the start that is wanted: the browser may ask for a while whether it is allowed

export const isOn = () => current !== null;

// Films until it is stopped. Throws an Error, in words for the visitor, if the camera cannot be started or ends.
export async function start(video, onFrame) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The camera works on this computer (localhost) and over https alone.");
  }
  const mine = (current = {});
  const isOver = () => current !== mine; // stopped, or started anew
  let gone;
  try {
    const opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    if (isOver()) return end(opened);
    stream = opened;
    gone = unplugged(opened);
    video.srcObject = opened;
    await video.play();
  } catch (error) {
    if (isOver()) return;
    throw new Error(reason(error));
  }
  const film = async () => {
    while (!isOver()) {
      const next = wait(EVERY);
      const frame = await grab(video);
      if (frame && !isOver()) await onFrame(frame);
      await next;
    }
  };
  await Promise.race([film(), gone]);
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

// A promise that fails when the camera ends by itself; stop() is no such end.
function unplugged(opened) {
  const gone = new Promise((_, reject) => {
    const line = "The camera has gone: it was unplugged, or is no longer allowed. Plug it in, then start it again.";
    for (const track of opened.getTracks()) track.addEventListener("ended", () => reject(new Error(line)));
  });
  gone.catch(() => {}); // where nobody waits for it any more
  return gone;
}

const end = (opened) => opened.getTracks().forEach((track) => track.stop());

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function reason(error) {
  switch (error.name) {
    case "NotAllowedError": return "The camera was refused. Allow it in the browser's settings for this page, then try again.";
    case "NotFoundError": return "No camera was found. Plug one in, then try again.";
    case "NotReadableError": return "The camera is busy: another program uses it. Close that program, then try again.";
    default: return "The camera could not be started.";
  }
}
