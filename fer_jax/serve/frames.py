"""Answer frames of a camera: what a photo gets, without the work that a moving picture does not need."""

from collections.abc import Callable, Sequence
from typing import Any

from fer_jax.data.contrast import has_contrast
from fer_jax.serve.analyse import FindFaces, Network, look_at, read_upload, to_answer

MAX_MEGAPIXELS = 2
"""The page sends 640 pixels a side at most, a third of a megapixel; a larger frame would hold up photos."""
BATCH = 1
"""Faces in a batch. Before a camera there is mostly one; the three others of a photo's batch cost as much."""

AnalyseFrame = Callable[[bytes, bool], dict[str, Any]]
"""Bytes of a frame, and whether the answer needs heat -> the answer."""


def make_analyse_frame(
    quick: Sequence[Network],
    with_heat: Sequence[Network],
    labels: Sequence[str],
    *,
    find: FindFaces,
) -> AnalyseFrame:
    """Make ``(bytes of a frame, heat) -> answer``, an answer as that to a photo.

    A frame without a face has an answer too, with no faces in it: the next frame may have one. The function
    raises Refused if the bytes are no picture, or a large one. Call it from one thread at a time.

    Args:
      quick: the networks without heat, for ``BATCH`` faces at a time.
      with_heat: the networks that photos get, for frames that need heat.
      labels: names of the classes.
      find: how faces are found.
    """

    def analyse_frame(body: bytes, heat: bool) -> dict[str, Any]:
        picture = read_upload(body, max_megapixels=MAX_MEGAPIXELS)
        boxes, faces = find(picture)
        seen = has_contrast(faces)
        boxes, faces = [box for box, kept in zip(boxes, seen, strict=True) if kept], faces[seen]
        if not boxes:
            return {"faces": [], "width": picture.width, "height": picture.height}
        looked = look_at(with_heat, faces) if heat else look_at(quick, faces, batch=BATCH)
        return to_answer(picture.size, boxes, faces, *looked, labels)

    return analyse_frame
