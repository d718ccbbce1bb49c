"""Whatever the user gets wrong: one line says what and where, and nothing is left behind."""

import gzip
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from commands import run_main
from configs import mlp
from fer_jax.errors import UserError
from fer_jax.runtime import command_line
from fer_jax.runtime.command import plain
from tiny_run import run, run_training, tiny_config

ROOT = Path(__file__).parents[1]
FACE = " ".join(["7"] * 2304)


def csv(path, *rows, header="label,feature"):
    """A file whose line 2 is a good row, followed by ``rows``."""
    path.write_text("\n".join([header, f"0,{FACE}", *rows]) + "\n")
    return path


def with_pixel(value):
    return f"1,{value} {FACE[2:]}"


def missing_file(folder):
    return folder / "missing.csv"


def missing_column(folder):
    return csv(folder / "a.csv", header="label,drawing")


def too_few_pixels(folder):
    return csv(folder / "a.csv", f"1,{FACE[2:]}")


def pixel_256(folder):
    return csv(folder / "a.csv", f"1,{FACE}", with_pixel(256))


def pixel_below_0(folder):
    return csv(folder / "a.csv", with_pixel(-1))


def pixel_abc(folder):
    return csv(folder / "a.csv", with_pixel("abc"))


def label_8(folder):
    return csv(folder / "a.csv", f"8,{FACE}")


def no_label(folder):
    return csv(folder / "a.csv", f",{FACE}")


def unlabelled(folder):
    return csv(folder / "a.csv", header="id,feature")


def empty_file(folder):
    (folder / "a.csv").touch()
    return folder / "a.csv"


def not_text(folder):
    (folder / "a.csv").write_bytes(bytes(range(256)))
    return folder / "a.csv"


def truncated_gz(folder):
    whole = gzip.compress(csv(folder / "a.csv", *[f"1,{FACE}"] * 40).read_bytes())
    (folder / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    return folder / "a.csv.gz"


def empty_folder(folder):
    (folder / "faces").mkdir()
    return folder / "faces"


def pictures(folder, *classes):
    for name in classes:
        (folder / "faces" / name).mkdir(parents=True)
        for number in range(3):
            grey = np.full((48, 48), number, np.uint8)
            Image.fromarray(grey).save(folder / "faces" / name / f"{number}.png")
    return folder / "faces"


def unexplained_numbers(folder):
    return pictures(folder, "0", "1", "2")


def broken_picture(folder):
    root = pictures(folder, "angry", "happy")
    (root / "happy" / "broken.png").write_bytes((root / "happy" / "0.png").read_bytes()[:60])
    return root


BAD_DATA = [
    (missing_file, "missing.csv: "),
    (missing_column, "a.csv, line 1: "),
    (too_few_pixels, "a.csv, line 3: 2303 pixels"),
    (pixel_256, "a.csv, line 4: pixel 1 is '256'"),
    (pixel_below_0, "a.csv, line 3: pixel 1 is '-1'"),
    (pixel_abc, "a.csv, line 3: pixel 1 is 'abc'"),
    (label_8, "a.csv, line 3: the label is '8'"),
    (no_label, "a.csv, line 3: the label is ''"),
    (unlabelled, "a.csv, line 1: "),
    (empty_file, "a.csv: the file is empty"),
    (not_text, "a.csv: not a text file"),
    (truncated_gz, "a.csv.gz"),
    (empty_folder, "faces"),
    (unexplained_numbers, "classes 0, 1, 2 are numbers; say what they mean: --config.classes="),
    (broken_picture, "broken.png: "),
]


@pytest.mark.parametrize(("make", "named"), BAD_DATA, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_data(tmp_path, make, named):
    config = mlp.get_config()
    config.dataset = str(make(tmp_path))
    with pytest.raises(UserError) as caught:
        run_training(config, tmp_path / "run")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "resnet"),
        ("normalize", "minmax"),
        ("balance", "equal"),
        ("views", "two"),
        ("split", "training"),
        ("batch_size", 0),
        ("epochs", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("warmup_epochs", math.inf),
    ],
)
def test_bad_setting(tmp_path, field, value):
    """Refused before anything is trained or written."""
    config = mlp.get_config()
    config.update({"synthetic": {"num_train": 14, "num_validation": 7, "num_test": 7}, "epochs": 1})
    config[field] = value
    with pytest.raises(UserError) as caught:
        run_training(config, tmp_path / "run")
    assert field in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_predict_and_eval_without_checkpoint(tmp_path):
    given = plain(mlp.get_config())
    where, output = tmp_path / "run", tmp_path / "out.csv"
    with pytest.raises(UserError, match=f"^{where}: no checkpoint"):
        run("predict", given, where, input="faces.csv", output=str(output))
    with pytest.raises(UserError, match=f"^{where}: no checkpoint"):
        run("eval", given, where)
    assert not list(tmp_path.iterdir())


def test_predict_does_not_replace_what_it_reads(tmp_path):
    source, album = label_8(tmp_path), tmp_path / "album"
    album.mkdir()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(album / "a.png")
    before = source.read_bytes(), (album / "a.png").read_bytes()
    for read, written in ((source, source), (album, album / "a.png"), (album / "a.png", album / "a.png")):
        with pytest.raises(UserError, match="give it another name"):
            run("predict", mlp.get_config(), tmp_path / "run", input=str(read), output=str(written))
    assert (source.read_bytes(), (album / "a.png").read_bytes()) == before


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--config.dataset=a.csv"], "a.csv, line 3: the label is '8'"),
        (["--config.epoch=3"], 'Did you mean "epochs" instead of "epoch"?'),
        (["--config.vidoe.x=1"], 'no config field \'vidoe.x\': Did you mean "video" instead of "vidoe.x"?'),
        (["--config.epochs.x=1"], 'Did you mean "epochs" instead of "epochs.x"?'),
        (["--epochs=3"], "a field of the config is set by --config.epochs=VALUE"),
        (["--wrkdir=x"], "no flag --wrkdir; there are --config, --input, --mode, "),
        (["--flagfile=none.txt"], "--flagfile: Unable to open flagfile"),
        (["--flagfile=."], "Is a directory"),
        ([f"--config={ROOT}/configs/cnn.py:x"], "get_config() takes 0 positional arguments but 1 was given"),
        (
            ["--config=bset"],
            "--config=bset: no such file; expected a config file, or one of "
            "best, cnn, cnn_muon, mlp, plus, tiny",
        ),
        (["--config.epochs=1000000000000"], "config.epochs is 1000000000000; expected 1 to 1,000,000"),
        (["--config.mlp.hidden=(10000000,)"], "expected whole numbers from 1 to 1,000,000"),
        (["--config.epochs=abc"], "--config.epochs=abc"),
        (["--mode=fly"], "--mode=fly"),
        (["train"], "'train' is not a flag"),
        (["--mode=eval"], "runs/mlp-synthetic: no checkpoint"),
        (["--mode=predict", "--output=b.csv"], "--input"),
        (["--config=missing.py"], "missing.py"),
        (["--config=missing.py", "--config.epochs=3"], "missing.py"),
        ([f"--config={ROOT}/README.md"], "expected a file like those in configs/"),
        ([f"--config={ROOT}/fer_jax/errors.py"], "expected a file like those in configs/"),
        (["--config.mlp.hidden[9]=3"], "index"),
        (["--input=photo.jpg", "--output=out.csv"], "--input is for --mode=predict and --mode=explain"),
        (["--mode=eval", "--probabilities"], "--probabilities is for --mode=predict;"),
        (["--mode=eval", "--workdir=."], ".: no checkpoint"),
    ],
)
def test_command_line(tmp_path, args, named):
    """What the user of main.py sees."""
    label_8(tmp_path)
    before = sorted(tmp_path.iterdir())
    other = any(argument.startswith("--config=") for argument in args)
    config = [] if other else ["--config", f"{ROOT}/configs/mlp.py"]
    done = run_main([*config, *args], tmp_path, XDG_CACHE_HOME=str(tmp_path.with_name("cache")))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\\n" not in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_help_and_flags_from_a_file(tmp_path):
    """In any order; the name of a config instead of its path, from another folder."""
    done = run_main(["--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python {ROOT}/main.py --config=cnn " in done.stdout
    assert "--mode: <train|eval|predict|explain|export|serve>" in done.stdout
    (tmp_path / "flags.txt").write_text("--config.epochs=0\n--config=tiny\n")
    done = run_main(["--flagfile=flags.txt"], tmp_path)
    named = f"config: {ROOT}/configs/tiny.py\n"
    assert done.stderr == f"{named}error: config.epochs is 0; expected 1 to 1,000,000\n"


def test_a_network_too_large_for_the_memory(tmp_path):
    """Refused before the kernel ends the process."""
    config = tiny_config(**{"mlp.hidden": (1_000_000, 1_000_000)})
    with pytest.raises(
        UserError, match=r"^the network has 1,002,.* parameters; .*; make config.mlp.hidden smaller$"
    ):
        run_training(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_faults_of_ours_are_one_line(tmp_path, monkeypatch):
    """The traceback is in a file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cases = {
        MemoryError("Unable to allocate 3.5 TiB for an array"): "out of memory (3.5 TiB in one piece); make ",
        RuntimeError(
            "RESOURCE_EXHAUSTED: Out of memory allocating 92160000000 bytes."
        ): "(92.2 GB in one piece)",
        KeyError("x"): "KeyError: 'x'; this is a fault of fer_jax, please report it with ",
    }
    for error, line in cases.items():

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(command_line.app, "run", fail)
        monkeypatch.setattr(command_line, "CONFIG", SimpleNamespace(value=mlp.get_config()))
        with pytest.raises(SystemExit) as caught:
            command_line.run("fer-jax")
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)
    (report,) = tmp_path.glob("fer_jax-error-*.txt")
    assert "Traceback" in report.read_text()
