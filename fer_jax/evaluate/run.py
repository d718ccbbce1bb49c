"""``--mode=eval``: score a run, the seeds of a run, or several runs side by side."""

from fer_jax.checkpoints.choose import choose, seed_folders
from fer_jax.evaluate.compare import compare_runs, compare_seeds
from fer_jax.evaluate.report import load_scored, score_and_report
from fer_jax.runtime.command import Command


def run(command: Command) -> None:
    """Score the runs in the workdirs of the command, and write ``eval/`` in each.

    Raises:
      UserError: no checkpoint, no such split, or bad input.
    """
    if len(command.workdirs) > 1:
        compare_runs(command)
    elif seed_folders(command.workdir):
        compare_seeds(command)
    else:
        classifier = choose(command)
        score_and_report(classifier, load_scored(classifier, set()), command.workdir)
