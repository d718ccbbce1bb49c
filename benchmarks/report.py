"""Results as a table, a JSON file and a picture."""

import json
from pathlib import Path

_HEADER = ("benchmark", "network", "stack", "unit", "min", "median", "max", "ours / theirs")


def table(results: list[dict]) -> str:
    """Aligned text; the last column is how many times faster fer_jax is: median (min - max)."""
    rows = [_HEADER]
    for row in results:
        ratio = (
            f"{row['ratio']:.2f} ({row['ratio_min']:.2f} - {row['ratio_max']:.2f})" if "ratio" in row else ""
        )
        figures = [
            f"{row[name]:,.4g}" if row[name] < 1000 else f"{row[name]:,.0f}"
            for name in ("min", "median", "max")
        ]
        rows.append((row["benchmark"], row["network"], row["stack"], row["unit"], *figures, ratio))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < 4 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def write(folder: Path, results: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    _save_picture(folder / "results.png", results)


def _save_picture(path: Path, results: list[dict]) -> None:
    """A panel a benchmark and network: a bar a stack, from minimum to maximum at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    groups: dict[tuple[str, str], list[dict]] = {}
    for row in results:
        groups.setdefault((row["benchmark"], row["network"]), []).append(row)
    heights = [len(rows) + 1.2 for rows in groups.values()]
    figure, axes = plt.subplots(
        len(groups),
        1,
        figsize=(8, 0.36 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, ((benchmark, network), rows) in zip(axes[:, 0], groups.items(), strict=True):
        medians = [row["median"] for row in rows]
        spread = [
            [row["median"] - row["min"] for row in rows],
            [row["max"] - row["median"] for row in rows],
        ]
        colours = ["#0072B2" if row["stack"].startswith("fer_jax") else "#999999" for row in rows]
        axis.barh(range(len(rows)), medians, xerr=spread, color=colours, ecolor="#333333", capsize=2)
        axis.set_yticks(range(len(rows)), [row["stack"] for row in rows])
        axis.invert_yaxis()
        axis.set_title(f"{benchmark} {network} ({rows[0]['unit']})".replace("  ", " "), fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
