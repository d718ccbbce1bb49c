"""What the page tells of the network, and its limits in plain words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_jax.labels import LABELS

_FER2013 = ("fer2013", "icml_face_data", "fer-2013")


def about(
    *, name: str, config: Mapping[str, Any], epoch: int, accuracy: float, parameters: int, has_heat: bool
) -> dict[str, Any]:
    """The content of GET /about.

    Args:
      name: of the run or the weights.
      config: of the run that trained them.
      epoch: of the weights.
      accuracy: on the validation faces, a fraction.
      parameters: of the network.
      has_heat: whether answers come with a Grad-CAM.
    """
    dataset = config["dataset"]
    return {
        "name": name,
        "network": config["model"],
        "parameters": parameters,
        # The name alone: where it lay on somebody's disk is nobody's business.
        "trained_on": "drawn faces" if dataset == "synthetic" else _base_name(dataset),
        "epoch": epoch,
        "accuracy": accuracy,
        "labels": list(LABELS),
        "grad_cam": has_heat,
        "limits": [{"title": title, "text": text} for title, text in limits(dataset, accuracy)],
    }


def _base_name(dataset: str) -> str:
    return dataset if dataset.startswith("kaggle:") else Path(dataset).name


def limits(dataset: str, accuracy: float) -> list[tuple[str, str]]:
    """Title and text of each limit, for a network trained on ``dataset``."""
    return [
        *_drawn(dataset),
        (
            "Expressions are not feelings",
            "The network names what a face looks like to people who see the picture. What someone feels "
            "cannot be read from it.",
        ),
        (
            "Not for decisions about people",
            "Not for hiring, schooling, policing, credit, insurance, health or border control, and not for "
            "watching workers or pupils. In some of these the law forbids it.",
        ),
        (
            "It is often wrong",
            f"Of 100 faces that it had not been trained on, it named {100 * accuracy:.0f} as people had. "
            "The percentages are the network's own confidence. It answers on anything that the detector "
            "takes for a face.",
        ),
        ("Who is missing", _who_is_missing(dataset)),
        (
            "What is found",
            "Upright faces seen from the front, from about a thirtieth of the picture's width. Faces from "
            "the side, tilted, covered or in poor light are often missed.",
        ),
        (
            "What happens to your picture",
            "It is looked at in the memory of the computer that runs this page, and then forgotten. Nothing "
            "is stored or sent on.",
        ),
    ]


def _drawn(dataset: str) -> list[tuple[str, str]]:
    if dataset != "synthetic":
        return []
    text = "This network has only ever seen drawn faces: what it says about a photograph means nothing."
    return [("A demonstration", text)]


def _who_is_missing(dataset: str) -> str:
    if dataset == "synthetic":
        return "Everybody: no person's face was in the training data."
    if any(name in dataset.lower() for name in _FER2013):
        return (
            "It learnt from what an English image search gave in 2013: posed, acted and stock photographs, "
            "more often of light-skinned, young and Western people than people are. How its errors differ "
            "between groups has not been measured; expect them to."
        )
    return (
        f"It learnt from {_base_name(dataset)}. Who is rare there is judged worse here; how the errors "
        "differ between groups has not been measured."
    )
