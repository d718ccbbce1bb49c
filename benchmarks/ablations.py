"""Trains one recipe with one ingredient changed at a time, all for the same number of epochs, and compares.

python benchmarks/ablations.py --csv=fer2013.csv [--only=plain,no-erasing] [--epochs=12] [--output=DIR]

Each row is a run of main.py in DIR/NAME: stopped, the same command goes on. Prints, for each, the flags that
make it, and the table of benchmarks/accuracy.py.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import accuracy
from fer_jax.data.load import load_splits
from fer_jax.data.split import rows_shared
from fer_jax.errors import UserError

ROOT = Path(__file__).parents[1]
BASE = (
    "--config=configs/cnn.py",
    "--config.augment=True",
    "--config.patience=0",
    "--config.optimizer=muon",
    "--config.learning_rate=0.03",
    "--config.momentum=0.95",
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
    "taught": ("--config.teacher=best",),
}


def flags(name: str, epochs: int) -> list[str]:
    """The command line of a row, but for data set and workdir; a later flag takes the place of an earlier."""
    chosen = dict(flag.split("=", 1) for flag in (*BASE, f"--config.epochs={epochs}", *ROWS[name]))
    return [f"{key}={value}" for key, value in chosen.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", required=True, help="the data set: a CSV file or folder with labels")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas between")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, default=Path("runs/ablations"), help="folder of the runs")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(ROWS):
        parser.error(f"unknown row {unknown.pop()!r}; choose from {','.join(ROWS)}")
    for name in names:
        train(name, options.epochs, options.csv, options.output / name)
    splits = load_splits(options.csv, validation_fraction=0.1, seed=0)
    apart = ~rows_shared(splits.validation.images, splits.train.images)
    for name in names:
        print(f"{name}: {' '.join(flags(name, options.epochs))}")
    print(accuracy.compare([str(options.output / name) for name in names], splits.validation, apart))


def train(name: str, epochs: int, csv: str, where: Path) -> None:
    """One run, by main.py in a process of its own; raises UserError if it fails."""
    print(f"\n== {name}", flush=True)
    given = [f"--config.dataset={Path(csv).resolve()}", f"--workdir={where.resolve()}"]
    done = subprocess.run([sys.executable, "main.py", *flags(name, epochs), *given], cwd=ROOT)
    if done.returncode:
        raise UserError(f"{name}: ended with status {done.returncode}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
