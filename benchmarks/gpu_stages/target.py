"""(c) Seconds from the command until ``cnn`` has 65 % on the validation faces, and what it ends at."""

import statistics
import time

from gpu_stages import Setting, main_arguments, read_rows, start_main, stop, wait_until

TARGET = 0.65
_SAVING = 15
"""Seconds that a stopped run gets."""


def run(setting: Setting, tell) -> None:
    target = 0.0 if setting.small else TARGET
    started, workdir = time.time(), setting.runs / "cnn"
    process = start_main(*main_arguments(setting, workdir.name, "cnn", augment="True"))

    def reached():
        return [row for row in read_rows(workdir) if row["val_accuracy"] >= target]

    if wait_until(reached, process, setting.left() - _SAVING):
        row = reached()[0]
        tell(target=target, seconds_to_target=time.time() - started, epoch=row["epoch"])
        tell(training_seconds_to_target=row["seconds"])
        wait_until(lambda: False, process, setting.left() - _SAVING)
    finished = process.poll() == 0
    stop(process, max(1, setting.left() - 2))
    if rows := read_rows(workdir):
        rates = [row["images_per_second"] for row in rows]
        tell(finished=finished, epochs=len(rows), seconds=time.time() - started)
        tell(val_accuracy=max(row["val_accuracy"] for row in rows), images_s=statistics.median(rates))
