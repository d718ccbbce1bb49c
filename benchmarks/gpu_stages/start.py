"""(a) Seconds from the command to the first step of ``cnn``: nothing compiled yet, and again."""

import time

from gpu_stages import Setting, kill, main_arguments, read_rows, start_main, wait_until

FIRST_STEP = __file__.replace("start.py", "first_step.py")


def run(setting: Setting, tell) -> None:
    for turn in ("cold", "again"):
        mark, workdir = setting.runs / f"{turn}.first-step", setting.runs / f"start-{turn}"
        started = time.time()
        arguments = main_arguments(setting, workdir.name, "cnn", augment="True")
        process = start_main(*arguments, through=(FIRST_STEP, str(mark)))
        if wait_until(mark.exists, process, setting.left()):
            tell(**{f"first_step_{turn}_s": time.time() - started})
        if wait_until(lambda workdir=workdir: read_rows(workdir), process, setting.left()):
            # With validation, whose program is compiled too.
            tell(**{f"first_epoch_{turn}_s": time.time() - started})
        kill(process)
