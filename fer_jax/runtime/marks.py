"""The mark in pictures that fer_jax writes, so that they are not taken for photos later."""

from typing import Any

MARK = "written by fer_jax"
"""The comment of a JPEG file, or the text ``Software`` of a PNG file."""


def is_ours(picture: Any) -> bool:
    """Whether a picture that Pillow has opened, decoded or not, carries the mark."""
    comment, software = picture.info.get("comment"), picture.info.get("Software")
    text = comment.decode(errors="replace") if isinstance(comment, bytes) else comment
    return any(isinstance(value, str) and value.startswith(MARK) for value in (text, software))
