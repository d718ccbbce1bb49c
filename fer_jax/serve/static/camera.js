// The camera: one is opened, chosen, and freed again; what goes wrong is put in words for the visitor.

const WIDTH = 1280; // wanted of the camera, for the eye and for a picture that is held; frames are sent smaller

// Opens a camera, that of the front or the one chosen -> its MediaStream. Throws an Error in words for the visitor.
export async function open(deviceId = "") {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      "The browser gives the camera only to pages over https and of this computer. Open the page at localhost, " +
      "on the computer that runs it, or put a proxy with https before it.");
  }
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "user" } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDTH }, ...which }, audio: false });
  } catch (error) {
    throw new Error(reason(error));
  }
}

export function close(stream) {
  for (const track of stream.getTracks()) track.stop();
}

// The cameras there are: {id, name}. Browsers tell names only to a page that was allowed to use one.
export async function cameras() {
  const devices = (await navigator.mediaDevices.enumerateDevices?.()) ?? [];
  const inputs = devices.filter((device) => device.kind === "videoinput" && device.deviceId);
  return inputs.map((device, n) => ({ id: device.deviceId, name: device.label || `Camera ${n + 1}` }));
}

// Which camera a stream comes from, and whether it looks at who looks at the screen.
export function about(stream) {
  const { deviceId, facingMode } = stream.getVideoTracks()[0].getSettings();
  return { id: deviceId, isFront: facingMode === "user" };
}

// A promise that fails when the camera ends by itself; close() is no such end.
export function unplugged(stream) {
  const gone = new Promise((_, reject) => {
    const line = "The camera has gone: it was unplugged, or is no longer allowed. Plug it in, then start it again.";
    for (const track of stream.getTracks()) track.addEventListener("ended", () => reject(new Error(line)));
  });
  gone.catch(() => {}); // where nobody waits for it any more
  return gone;
}

function reason(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was refused. Allow it in the browser's settings for this page, then try again.";
    case "NotFoundError":
      return "No camera was found. Plug one in, then try again.";
    case "OverconstrainedError":
      return "That camera is no longer there. Plug it in or choose another, then try again.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is busy: another program uses it. Close that program, then try again.";
    default:
      return "The camera could not be started.";
  }
}
