"""(d) The chain of runs by which ``best`` was made, in a wider network, with the time that is left.

Each run teaches the next (docs/accuracy.md). A probe of two epochs tells how long an epoch takes, and how
long all else; then each run gets as many epochs as fit into its share of the time.
"""

import json
import time
from typing import Any, NamedTuple

from gpu_stages import Setting, main_arguments, read_rows, start_main, stop, wait_until

WIDE = {"cnn__widths": "(64,256,512)", "batch_size": "256"}


class Link(NamedTuple):
    """A run of the chain.

    Attributes:
      name: of its workdir.
      share: of the time that is left when it begins.
      most: epochs at most.
      teachers: earlier runs that it learns from.
      fields: more fields of its config.
    """

    name: str
    share: float
    most: int
    teachers: tuple[str, ...] = ()
    fields: dict[str, str] = {}  # noqa: RUF012


FULL_SIZE = {"learning_rate": "0.01", "warmup_epochs": "0.5"}
LINKS = (
    Link("first", 0.33, 60, fields={"views": "one"}),
    Link("second", 0.65, 60, ("first",), {"views": "one"}),
    Link("best", 1.0, 20, ("second", "first"), FULL_SIZE),
)
LEAST = 3
"""Epochs below which a run is not worth its compilation."""


class Pace(NamedTuple):
    """How fast runs are: seconds of an epoch without teachers, and of all else in a run."""

    epoch: float
    rest: float

    def epochs(self, link: Link, seconds: float) -> int:
        """The epochs of ``link`` that fit into so many seconds with a tenth to spare; 0 if too few do."""
        count = int((0.9 * seconds - self.rest) / (self.epoch * _cost(link)))
        return min(count, link.most) if count >= LEAST else 0


def _cost(link: Link) -> float:
    """An epoch's work, in epochs without teachers: each adds a forward pass, a third of a step."""
    return 1 + len(link.teachers) / 3


def pace_of(link: Link, rows: list[dict[str, Any]], seconds: float) -> Pace:
    """The pace of a run that took so many seconds from its command on; ``rows`` has two epochs or more."""
    epoch = (rows[-1]["seconds"] - rows[0]["seconds"]) / (len(rows) - 1)
    return Pace(max(epoch, 1e-3) / _cost(link), max(0.0, seconds - epoch * len(rows)))


def run(setting: Setting, tell) -> None:
    tell(runs=[], best=None)
    probe = Link("probe", 1.0, 2, fields={"views": "one"})
    pace = train(setting, probe, 2, setting.left(), told := [])
    tell(probe=told)
    done: list[dict[str, Any]] = []
    for link in LINKS:
        if pace is None:
            break
        seconds = link.share * setting.left()
        if not (epochs := min(pace.epochs(link, seconds), 3 if setting.small else link.most)):
            print(f"{link.name}: left out; {seconds:.0f} s are too few", flush=True)
            continue
        if missing := set(link.teachers) - {run["name"] for run in done}:
            print(f"{link.name}: left out, as {' and '.join(sorted(missing))} is not there", flush=True)
            continue
        pace = train(setting, link, epochs, seconds, done) or pace
        tell(runs=done, best=max(done, key=lambda run: run["val_accuracy"], default={"name": None})["name"])


def train(setting: Setting, link: Link, epochs: int, seconds: float, done: list) -> Pace | None:
    """Train one run, stop it after so many seconds, and add it to ``done`` if an epoch was completed.

    Returns its pace; None if it did not complete two epochs.
    """
    fields = WIDE | link.fields | {"epochs": str(epochs)}
    if link.teachers:
        fields["teacher"] = ",".join(str(setting.runs / name) for name in link.teachers)
    if link.name == "best":
        fields["initial_weights"] = str(setting.runs / link.teachers[0])
    started, workdir = time.time(), setting.runs / link.name
    process = start_main(*main_arguments(setting, link.name, "best", **fields))
    wait_until(lambda: False, process, seconds - min(20, seconds / 4))
    stop(process, max(1.0, started + seconds - time.time()))
    rows, taken = read_rows(workdir), time.time() - started
    if not rows:
        return None
    row = {"name": link.name, "epochs": epochs, "done": len(rows), "seconds": taken}
    done.append(row | {"val_accuracy": max(r["val_accuracy"] for r in rows), "views": _scored(workdir)})
    return pace_of(link, rows, taken) if len(rows) > 1 else None


def _scored(workdir) -> dict[str, float]:
    """The accuracy with the run's own views, if it was scored."""
    try:
        found = json.loads((workdir / "eval" / "metrics.json").read_text())
    except FileNotFoundError:
        return {}
    return {found["views"]: found["accuracy"]}
