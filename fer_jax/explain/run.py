"""``--mode=explain``: sheets that show what predictions hang on, and what the network looks for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints.save import Weights
from fer_jax.data import load_dataset
from fer_jax.data.faces import Faces
from fer_jax.data.load import load_unlabelled
from fer_jax.errors import UserError
from fer_jax.evaluate import run as run_evaluate
from fer_jax.explain import sheets as explain_sheets
from fer_jax.explain.ascent import first_kernels, make_ascent
from fer_jax.explain.saliency import (
    blur,
    grad_cam_layer,
    hide_unimportant,
    make_grad_cam,
    make_saliency,
    make_smooth_grad,
    stage_layer,
)
from fer_jax.labels import LABELS
from fer_jax.models import create_model
from fer_jax.models.cnn import CNN
from fer_jax.train import seeds as run_seeds

_MOST_FACES, _MOST_FILTERS, _MOST_MISTAKES = 14, 16, 28
_SHARE = 0.2
"""Of the pixels, that the masked face leaves."""


def explain(
    where: Path,
    given: Mapping[str, Any],
    overrides: list[str],
    source: str | None,
    output: str | None,
    *,
    shipped_name: str | None = None,
) -> None:
    """Writes ``saliency.png``, ``filters.png``, ``expressions.png`` and ``errors.png``.

    Args:
      where: the workdir whose best checkpoint is explained.
      given: the command's config.
      overrides: the fields that the command line set.
      source: faces: a CSV file, a picture or a folder; the first 14 are shown. None for two validation
        faces of each class.
      output: folder to write to; ``explain/`` in the workdir if None.
      shipped_name: see ``choose_weights``.

    Raises:
      UserError: no checkpoint, or bad input.
    """
    run_seeds.require_one(where)
    if "views" in overrides and given["views"] != "one":
        raise UserError("--mode=explain is of one view of a face; leave out config.views")
    weights, config, _ = run_evaluate.load_weights(where, given, overrides, shipped_name=shipped_name)
    faces = _load_faces(config, source)
    if faces.labels is None:
        # Mistakes cannot be told, so no other faces are needed.
        faces = faces.take(np.arange(min(_MOST_FACES, len(faces))))
    folder = Path(output) if output else where / "explain"
    model = create_model(config["model"], config[config["model"]])
    chances = run_evaluate.probabilities(weights, config, faces.images, views="one")

    def save(name: str, draw: Callable[..., None], *content: Any) -> None:
        draw(folder / name, *content)
        print(f"written: {folder / name}")

    rows = np.arange(min(_MOST_FACES, len(faces))) if source else two_of_each(faces.labels)
    shown = faces.take(rows)
    names = [describe(chances[row], None if faces.labels is None else faces.labels[row]) for row in rows]
    maps = _maps(model, weights, config, shown.images, chances[rows].argmax(1))
    save("saliency.png", explain_sheets.save_saliency, shown.images[..., 0], names, maps)
    kernels = first_kernels(weights.variables["params"])
    save("filters.png", explain_sheets.save_filters, kernels, _filters(model, weights, config))
    images, raised = _ascend(model, weights, config, None, len(LABELS))
    titles = [f"{label}\nlogit {value:.1f}" for label, value in zip(LABELS, raised, strict=True)]
    save("expressions.png", explain_sheets.save_expressions, images, titles)
    if faces.labels is None:
        print(f"left out: errors.png, since the faces of {source} have no labels")
        return
    wrong = confident_mistakes(chances, faces.labels, most=_MOST_MISTAKES)
    if len(wrong) == 0:
        print(f"left out: errors.png, since all {len(faces):,} faces are predicted right")
        return
    names = [describe(chances[row], faces.labels[row]) for row in wrong]
    save("errors.png", explain_sheets.save_errors, faces.images[wrong, ..., 0], names)


def two_of_each(labels: np.ndarray) -> np.ndarray:
    """Rows of the first two faces of each class, in the order of the classes."""
    return np.concatenate([np.flatnonzero(labels == label)[:2] for label in range(len(LABELS))])


def confident_mistakes(chances: np.ndarray, labels: np.ndarray, *, most: int) -> np.ndarray:
    """Rows of the faces predicted wrong, the most confident first, at most ``most``."""
    wrong = np.flatnonzero(chances.argmax(1) != labels)
    return wrong[np.argsort(-chances[wrong].max(1), kind="stable")][:most]


def describe(chances: np.ndarray, label: int | None) -> str:
    """``true: sad`` and, on a second line, ``predicted: happy 93 %``; that alone if the truth is unknown."""
    predicted = f"predicted: {LABELS[int(chances.argmax())]} {100 * chances.max():.0f} %"
    return predicted if label is None else f"true: {LABELS[label]}\n{predicted}"


def _load_faces(config: Mapping[str, Any], source: str | None) -> Faces:
    """Those of ``source``, or else the faces of ``config["split"]`` of the run's data set."""
    if source is not None:
        return load_unlabelled(source)
    try:
        splits = load_dataset(config)
    except UserError as error:
        raise UserError(f"{error}; name faces to explain by --input=PATH or --config.dataset=PATH") from error
    return run_evaluate.labelled_faces(config, splits)


def _maps(
    model: nn.Module, weights: Weights, config: Mapping[str, Any], images: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Title -> maps (N, 48, 48) for ``save_saliency``; says what the network does not allow."""
    of = {"model": model, "normalize_kind": config["normalize"]}
    arguments = (
        weights.variables,
        weights.normalization,
        jnp.asarray(images),
        jnp.asarray(labels, jnp.int32),
    )
    smooth = jax.jit(make_smooth_grad(**of))(jax.random.key(0), *arguments)
    smooth = blur(smooth, times=2)
    maps = {
        explain_sheets.GRADIENT: jax.jit(make_saliency(**of))(*arguments),
        explain_sheets.SMOOTH_GRAD: smooth,
    }
    if grad_cam_layer(model) is None:
        print(f"left out: Grad-CAM, since the model {config['model']!r} has no feature maps")
    else:
        maps[explain_sheets.GRAD_CAM] = jax.jit(make_grad_cam(**of))(*arguments)
    maps[explain_sheets.MASKED] = hide_unimportant(images, smooth, share=_SHARE)[..., 0]
    return {title: np.asarray(values) for title, values in maps.items()}


def _filters(model: nn.Module, weights: Weights, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Title -> images (K, 48, 48) that excite filters of a layer near the face, and of a deep one."""
    if isinstance(model, CNN):
        last, layers = len(model.widths) - 1, {}
        for stage in dict.fromkeys((0, last // 2, last)):
            side = model.stage_side(stage)
            layers[f"{side} x {side} pixels"] = stage_layer(model, stage), model.widths[stage]
    else:
        layers = {f"hidden layer {n + 1}": (f"Dense_{n}", size) for n, size in enumerate(model.hidden[:2])}
    return {
        title: _ascend(model, weights, config, layer, min(_MOST_FILTERS, count))[0]
        for title, (layer, count) in layers.items()
    }


def _ascend(
    model: nn.Module, weights: Weights, config: Mapping[str, Any], layer: str | None, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 48, 48) for the first channels of a layer (None: of the logits), and what they reach."""
    ascend = jax.jit(make_ascent(model=model, normalize_kind=config["normalize"], layer=layer))
    indices = jnp.arange(count, dtype=jnp.int32)
    images, _, after = ascend(jax.random.key(0), weights.variables, weights.normalization, indices)
    return np.asarray(images)[..., 0], np.asarray(after)
