"""The camera of the web page in headless Chromium: frames a second, and where the time of a frame goes.

``serve.py --camera`` runs it. Chromium films a clip as if it were a camera. Wants Selenium, and Chromium with
its driver (Debian: chromium, chromium-driver).
"""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (640, 480)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

# Notes how long the page takes to draw a frame on its canvas and to encode it, in milliseconds.
_NOTE_TIMES = """
window.spent = { draw: [], encode: [] };
performance.setResourceTimingBufferSize(100000);
const drawImage = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...args) {
  const start = performance.now();
  drawImage.apply(this, args);
  spent.draw.push(performance.now() - start);
};
const toBlob = HTMLCanvasElement.prototype.toBlob;
HTMLCanvasElement.prototype.toBlob = function (done, ...args) {
  const start = performance.now();
  toBlob.call(this, (blob) => { spent.encode.push(performance.now() - start); done(blob); }, ...args);
};
"""
_FORGET = "performance.clearResourceTimings(); spent.draw = []; spent.encode = []; return performance.now()"
_TIMES = """
const asked = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/frame"));
return { now: performance.now(), request: asked.map((entry) => entry.duration), ...spent,
         bytes: asked.map((entry) => entry.encodedBodySize),
         faces: document.querySelectorAll(".card").length };
"""


def drawn_clip(path: Path, *, frames: int = 120) -> Path:
    """Write a clip of one drawn face, 220 pixels wide, that sways before a wall, as Motion JPEG."""
    from fer_jax.data.synthetic.faces import draw_faces

    face = Image.fromarray(draw_faces(1, seed=0).images[0, :, :, 0])
    face = face.resize((220, 220), Image.Resampling.BICUBIC).convert("RGB")
    with path.open("wb") as file:
        for angle in np.linspace(0, 2 * np.pi, frames, endpoint=False):
            picture = Image.new("RGB", SIZE, (205, 214, 222))
            picture.paste(face, (round(210 + 120 * np.sin(angle)), round(120 + 30 * np.sin(2 * angle))))
            file.write(_jpeg(picture))
    return path


def to_clip(video: Path, path: Path, *, most: int = 900) -> Path:
    """Write the first ``most`` frames of a video file as Motion JPEG, which Chromium can film."""
    from fer_jax.data.opencv import import_quiet_opencv

    cv2 = import_quiet_opencv()

    capture = cv2.VideoCapture(str(video))
    with path.open("wb") as file:
        for _ in range(most):
            there, frame = capture.read()
            if not there:
                break
            file.write(_jpeg(Image.fromarray(frame[:, :, ::-1])))
    if not path.stat().st_size:
        raise SystemExit(f"error: {video}: no video that OpenCV can read")
    return path


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="jpeg", quality=92)
    return buffer.getvalue()


def film(url: str, clip: Path, *, seconds: float, picture: Path | None = None) -> dict:
    """Open the page and let it film ``clip`` -> seconds, and a list in ms for each stage; see ``_TIMES``.

    The first answers are not counted. ``picture``: where to write a picture of the page as PNG.
    """
    import time

    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in (*FLAGS, f"--use-file-for-fake-video-capture={clip}"):
        options.add_argument(flag)
    with webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    ) as page:
        page.get(url)
        page.execute_script(_NOTE_TIMES)
        page.find_element("id", "camera").click()
        WebDriverWait(page, 60).until(lambda _: page.find_element("id", "rate").is_displayed())
        time.sleep(2)
        start = page.execute_script(_FORGET)
        time.sleep(seconds)
        times = page.execute_script(_TIMES)
        if picture is not None:
            picture.write_bytes(page.get_screenshot_as_png())
    return times | {"seconds": (times.pop("now") - start) / 1000}


def report(times: dict) -> str:
    """The frames a second, and the median milliseconds of each stage of a frame."""
    count, seconds = len(times["request"]), times["seconds"]
    if not count:
        return f"camera: no frame was answered in {seconds:.0f} s"
    each = {name: float(np.median(times[name])) for name in ("draw", "encode", "request") if times[name]}
    each["rest"] = 1000 * seconds / count - sum(each.values())
    stages = ", ".join(f"{name} {value:.1f} ms" for name, value in each.items())
    return f"camera: {count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s; of a frame: {stages}"
