"""Describe the network and its limits to visitors of the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_jax.classifier import Classifier
from fer_jax.data.class_names import EIGHT
from fer_jax.data.kaggle import PREFIX
from fer_jax.runtime.words import some

_WORDS = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
_FER2013 = ("fer2013", "icml_face_data", "fer-2013")


def about(name: str, classifiers: Sequence[Classifier], *, has_heat: bool) -> dict[str, Any]:
    """Return the content of GET /about.

    Args:
      name: of the run or the weights.
      classifiers: the networks that answer, by the mean of their probabilities.
      has_heat: whether answers come with a Grad-CAM.
    """
    first = classifiers[0]
    dataset = first.record.config["dataset"]
    accuracy = float(np.mean([c.row["val_accuracy"] for c in classifiers]))
    return {
        "name": name,
        "network": first.record.config["model"],
        "parameters": sum(c.num_parameters for c in classifiers),
        "trained_on": data_name(dataset),
        "epoch": first.row["epoch"],
        "accuracy": accuracy,
        "labels": list(first.labels),
        "classes": describe(first.labels),
        "grad_cam": has_heat,
        "limits": [{"title": title, "text": text} for title, text in limits(dataset, accuracy).items()],
    }


def describe(labels: Sequence[str]) -> str:
    """Say what the network names: ``Seven expressions``, ``2 classes (cat, dog)``."""
    if set(labels) <= set(EIGHT):
        return f"{_WORDS.get(len(labels), len(labels))} expressions"
    return f"{len(labels)} classes ({some(list(labels))})"


def data_name(dataset: str) -> str:
    """Name the data set as visitors may know it: where a file lies, and what it is called, is the owner's."""
    if dataset == "synthetic":
        return "drawn faces"
    if any(name in dataset.lower() for name in _FER2013):
        return "FER2013"
    if dataset.startswith(PREFIX):
        return f"{dataset.removeprefix(PREFIX)} from Kaggle"
    return "a data set of its owner's"


def limits(dataset: str, accuracy: float) -> dict[str, str]:
    """Return the limits of a network trained on ``dataset``: title -> text.

    ``accuracy`` is a fraction of the validation faces.
    """
    drawn = "This network has only ever seen drawn faces. What it says about a photograph means nothing."
    return ({"A demonstration": drawn} if dataset == "synthetic" else {}) | {
        "Expressions are not feelings": "The network names what a face looks like to people who see the "
        "picture. What someone feels cannot be read from it.",
        "Not for decisions about people": "Not for hiring, schooling, policing, credit, insurance, health or "
        "border control, and not for watching workers or pupils. In some of these the law forbids it.",
        "It is often wrong": f"Of 100 faces that it had not been trained on, it named {100 * accuracy:.0f} "
        "as people had. The percentages are the network's own confidence. It gives an answer for anything "
        "that the detector takes for a face.",
        "Who is missing": _who_is_missing(dataset),
        "What is found": "Upright faces seen from the front, from about a thirtieth of the picture's width. "
        "Faces from the side, tilted, covered or in poor light are often missed.",
        "What happens to your picture": "The computer that runs this page analyses it in memory and then "
        "discards it. Nothing is stored or sent on.",
    }


def _who_is_missing(dataset: str) -> str:
    if dataset == "synthetic":
        return "Everybody: no person's face was in the training data."
    name = data_name(dataset)
    if name == "FER2013":
        return (
            "It learnt from what an English image search gave in 2013: posed, acted and stock photographs, "
            "more often of light-skinned, young and Western people than people are. How its errors differ "
            "between groups has not been measured; expect them to differ."
        )
    return (
        f"It learnt from {name}. Who is rare there is judged worse here; how the errors "
        "differ between groups has not been measured."
    )
