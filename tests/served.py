"""The server of --mode=serve in a process of its own, on a port of this computer, and pictures to ask it."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from fer_jax.data.synthetic.faces import draw_faces

ROOT = Path(__file__).parents[1]
_PLACES = ((60, 90), (360, 180), (640, 60), (60, 400), (360, 480), (640, 340))


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()


def scene(count: int = 1, *, first: int = 0, side: int = 200) -> Image.Image:
    """``count`` drawn faces (at most 6), ``side`` pixels wide, before a plain wall of 900 x 720."""
    faces = draw_faces(first + count, seed=0).images[first:, :, :, 0]
    picture = Image.new("RGB", (900, 720), (205, 214, 222))
    for face, place in zip(faces, _PLACES, strict=False):
        large = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
        picture.paste(large.convert("RGB"), place)
    return picture


def start(folder: Path, *, port: int = 0) -> subprocess.Popen:
    """The process, in ``folder``, which it has for temporary files too; it need not be ready."""
    environment = os.environ | {
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(folder.parent / "cache")),
        # A hidden import that writes beside the code would not be seen in the folder.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, ROOT / "main.py", f"--config={ROOT}/configs/tiny.py", "--mode=serve"]
    return subprocess.Popen(
        [*command, f"--config.serve.port={port}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def url_of(process: subprocess.Popen) -> str:
    """Its address, once it is ready."""
    printed = []
    for line in process.stdout:
        printed.append(line)
        if found := re.search(r"serving on (http://\S+)", line):
            return found[1]
    raise AssertionError("".join(printed))


@contextlib.contextmanager
def server(folder: Path):
    """The address of a server that ends with the block."""
    with start(folder) as process:
        try:
            yield url_of(process)
        finally:
            process.terminate()
