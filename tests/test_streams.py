"""A command goes on when nobody reads what it prints, and says what a full disk kept it from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from fer_jax.runtime import streams
streams.prepare()
for _ in range(3):
    print("x" * 100_000)
    print("y" * 100_000, file=sys.stderr)
sys.stdout.flush()
open("done", "w").write("done")
"""


def run(folder, shell):
    """Runs the program by a shell, whose redirections are what is tested -> status and standard error."""
    (folder / "program.py").write_text(PROGRAM.format(root=str(ROOT)))
    command = ["bash", "-c", shell.replace("PROGRAM", f"{sys.executable} program.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stderr.replace("y" * 100_000 + "\n", "")


@pytest.mark.parametrize(
    "shell",
    [
        "PROGRAM | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}",
        "PROGRAM 2>&1 | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}",
        "PROGRAM >&-",
        "PROGRAM 2>&-",
        "PROGRAM <&- >&- 2>&-",
    ],
)
def test_nobody_reads(tmp_path, shell):
    assert run(tmp_path, shell) == (0, "")
    assert (tmp_path / "done").read_text() == "done"  # and nothing that was printed is in it


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(tmp_path):
    status, error = run(tmp_path, "PROGRAM >/dev/full")
    assert status == 1
    assert "No space left on device: 'standard output'" in error
    assert "Exception ignored" not in error
