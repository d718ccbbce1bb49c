// What the server is asked, and what it says.

export const LOST = "The server cannot be reached. Is it still running?";

// Sends the bytes of a picture -> the answer, {error, busy} in words, or null if the signal ended the request.
export async function ask(path, blob, signal) {
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const response = await fetch(path, { method: "POST", headers, body: blob, signal });
    // A proxy before the server refuses in its own words, for programs.
    if (!response.headers.get("content-type")?.includes("json")) {
      return { error: `The picture was refused (status ${response.status}).` };
    }
    const answer = await response.json();
    return response.ok ? answer : { ...answer, busy: response.status === 503 };
  } catch (error) {
    return error.name === "AbortError" ? null : { error: LOST };
  }
}
