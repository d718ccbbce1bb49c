"""The web page's server under load: several clients at once, every answer compared with the one got alone.

python benchmarks/serve.py --config=configs/cnn.py
python benchmarks/serve.py --config=configs/cnn.py --camera [--clip=VIDEO]

Starts ``main.py --mode=serve`` on a free port of this computer, sends it pictures of drawn faces, prints
how long an answer takes, how many come in a second and how many were wrong, and stops it. Status 1 if any
was. Wants requirements-serve.txt.

With --camera the page films a clip instead, and it prints frames/s: see ``camera.py``.
"""

import argparse
import http.client
import io
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

import camera

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def pictures(count: int, size: tuple[int, int]) -> list[bytes]:
    """JPEG files of ``size`` with one to three drawn faces each, a third as wide as the picture is high."""
    from fer_jax.data.synthetic.faces import draw_faces

    side = size[1] // 3
    faces = iter(draw_faces(3 * count, seed=0).images[..., 0])
    files = []
    for number in range(count):
        picture = Image.new("RGB", size, (205, 214, 222))
        for place in range(1 + number % 3):
            large = Image.fromarray(next(faces)).resize((side, side), Image.Resampling.BICUBIC)
            picture.paste(large.convert("RGB"), (size[0] * (1 + 4 * place) // 14, side))
        buffer = io.BytesIO()
        picture.save(buffer, format="jpeg", quality=92)
        files.append(buffer.getvalue())
    return files


def ask(address: str, body: bytes) -> tuple[int, bytes, float]:
    """Status, answer and seconds of one request on a connection of its own."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("POST", "/analyse", body)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer, time.perf_counter() - start


def measure(
    address: str, bodies: list[bytes], *, clients: int, requests: int
) -> tuple[np.ndarray, float, int]:
    """Seconds of each request (N,), seconds in all, and how many answers differ from those got alone."""
    alone = [ask(address, body)[:2] for body in bodies]
    if any(status != 200 for status, _ in alone):
        raise SystemExit(f"error: no face found in {sum(s != 200 for s, _ in alone)} of the pictures")
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        got = list(pool.map(lambda n: ask(address, bodies[n % len(bodies)]), range(requests)))
    seconds = time.perf_counter() - start
    wrong = sum(got[n][:2] != alone[n % len(bodies)] for n in range(requests))
    return np.array([each[2] for each in got]), seconds, wrong


def report(name: str, latency: np.ndarray, seconds: float, wrong: int) -> str:
    p50, p95, p99 = 1000 * np.percentile(latency, (50, 95, 99))
    return (
        f"{name}: {len(latency)} requests, {len(latency) / seconds:.1f} per second, "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, {wrong} wrong"
    )


def start(config: str) -> tuple[subprocess.Popen, str]:
    """The server's process and its address, once it is ready."""
    command = [sys.executable, "main.py", f"--config={config}", "--mode=serve", "--config.serve.port=0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        print(line, end="")
        if found := re.search(r"serving on (http://\S+)", line):
            return process, urlsplit(found[1]).netloc
    raise SystemExit("error: the server did not start")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/cnn.py")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=960)
    parser.add_argument("--camera", action="store_true", help="measure the camera of the page")
    parser.add_argument("--clip", type=Path, help="a video for the camera; a drawn face if left out")
    parser.add_argument("--seconds", type=float, default=15, help="that the camera films")
    args = parser.parse_args()
    return measure_camera(args) if args.camera else measure_load(args)


def measure_camera(args: argparse.Namespace) -> int:
    """Print frames/s of the page's camera; status 1 if no face was found in the last frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mjpeg"
        clip = camera.to_clip(args.clip, path) if args.clip else camera.drawn_clip(path)
        process, address = start(args.config)
        try:
            times = camera.film(f"http://{address}", clip, seconds=args.seconds)
        finally:
            process.terminate()
            process.wait()
    print(camera.report(times))
    print(f"faces in the last frame: {times['faces']}")
    return 0 if times["faces"] else 1


def measure_load(args: argparse.Namespace) -> int:
    """Print latencies of photos; status 1 if an answer was wrong."""
    bodies = pictures(8, (args.width, args.height))
    process, address = start(args.config)
    failed = 0
    try:
        for clients in dict.fromkeys((1, args.clients)):
            latency, seconds, wrong = measure(address, bodies, clients=clients, requests=args.requests)
            failed += wrong
            print(report(f"clients: {clients}", latency, seconds, wrong))
    finally:
        process.terminate()
        process.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
