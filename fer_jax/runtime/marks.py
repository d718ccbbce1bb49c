"""The mark in pictures and videos that fer_jax writes, so that they are not searched for faces later."""

import os
from typing import Any

MARK = "written by fer_jax"
"""The comment of a JPEG file, or the text ``Software`` of a PNG file."""

MARK_OF_VIDEO = bytes([0xEC, 0x80 | len(MARK)]) + MARK.encode()
"""The end of a .webm file: an element of EBML that players skip (RFC 8794, "Void")."""


def is_ours(picture: Any) -> bool:
    """Whether a picture that Pillow has opened, decoded or not, carries the mark."""
    comment, software = picture.info.get("comment"), picture.info.get("Software")
    text = comment.decode(errors="replace") if isinstance(comment, bytes) else comment
    return any(isinstance(value, str) and value.startswith(MARK) for value in (text, software))


def is_our_video(path: str | os.PathLike) -> bool:
    """Whether a file ends in the mark. Raises OSError."""
    with open(path, "rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - len(MARK_OF_VIDEO)))
        return file.read() == MARK_OF_VIDEO
