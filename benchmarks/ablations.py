"""Trains one recipe with one ingredient changed at a time, all for the same number of epochs, and compares.

python benchmarks/ablations.py --csv=fer2013.csv [--only=plain,erasing] [--epochs=12] [--output=DIR]

Each row is a run of main.py in DIR/N-epochs/NAME: stopped, the same command goes on. Prints, for each, the
flags that make it, and the table of benchmarks/accuracy.py; draws in DIR/N-epochs/ablations.png what each row
gains on the first.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import accuracy
from fer_jax.data.load import load_splits
from fer_jax.data.split import rows_shared
from fer_jax.errors import UserError
from fer_jax.runtime.figures import BLUE, save_figure, subplots

ROOT = Path(__file__).parents[1]
BASE = (
    "--config=configs/cnn_muon.py",
    "--config.augment=True",
    # A smaller network, of which all rows are trained in two hours.
    "--config.cnn.widths=(32,64,128,256)",
    "--config.cnn.blocks=(1,1,2,1)",
    "--config.cnn.activation=relu",
    "--config.train_sides=(32,32,48,48)",
)
ROWS = {
    "plain": (),
    "no-augmentation": ("--config.augment=False",),
    "adam": ("--config.optimizer=adam", "--config.learning_rate=0.003"),
    "sgd": ("--config.optimizer=sgd", "--config.learning_rate=0.1", "--config.weight_decay=5e-4"),
    "one-cycle": ("--config.schedule=one_cycle",),
    "full-size": ("--config.train_sides=(48,)",),
    "erasing": ("--config.augmentation.erasing_probability=0.25",),
    "mixup": ("--config.mixup_alpha=0.2",),
    "cutmix": ("--config.cutmix_alpha=0.5",),
    "no-smoothing": ("--config.label_smoothing=0.0",),
    "no-averaging": ("--config.ema_decay=0.0",),
    "no-dropout": ("--config.cnn.dropout=0.0",),
    "balance-weights": ("--config.balance=weights",),
    "balance-sampling": ("--config.balance=sampling",),
    "samplewise": ("--config.normalize=samplewise",),
    "silu": ("--config.cnn.activation=silu",),
    "taught": ("--config.teacher=best",),
}


def flags(name: str, epochs: int) -> list[str]:
    """The command line of a row, without data set and workdir; a later flag replaces an earlier one."""
    chosen = dict(flag.split("=", 1) for flag in (*BASE, f"--config.epochs={epochs}", *ROWS[name]))
    return [f"{key}={value}" for key, value in chosen.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas between")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/ablations"),
        help="folder of the runs; a folder in it for each number of epochs",
    )
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(ROWS):
        parser.error(f"unknown row {unknown.pop()!r}; choose from {','.join(ROWS)}")
    # Begun again with more epochs, a finished run would go on, by the rates of neither.
    where = options.output / f"{options.epochs}-epochs"
    for name in names:
        train(name, options.epochs, options.csv, where / name)
    for name in names:
        print(f"{name}: {' '.join(flags(name, options.epochs))}")
    compare([where / name for name in names], options.csv, where / "ablations.png")


def train(name: str, epochs: int, csv: str, where: Path) -> None:
    """One run, by main.py in a process of its own; raises UserError if it fails."""
    print(f"\n== {name}", flush=True)
    given = [f"--config.dataset={Path(csv).resolve()}", f"--workdir={where.resolve()}"]
    done = subprocess.run([sys.executable, "main.py", *flags(name, epochs), *given], cwd=ROOT)
    if done.returncode:
        raise UserError(f"{name}: ended with status {done.returncode}")


def compare(runs: list[Path], csv: str, picture: Path) -> None:
    """Prints the table of the trained ``runs``, and draws what each gains on the first."""
    splits = load_splits(csv, validation_fraction=0.1, seed=0)
    apart = ~rows_shared(splits.validation.images, splits.train.images)
    scores = accuracy.score_all([str(run) for run in runs], splits.validation, apart)
    scores = [score._replace(name=Path(score.name).name) for score in scores]
    print(accuracy.table(scores))
    if len(runs) > 1:
        save_picture(picture, [score for score in scores if score.views == "flip"])
        print(f"written: {picture}")


def gain(first: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How much more often ``other`` is right, and half of the 95 % interval: points.

    ``first``, ``other``: bool (N,), which examples each got right. The interval is the normal one of a mean
    of paired differences.
    """
    differences = other.astype(float) - first
    return 100 * differences.mean(), 100 * 1.96 * differences.std() / len(differences) ** 0.5


def save_picture(path: Path, scores: list[accuracy.Score]) -> None:
    """The gain of each over the first, best above."""
    rows = [(other.name, *gain(scores[0].right, other.right)) for other in scores[1:]]
    names, gains, halves = zip(*sorted(rows, key=lambda row: row[1]), strict=True)
    figure, axis = subplots(figsize=(7, 1.2 + 0.3 * len(names)))
    axis.axvline(0, color="#666666", linewidth=1)
    axis.errorbar(gains, range(len(names)), xerr=halves, fmt="o", color=BLUE, capsize=3)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel(
        f"accuracy against {scores[0].name}'s {scores[0].right.mean():.1%}, points, "
        "with 95 % interval of these faces"
    )
    axis.grid(axis="x", alpha=0.3)
    save_figure(figure, path)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
