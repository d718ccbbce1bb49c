// Frames of a video: when there is a new one, its JPEG file, how many a second.

const STALLED = 3000; // milliseconds without a new frame after which the camera counts as dark
const POLL = 250; // milliseconds

// Waits for a frame that is newer than at `last` (video.currentTime) -> false if none comes for a while.
export async function newFrame(video, last) {
  const end = performance.now() + STALLED;
  while (performance.now() < end) {
    if (video.videoWidth && video.currentTime !== last) return true;
    // Browsers call back rarely, or never, for a video that is scrolled out of sight.
    await Promise.race([calledBack(video), wait(POLL)]);
  }
  return false;
}

function calledBack(video) {
  if (video.requestVideoFrameCallback) return new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

const LOOK = 12; // pixels a side
const context = drawing(); // one for all frames
const canvas = context.canvas;
const small = drawing(LOOK);

function drawing(side = 1) {
  const options = { alpha: false, willReadFrequently: true };
  const made = Object.assign(document.createElement("canvas"), { width: side, height: side }).getContext("2d", options);
  made.imageSmoothingQuality = "high";
  return made;
}

// The picture that the video shows, as a JPEG file with `longest` pixels on the longer side at most; null without one.
export function grab(video, { longest = Infinity, quality }) {
  if (!video.videoWidth) return Promise.resolve(null);
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(scale * video.videoWidth);
  canvas.height = Math.round(scale * video.videoHeight);
  context.imageSmoothingQuality = "medium"; // a change of the size has reset it
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

// Grey levels of 12 x 12 pixels in each box of the frame that was grabbed last, to tell faces apart by.
export function looks(boxes) {
  return boxes.map(([x, y, w, h]) => {
    small.drawImage(canvas, x, y, w, h, 0, 0, LOOK, LOOK);
    const { data } = small.getImageData(0, 0, LOOK, LOOK);
    return Array.from({ length: LOOK * LOOK }, (_, n) => data[4 * n] + data[4 * n + 1] + data[4 * n + 2]);
  });
}

// Frames a second, of the times in seconds at which answers came, oldest first; 0 for fewer than two.
export function rate(times) {
  return times.length > 1 ? (times.length - 1) / (times.at(-1) - times[0]) : 0;
}

export const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
