"""The results of gpu.py as Markdown: a table, and on what it was measured."""

import argparse
from pathlib import Path
from typing import Any

PEER = "torch-bfloat16-graphs"
_NAMES = {
    "fer_jax": "fer_jax, float32 (TF32)",
    "fer_jax-bfloat16": "fer_jax, bfloat16",
    "torch-float32-graphs": "PyTorch, channels-last, CUDA graphs, TF32",
    "torch-bfloat16-graphs": "PyTorch, channels-last, CUDA graphs, bfloat16",
}


def command(options: argparse.Namespace) -> str:
    """The command to give beside the figures, with the data set's name alone."""
    csv = "" if options.csv is None else f" --csv={Path(options.csv).name}"
    small = " --small" if options.small else ""
    return f"python benchmarks/gpu.py{csv} --minutes={options.minutes:g}{small}"


def markdown(results: dict[str, Any]) -> str:
    """The report of the stages so far."""
    rows = [*_start(results), *_target(results), *_chain(results)]
    parts = []
    if results.get("small"):
        parts.append("**In small, with tiny networks: no figures for a README.**")
    if rows:
        parts.append(
            "\n".join(["| what | measured |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)])
        )
    if rates := results.get("rates", {}).get("rates"):
        parts.append(_rates(rates))
    if unfinished := [
        f"{name} ({stage['ended']})"
        for name, stage in results.items()
        if isinstance(stage, dict) and stage.get("ended", "done") != "done"
    ]:
        parts.append(f"Not finished: {', '.join(unfinished)}.")
    parts.append(_measured_on(results))
    return "\n\n".join(parts) + "\n"


def _start(results: dict[str, Any]) -> list[tuple[str, str]]:
    found = results.get("start", {})
    what = {"cold": "nothing compiled yet", "again": "again"}
    return [
        (f"`cnn`, from the command to the end of the first {part}, {text}", f"{found[name]:.1f} s")
        for turn, text in what.items()
        for part in ("step", "epoch")
        if (name := f"first_{part}_{turn}_s") in found
    ]


def _target(results: dict[str, Any]) -> list[tuple[str, str]]:
    found, rows = results.get("target", {}), []
    if "seconds_to_target" in found:
        training = f"{found['training_seconds_to_target']:.1f} s of them training"
        text = f"{found['seconds_to_target']:.1f} s, {training}"
        goal = f"{100 * found['target']:.0f} % on the validation faces"
        rows.append((f"`cnn`, compiled before, from the command to {goal} (epoch {found['epoch']})", text))
    if "val_accuracy" in found:
        length = "its end" if found["finished"] else f"epoch {found['epochs']}, where it was stopped"
        text = f"{found['val_accuracy']:.1%} with one view, {found['seconds']:.0f} s from the command"
        rows.append((f"`cnn` at {length}; {found['images_s']:,.0f} images/s", text))
    return rows


def _chain(results: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            f"chain of `best`, {run['name']}: {run['done']} of {run['epochs']} epochs",
            f"{run['val_accuracy']:.1%} with one view, {run['seconds']:.0f} s",
        )
        for run in results.get("chain", {}).get("runs", [])
    ]
    packed = results.get("pack", {})
    if "accuracy" in packed:
        views = ", ".join(f"{value:.1%} ({name})" for name, value in packed["accuracy"].items())
        rows.append((f"the best of them, packed: {packed['parameters']:,} parameters", views))
    return rows


def _rates(rates: list[dict[str, Any]]) -> str:
    """A table of rates, each with how many times the rate of PyTorch in bfloat16 it is."""
    peers = {(row["network"], row["batch"]): row.get("images_s") for row in rates if row["stack"] == PEER}
    rate = "images/s, median (min to max)"
    columns = ("train step", "network", "batch", rate, "times PyTorch in bfloat16", "set up in")
    lines = [f"| {' | '.join(columns)} |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rates:
        peer = peers.get((row["network"], row["batch"]))
        if "images_s" in row:
            rate = f"{row['images_s']:,.0f} ({row['min']:,.0f} to {row['max']:,.0f})"
        else:
            rate = f"left out: {row.get('left_out', 'no time')}".replace("|", "/")
        ratio = f"{row['images_s'] / peer:.2f}" if peer and "images_s" in row else ""
        ready = f"{row['ready_s']:.0f} s" if "ready_s" in row else ""
        cells = (_NAMES[row["stack"]], f"`{row['network']}`", row["batch"], rate, ratio, ready)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _measured_on(results: dict[str, Any]) -> str:
    machine = results.get("machine", {})
    parts = [machine.get("card", "no device"), f"{machine.get('cores', '?')} processor cores"]
    if driver := machine.get("driver"):
        parts.append(f"driver {driver}")
    names = {"jax": "jax", "flax": "flax", "torch": "PyTorch", "python": "Python"}
    parts += [f"{text} {machine[name]}" for name, text in names.items() if name in machine]
    parts += [f"cuDNN {value}" for name, value in machine.items() if name.startswith("nvidia-cudnn")]
    return f"*{', '.join(parts)}, {machine.get('date', '')}; `{results['command']}`.*"
