"""The commands of README and docs: each is checked; in the nightly form also run, section by section."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands import check_main, check_script, run_main
from fer_jax.data.read_csv import write_homework_csv
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.labels import LABELS
from test_votes import FER_PLUS, ORDER

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/homework.md",
    "docs/configuration.md",
    "docs/data.md",
    "docs/photos.md",
    "docs/video.md",
    "docs/explain.md",
    "docs/export.md",
    "docs/accuracy.md",
    "docs/scaling.md",
    "docs/serve.md",
)
TINY = {
    "epochs": "1",
    "batch_size": "16",
    "cnn.widths": "(2,3)",
    "cnn.blocks": "(1,1)",
    "mlp.hidden": "(8,)",
    "patience": "0",
    "synthetic.num_train": "70",
    "synthetic.num_validation": "21",
    "synthetic.num_test": "14",
}
ELSEWHERE = {
    "--config.distributed": "tests/test_distributed.py",
    "benchmarks/scaling.py --processes": "tests/test_benchmarks.py",
    "--mode=serve": "tests/test_serve.py",
    "pack_weights": "tests/test_shipped.py",
    "benchmarks/run.py": "tests/test_benchmarks.py",
    "benchmarks/gpu.py": "tests/test_gpu.py",
    "benchmarks/pack_for_gpu.py": "tests/test_gpu.py",
    "benchmarks/int8.py": "tests/test_benchmarks.py",
    "benchmarks/accuracy.py --csv=fer2013.csv runs/": "runs of docs/accuracy.md; tests/test_benchmarks.py",
    "benchmarks/ablations.py --csv=fer2013.csv --only=plain,taught": "as the one with all rows",
    "configs/tiny.py --config.dataset=fer2013.csv --config.teacher=runs/": "as those of best beside them",
    "--config.seeds=3": "tests/test_seeds.py",
    "--config.dataset=own.csv": "tests/test_csv_layouts.py",
    "--config.dataset=data/": "tests/test_layouts.py",
    "runs/faces": "as the run that it is of",
    "--config.dataset=kaggle:": "tests/test_kaggle.py",
    "--input=camera:0": "tests/test_video.py",
    "docs/make_serve_picture.py": "needs a server beside it; run by hand",
}
SHORTER = {
    "benchmarks/ablations.py": ["--only=plain", "--epochs=1", "--output=ablations"],
    "benchmarks/latency.py": ["--only=tiny", "--seconds=0.1"],
    "benchmarks/serve.py": ["--requests=8"],
    "docs/make_pictures.py": ["--output=."],
    "docs/make_video_pictures.py": ["--output=."],
}
"""Flags that make a command of minutes one of seconds."""


def sections(pages=PAGES):
    """(page, heading) -> its commands and Python code, in order; a page of docs/ is one section."""
    found = {}
    for page in pages:
        heading, fence = page, None
        # A backslash at the end goes on in the next line.
        for line in (ROOT / page).read_text().replace("\\\n", " ").splitlines():
            if line.startswith("```"):
                fence = None if fence is not None else line.removeprefix("```")
                if fence == "python":
                    found.setdefault((page, heading), []).append("")
            elif fence == "python":
                found[page, heading][-1] += line + "\n"
            elif line.startswith("#") and fence is None:
                heading = line.lstrip("# ") if page == "README.md" else page
            else:
                lines = [line] if fence is not None else re.findall("`(python [^`]+)`", line)
                for command in lines:
                    if command.startswith("python "):
                        found.setdefault((page, heading), []).append(command)
    return found


def is_run(command):
    return not any(name in command for name in ELSEWHERE)


SECTIONS = {place: run for place, commands in sections().items() if (run := list(filter(is_run, commands)))}


def every_command(pages=PAGES):
    return sorted({command for commands in sections(pages).values() for command in commands})


def runs_untrained(command):
    """Whether it predicts with weights that come with fer_jax."""
    return "fer_jax.load" in command or ("--mode=predict" in command and "--workdir" not in command)


@pytest.mark.parametrize("command", every_command())
def test_command_is_right(command):
    """main.py's flags, config and mode, a script's flags, the syntax of Python code; nothing is run."""
    if not command.startswith("python "):
        compile(command, "page", "exec")
        return
    _, script, *rest = shlex.split(command)
    if script == "main.py":
        done = check_main(rest, ROOT)
        assert (done.returncode, done.stderr) == (0, "")
        mode = next((flag.removeprefix("--mode=") for flag in rest if flag.startswith("--mode=")), "train")
        assert done.stdout.splitlines()[-1] == f"checked: {mode}"
        return
    if script == "-m":
        module, *rest = rest
        script = module.replace(".", "/") + ".py"
    done = check_script(ROOT / script, rest)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wrong", ["--config.epoch=3", "--config.epochs=0", "--input=a.jpg"])
def test_a_wrong_command_is_found(wrong):
    done = check_main(["--config=configs/cnn.py", wrong], ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_a_wrong_flag_of_a_script_is_found():
    done = check_script(ROOT / "benchmarks" / "latency.py", ["--second=1", "--rounds=2"])
    assert done.returncode == 2
    assert "--rounds" in done.stderr


@pytest.fixture
def folder(tmp_path, trained_run):
    """What a reader of the commands would have: data sets, faces, photos, a run."""
    trained_run(tmp_path / "runs" / "mine", epochs=1)
    faces = draw_faces(105, seed=0)
    write_homework_csv(tmp_path / "train.csv", faces)
    for name in ("test.csv", "faces.csv"):
        write_homework_csv(tmp_path / name, draw_faces(14, seed=1).take(np.arange(14)))
    table = pd.read_csv(tmp_path / "train.csv").rename(columns={"label": "emotion", "feature": "pixels"})
    table["Usage"] = np.where(np.arange(105) < 70, "Training", "PublicTest")
    table.to_csv(tmp_path / "fer2013.csv", index=False)
    votes = pd.DataFrame(
        10 * np.eye(10, dtype=int)[[ORDER.index(LABELS[n]) for n in faces.labels]], columns=FER_PLUS
    )
    votes.assign(Usage=table["Usage"]).to_csv(tmp_path / "fer2013new.csv", index=False)
    (tmp_path / "album").mkdir()
    photo = Image.new("RGB", (400, 300), (150, 150, 140))
    photo.paste(Image.fromarray(faces.images[0, ..., 0]).resize((200, 200)), (100, 50))
    for name in ("photo.jpg", "face.png", "album/1.jpg", "album/2.jpg"):
        photo.save(tmp_path / name)
    from clips import write_clip

    write_clip(tmp_path / "video.mp4", [photo] * 5, codec="mp4v")
    return tmp_path


@pytest.mark.parametrize("command", [c for c in every_command(["README.md"]) if runs_untrained(c)])
def test_readme_predicts_without_training(command, folder):
    """With the smallest network."""
    command = command.replace("configs/best", "configs/tiny").replace("configs/cnn", "configs/tiny")
    if command.startswith("python "):
        done = run_main(arguments(command)[2:], folder)
        assert (folder / "out.csv").exists() or (folder / "submission.csv").exists()
    else:
        done = run(arguments(command.replace('"cnn"', '"tiny"')), folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.nightly
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section[1])
def test_commands_of_a_section(section, folder):
    for command in SECTIONS[section]:
        done = run(arguments(command), folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def run(command, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder.parent / "cache")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def arguments(command):
    """The command on tiny data: what trains becomes a small network and one epoch."""
    if not command.startswith("python "):
        preamble = "import numpy as np\nimages = np.zeros((2, 48, 48, 1), np.uint8)\n"
        return [sys.executable, "-c", preamble + command]
    _, script, *rest = shlex.split(command)
    if script == "main.py":
        given = dict(flag.split("=", 1) if "=" in flag else (flag, "true") for flag in rest)
        config = given.pop("--config", "configs/cnn.py")
        if given.get("--mode", "train") == "train":
            given |= {f"--config.{name}": value for name, value in TINY.items()}
        if given.get("--mode") == "explain":
            # Several programs, each of which takes long to compile for a large network.
            config = config.replace("best", "tiny")
        rest = [f"--config={ROOT / config}", *(f"{name}={value}" for name, value in given.items())]
    if script in ("benchmarks/accuracy.py", "benchmarks/teachers.py"):
        # For the same reason.
        rest = [word for word in rest if not {"best", "cnn"} & set(word.split(","))]
    return [sys.executable, str(ROOT / script), *rest, *SHORTER.get(script, [])]


def test_what_is_left_out_is_there():
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    assert all(name in text for name in ELSEWHERE), [name for name in ELSEWHERE if name not in text]
