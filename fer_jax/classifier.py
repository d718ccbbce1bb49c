"""A trained network as one object: what every mode except training works with."""

import dataclasses
import functools
import io
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from PIL import Image, ImageOps

from fer_jax.checkpoints.weights import Record, Weights
from fer_jax.data import photos
from fer_jax.data.read_pictures import Opened, load_picture, to_face, to_grey
from fer_jax.errors import UserError
from fer_jax.labels import SIDE
from fer_jax.models import count_parameters, create_model
from fer_jax.models.forward import make_forward, predict_probabilities
from fer_jax.runtime.files import one_line
from fer_jax.transforms.views import VIEWS, views_in_pictures

Picture = str | os.PathLike | Image.Image
"""The path of a picture, or a picture that Pillow has opened."""


class PhotoFace(NamedTuple):
    """A face in a photo.

    Attributes:
      box: x, y, width and height in pixels of the upright photo.
      probabilities: float32 (K,), in the order of the classes.
      label: name of the likeliest class.
    """

    box: tuple[int, int, int, int]
    probabilities: np.ndarray
    label: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """A network with its weights and preprocessing; made by ``fer_jax.load``.

    Attributes:
      weights: variables and normalization statistics.
      record: of the run that trained it: its config, the names of its classes, its data, and its rows of
        metrics.jsonl up to these weights.
      source: where the weights come from: the run's folder, or the file that comes with fer_jax.
      config: of the run, with the values that a command changes for evaluation; the run's own if empty.
    """

    weights: Weights
    record: Record
    source: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", self.config or self.record.config)

    def __repr__(self) -> str:
        return f"Classifier({self.source!r}, {self.num_parameters:,} parameters, {len(self.labels)} classes)"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.record.labels)

    @property
    def row(self) -> dict[str, Any]:
        """The row of metrics.jsonl of these weights."""
        return self.record.rows[-1]

    @property
    def num_parameters(self) -> int:
        return count_parameters(self.weights.variables["params"])

    @property
    def title(self) -> str:
        """One line that says which weights these are."""
        return f"{self.source}, epoch {self.row['epoch']}, trained on {self.record.config['dataset']}"

    @property
    def model(self) -> nn.Module:
        return create_model(self.config["model"], self.config[self.config["model"]], len(self.labels))

    def predict(self, images: np.ndarray | Picture, *, views: str | None = None) -> np.ndarray:
        """Predict the probabilities float32 (N, K) of faces, or (K,) of one face, in the order of ``labels``.

        The compiled network is kept for the next call. A few images go in a small batch.

        Args:
          images: uint8 (N, 48, 48, 1) or (N, 48, 48), 0 black to 255 white, cropped as FER2013 crops them. Or
            one face: uint8 (48, 48), or a picture, which is taken whole, in grey, and scaled to 48 x 48;
            ``predict_photo`` finds the faces in a larger one.
          views: test-time views to average over: ``one``, ``flip``, ``zoom`` or ``ten_crop``; None for those
            of the config.

        Raises:
          UserError: another shape or dtype, a picture that cannot be read, or unknown views.
        """
        if isinstance(images, Picture):
            images = to_face(to_grey(_open(images).picture))
        faces, is_one = _as_faces(np.asarray(images))
        views = self.config["views"] if views is None else views
        if views not in VIEWS:
            raise UserError(f"views={views!r} is unknown; choose one of {', '.join(VIEWS)}")
        probabilities = predict_probabilities(
            _compiled_forward(self._network(), views, self.weights.temperature(views)),
            self.weights.variables,
            self.weights.normalization,
            faces,
            batch_size=_batch_size(len(faces), self.config["batch_size"]),
            num_classes=len(self.labels),
        )
        return probabilities[0] if is_one else probabilities

    def predict_photo(
        self, photo: Picture, *, views: str | None = None, detector: str = "", whole: bool = False
    ) -> list[PhotoFace]:
        """Find the faces in a photo, from left to right, and predict each; an empty list if there is none.

        A picture as small as a face, 40 to 64 pixels a side, is taken whole. Needs OpenCV
        (requirements-photos.txt).

        Args:
          photo: of any size and colour, turned as its EXIF data says.
          views: see ``predict``; None for those of the config, or ``flip`` instead of ``zoom``, which is less
            accurate on faces from photos (docs/photos.md).
          detector: ``mtcnn``, ``haar``, or the path of a YuNet network; the best that is installed if empty.
          whole: whether a small square picture that shows one face alone is taken whole (docs/photos.md).

        Raises:
          UserError: what the detector needs is not installed, the photo cannot be read, or unknown views.
        """
        views = views_in_pictures(self.config["views"]) if views is None else views
        opened = _open(photo)
        faces = photos.faces_of(opened.picture, detector=detector, whole=whole)
        found = photos.Photo("", opened.picture, opened.size, *faces, opened.remarks)
        return [
            PhotoFace(place, row, self.labels[int(row.argmax())])
            for place, row in zip(found.places(), self.predict(found.faces, views=views), strict=True)
        ]

    def forward(self, views: str) -> Callable:
        """Make the pure function of ``make_forward`` for this network, with its temperature for the views."""
        return _make_forward(self._network(), views, self.weights.temperature(views))

    def on_device(self) -> "Classifier":
        """The same network, with its arrays moved to the device once instead of at each call."""
        variables, normalization = jax.device_put((self.weights.variables, self.weights.normalization))
        weights = self.weights._replace(variables=variables, normalization=normalization)
        return dataclasses.replace(self, weights=weights)

    def _network(self) -> str:
        """All that shapes the network, as JSON, since a dict cannot be the key of a cache."""
        names = ("model", self.config["model"], "normalize")
        shape = {name: self.config[name] for name in names} | {"num_classes": len(self.labels)}
        return json.dumps(shape, sort_keys=True)


@functools.lru_cache(maxsize=16)
def _compiled_forward(network: str, views: str, temperature: float) -> Callable:
    return jax.jit(_make_forward(network, views, temperature))


def _make_forward(network: str, views: str, temperature: float) -> Callable:
    config = json.loads(network)
    model = create_model(config["model"], config[config["model"]], config["num_classes"])
    return make_forward(model=model, normalize_kind=config["normalize"], views=views, temperature=temperature)


def _open(picture: Picture) -> Opened:
    """Open a picture in mode L or RGB, upright. Raises UserError if it cannot be read."""
    if not isinstance(picture, Image.Image):
        return load_picture(picture)
    # As a file, so that pictures of all modes are read by the same rules; this one keeps every pixel.
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(picture)
        if "transparency" in upright.info:  # which this kind of file has in another form
            upright = upright.convert("RGBA")
        upright.save(file, format="tiff")
    except Exception as error:  # pixels are decoded only now, and decoders raise nearly anything
        raise UserError(f"a picture of mode {picture.mode} cannot be read ({one_line(error)})") from error
    return load_picture(file, name=f"a picture of mode {picture.mode}")


def _as_faces(images: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return images as (N, 48, 48, 1), and whether they are one face without an axis for N."""
    is_one = images.shape in ((SIDE, SIDE), (SIDE, SIDE, 1))
    faces = images.reshape(-1, SIDE, SIDE, 1) if is_one or images.shape[1:] == (SIDE, SIDE) else images
    if faces.dtype != np.uint8 or faces.shape[1:] != (SIDE, SIDE, 1):
        expected = "uint8 (N, 48, 48, 1), or (48, 48) for one face"
        raise UserError(f"images are {images.dtype} {images.shape}; expected {expected}")
    return faces, is_one


def _batch_size(count: int, most: int) -> int:
    """The least power of four from ``count`` on, at most ``most``: few sizes, since each is compiled."""
    size = 1
    while size < min(count, most):
        size *= 4
    return min(size, most)
