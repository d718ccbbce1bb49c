"""``--mode=explain``: draw sheets that show what predictions depend on and what the network looks for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.checkpoints.choose import choose, require_one_run
from fer_jax.classifier import Classifier
from fer_jax.data.class_names import relabel
from fer_jax.data.contrast import describe_flat, has_contrast, refuse_flat
from fer_jax.data.faces import Faces
from fer_jax.data.inputs import load_unlabelled
from fer_jax.data.load import labelled_faces, load_dataset
from fer_jax.errors import UserError
from fer_jax.explain import saliency, sheets
from fer_jax.explain.ascent import first_kernels, make_ascent
from fer_jax.models.cnn import CNN
from fer_jax.runtime.command import Command
from fer_jax.runtime.words import number_of

_MOST_FACES, _MOST_FILTERS, _MOST_MISTAKES, _MOST_CLASSES = 14, 16, 28, 14
_SHARE = 0.2
"""Share of the pixels that the masked face keeps."""


def run(command: Command) -> None:
    """Write ``saliency.png``, ``filters.png``, ``expressions.png`` and ``errors.png``.

    The faces are the first 14 of the input, or two validation faces of each class, at most 14. The
    folder is the output, or ``explain/`` in the workdir.

    Raises:
      UserError: no checkpoint, or bad input.
    """
    require_one_run(command.workdir)
    if "views" in command.overrides and command.config["views"] != "one":
        raise UserError("--mode=explain looks at one view of a face; leave out config.views")
    classifier = choose(command).on_device()
    finding = {"detector": command.config["detector"], "whole": command.config["faces"] == "whole"}
    faces = _load_faces(classifier, command.input, **finding)
    folder = Path(command.output) if command.output else command.workdir / "explain"
    print(f"predicting {number_of(len(faces), 'face')} ...", flush=True)
    probabilities = classifier.predict(faces.images, views="one")
    rows = (
        np.arange(min(_MOST_FACES, len(faces))) if command.input else two_of_each(faces.labels)[:_MOST_FACES]
    )
    labels = classifier.labels
    shown, captions = faces.images[rows], _captions(probabilities, faces, rows, labels)
    _announce("saliency.png", f"what the predictions for {number_of(len(rows), 'face')} depend on")
    maps = _maps(classifier, shown, probabilities[rows].argmax(1))
    _save(folder / "saliency.png", sheets.save_saliency, shown[..., 0], captions, maps)
    _announce("filters.png", f"what excites up to {_MOST_FILTERS} filters of each of a few layers")
    kernels = first_kernels(classifier.weights.variables["params"])
    _save(folder / "filters.png", sheets.save_filters, kernels, _filters(classifier))
    _announce("expressions.png", f"what excites {_classes(labels)}")
    images, logits = _ascend(classifier, None, min(_MOST_CLASSES, len(labels)))
    titles = [f"{label}\nlogit {logit:.1f}" for label, logit in zip(labels, logits, strict=False)]
    _save(folder / "expressions.png", sheets.save_expressions, images, titles)
    if faces.labels is None:
        print(f"left out: errors.png, since the faces of {command.input} have no labels")
        return
    wrong = confident_mistakes(probabilities, faces.labels, most=_MOST_MISTAKES)
    if len(wrong) == 0:
        print(f"left out: errors.png, since there is no mistake in {number_of(len(faces), 'face')}")
        return
    _announce("errors.png", f"{number_of(len(wrong), 'mistake')}, the most confident first")
    captions = _captions(probabilities, faces, wrong, labels)
    _save(folder / "errors.png", sheets.save_errors, faces.images[wrong, ..., 0], captions)


def _classes(labels: Sequence[str]) -> str:
    """Say for how many classes ``expressions.png`` is made."""
    count = len(labels)
    return f"each of the {count} classes" if count <= _MOST_CLASSES else f"{_MOST_CLASSES} of {count} classes"


def two_of_each(labels: np.ndarray) -> np.ndarray:
    """Rows of the first two faces of each class, in the order of the classes."""
    return np.concatenate([np.flatnonzero(labels == label)[:2] for label in np.unique(labels)])


def confident_mistakes(probabilities: np.ndarray, labels: np.ndarray, *, most: int) -> np.ndarray:
    """Rows of the faces predicted wrong, the most confident first, at most ``most``."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:most]


def _captions(probabilities: np.ndarray, faces: Faces, rows: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Make ``predicted: happy 93 %`` for each face at ``rows``, below ``true: sad`` if it has a label."""
    captions = []
    for row in rows:
        likeliest = labels[int(probabilities[row].argmax())]
        true = "" if faces.labels is None else f"true: {labels[faces.labels[row]]}\n"
        captions.append(f"{true}predicted: {likeliest} {100 * probabilities[row].max():.0f} %")
    return captions


def _announce(name: str, content: str) -> None:
    """Print what is made next: the first sheets take many seconds each."""
    print(f"making {name}: {content} ...", flush=True)


def _save(path: Path, draw: Callable[..., None], *content: Any) -> None:
    draw(path, *content)
    print(f"written: {path}")


def _load_faces(classifier: Classifier, source: str | None, **finding: Any) -> Faces:
    """Load the faces of ``source``, otherwise those of ``config["split"]`` of the run's data set."""
    config = classifier.config
    if source is not None:
        meaning = {"known": classifier.labels, "classes": config.get("classes", "")}
        return _faces_of_input(source, **meaning, **finding)
    try:
        splits = load_dataset(config)
    except UserError as error:
        raise UserError(f"{error}; name faces to explain by --input=PATH or --config.dataset=PATH") from error
    faces = labelled_faces(splits, split=config["split"], dataset=config["dataset"])
    return relabel(faces, splits.labels, classifier.labels)[0]


def _faces_of_input(source: str, **options: Any) -> Faces:
    """Load the faces of a CSV file, or the first that are found in pictures, as ``--mode=predict`` does.

    Without labels there are no mistakes to find, so that few faces are needed. ``options`` are those of
    ``load_unlabelled``. Raises UserError.
    """
    faces = load_unlabelled(source, most=_MOST_FACES, say=print, **options)
    flat = faces.ids[~has_contrast(faces.images)]
    if len(flat) == len(faces):
        raise refuse_flat(source, len(faces))
    if len(flat):
        print(describe_flat(list(flat), len(faces)))
    return faces


def _maps(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Make the maps (N, 48, 48) for ``save_saliency``, by title; print if Grad-CAM is left out."""
    weights = classifier.weights
    network = {"model": classifier.model, "normalize_kind": classifier.config["normalize"]}
    labels = jnp.asarray(labels, jnp.int32)
    arguments = weights.variables, weights.normalization, jnp.asarray(images), labels
    smooth = saliency.make_smooth_grad(**network)(jax.random.key(0), *arguments)
    smooth = jax.jit(saliency.blur, static_argnames="times")(smooth, times=2)
    maps = {
        sheets.GRADIENT: saliency.make_saliency(**network)(*arguments),
        sheets.SMOOTH_GRAD: smooth,
    }
    if saliency.grad_cam_layer(classifier.model) is None:
        print(f"left out: Grad-CAM, since the model {classifier.config['model']!r} has no feature maps")
    else:
        maps[sheets.GRAD_CAM] = jax.jit(saliency.make_grad_cam(**network))(*arguments)
    hide = jax.jit(saliency.hide_unimportant, static_argnames="share")
    maps[sheets.MASKED] = hide(jnp.asarray(images), smooth, share=_SHARE)[..., 0]
    return {title: np.asarray(values) for title, values in maps.items()}


def _filters(classifier: Classifier) -> dict[str, np.ndarray]:
    """Make images (K, 48, 48) that excite filters of a few layers, by title."""
    return {
        title: _ascend(classifier, layer, min(_MOST_FILTERS, count))[0]
        for title, (layer, count) in _layers(classifier.model).items()
    }


def _layers(model: nn.Module) -> dict[str, tuple[str, int]]:
    """Choose two hidden layers of an MLP or three stages of a CNN: title -> name, and number of filters."""
    if not isinstance(model, CNN):
        return {f"hidden layer {n + 1}": (f"Dense_{n}", size) for n, size in enumerate(model.hidden[:2])}
    last, layers = len(model.widths) - 1, {}
    for stage in dict.fromkeys((0, last // 2, last)):
        side = model.stage_side(stage)
        layers[f"{side} x {side} pixels"] = saliency.stage_layer(model, stage), model.widths[stage]
    return layers


def _ascend(classifier: Classifier, layer: str | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Raise the first channels of a layer (None: the logits) -> images (count, 48, 48), and raised values."""
    weights = classifier.weights
    ascent = make_ascent(model=classifier.model, normalize_kind=classifier.config["normalize"], layer=layer)
    indices = jnp.arange(count, dtype=jnp.int32)
    images, _, after = ascent(jax.random.key(0), weights.variables, weights.normalization, indices)
    return np.asarray(images)[..., 0], np.asarray(after)
