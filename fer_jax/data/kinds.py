"""Tell what a file is from its first bytes: a picture, a video, something different."""

import importlib.util
import os
import re

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".jpf", ".jpx"),
    ".tga",
)
"""A file whose name ends so is taken for a picture until it is read; others are looked into."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "QOI"),
    *("PSD", "SGI", "SUN", "HEIF"),
)
"""Pillow's names of the formats that are read; HEIF if ``reads_heic``. Some of its others run other programs,
as EPS does."""

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".m2v"),
    *(".mpeg", ".m2ts", ".mts", ".3gp", ".3g2", ".ogv", ".mjpeg", ".h264", ".hevc", ".y4m"),
)
"""A file whose name ends so is taken for a video, unless its content is a picture."""

PICTURE, VIDEO, HEIC, FOREIGN, OTHER = "picture", "video", "HEIC picture", "foreign picture", "other"
TO_READ_HEIC = "pip install -r requirements-heic.txt"

_HEAD = 64
_PICTURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF....WEBP"
    rb"|P[1-6]\s+[#\d]|P[fF]\s+\d|qoif|8BPS\0\x01|\x01\xda[\0\x01][\x01\x02]|\x59\xa6\x6a\x95"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"
    # "BM" alone begins many a text: the size of a header that exists has to stand at its place.
    rb"|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|\0.{3}ftypavi[fs]|\0.{3}ftypmif1.*avif",
    re.DOTALL,
)
_HEIC = re.compile(rb"\0.{3}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
_FOREIGN = re.compile(rb"\0.{3}ftypcrx |\xff\x0a|\0\0\0\x0cJXL |FUJIFILMCCD-RAW", re.DOTALL)
_VIDEO = re.compile(
    rb"\0.{3}(ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01"
    rb"|\x30\x26\xb2\x75|\0\0\x01[\xba\xb3]|OggS",
    re.DOTALL,
)
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")
_FOREIGN_SUFFIXES = (
    *(".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".pef", ".srw"),
    ".raf",
)
"""Raw pictures of cameras begin as TIFF files do, and hold a thumbnail that would be taken for them."""


def reads_heic() -> bool:
    """Whether what reads HEIC is installed."""
    return importlib.util.find_spec("pi_heif") is not None


def kind_of(path: str | os.PathLike) -> str:
    """``PICTURE``, ``VIDEO``, ``HEIC`` or ``FOREIGN`` (pictures that cannot be read here) or ``OTHER``.

    By the content of a plain file; it is not read if its name ends as those of pictures do, and a video is
    known by its name, too. Raises OSError.
    """
    name = os.fspath(path).lower()
    if name.endswith(SUFFIXES):
        return PICTURE
    if name.endswith(_HEIC_SUFFIXES):
        return PICTURE if reads_heic() else HEIC
    if name.endswith(_FOREIGN_SUFFIXES):
        return FOREIGN
    with open(path, "rb") as file:
        kind = kind_of_content(file.read(_HEAD))
    return VIDEO if kind == OTHER and name.endswith(VIDEO_SUFFIXES) else kind


def kind_of_content(head: bytes) -> str:
    """The kind, as ``kind_of`` gives it, of a file that begins with these bytes (64 are enough)."""
    for kind, pattern in ((PICTURE, _PICTURE), (HEIC, _HEIC), (FOREIGN, _FOREIGN), (VIDEO, _VIDEO)):
        if pattern.match(head[:_HEAD]):
            return PICTURE if kind == HEIC and reads_heic() else kind
    return OTHER
