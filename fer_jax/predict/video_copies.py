"""Copies of videos with their faces marked, and their timelines, which predict writes beside its table."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from fer_jax.data.video import Video
from fer_jax.data.video_writer import UNFINISHED, VideoWriter
from fer_jax.errors import UserError
from fer_jax.predict.copies import VIDEO_COPIES, remove_copies
from fer_jax.predict.draw import copy_size, draw_faces_of
from fer_jax.predict.rows import name_with
from fer_jax.predict.timeline import Curves, save_timeline
from fer_jax.predict.watch import Seen, Settings
from fer_jax.runtime.marks import is_our_video
from fer_jax.runtime.words import number_of, some

_TIMELINE = "_timeline.png"


class VideoCopy:
    """The copy of one video, and its timeline; both of ``path`` None are not written."""

    def __init__(self, path: Path | None, root: Path | None) -> None:
        self._path, self._root = path, root
        self._writer: VideoWriter | None = None
        self._size = (0, 0)
        self._written: list[Path] = []

    def write(self, seen: Seen, video: Video, settings: Settings) -> None:
        """Add a frame with its faces marked."""
        if self._path is None:
            return
        picture = seen.frame.picture
        if self._writer is None:
            rate = min(video.rate, settings.frames_per_second or video.rate)
            self._size = copy_size(picture.size)
            self._writer = VideoWriter(self._path, size=self._size, rate=rate)
            if self._writer.codec is None:
                print(f"left out: {self._path}, since this OpenCV cannot write it")
        marked = draw_faces_of(picture, seen.boxes, seen.numbers, seen.probabilities, settings.labels)
        # Some videos change their size on the way.
        self._writer.write(
            marked if marked.size == self._size else marked.resize(self._size), seen.frame.time
        )

    def finish(self, curves: Curves, labels: Sequence[str], *, title: str, faces: int) -> None:
        """Complete the copy; draw the timeline if there were faces. Raises OSError."""
        self.stop()
        if self._path is not None and curves:
            path = self._path.with_name(self._path.stem + _TIMELINE)
            save_timeline(path, curves, labels, title=title, faces=faces)
            self._written.append(path)

    def stop(self) -> None:
        """Complete the copy as far as it is. Raises OSError."""
        if self._writer is not None and self._writer.codec is not None:
            self._writer.finish()
            self._written.append(self._path)

    def discard(self) -> None:
        """Remove a copy that is not complete."""
        if self._writer is not None:
            self._writer.discard()

    def names(self) -> list[str]:
        """Names of what was written, within the folder of the copies."""
        return [str(path.relative_to(self._root)) for path in self._written]


class VideoCopies:
    """The copies of one command.

    Attributes:
      folder: where they go; None for no copies.
    """

    def __init__(
        self, folder: Path | None, source: Path, taken: Iterable[str], *, beside_photos: bool = False
    ) -> None:
        """``source``: the video, or the folder of videos; ``taken``: names of copies that are written."""
        self.folder, self._beside_photos = folder, beside_photos
        self._root = source if source.is_dir() else source.parent
        self._taken, self._copies = set(taken), []

    def begin(self, path: Path) -> VideoCopy:
        """Begin the copy of the video ``path``, named after it; the name gets a number if it is taken."""
        copy = VideoCopy(None if self.folder is None else self.folder / self._free_name(path), self.folder)
        self._copies.append(copy)
        return copy

    def _free_name(self, path: Path) -> Path:
        relative = path.relative_to(self._root)
        endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        taken = self._all_names()
        for ending in endings:
            cut = name_with(relative.stem, ending + UNFINISHED).removesuffix(UNFINISHED)
            names = [relative.with_name(cut + last) for last in (".webm", _TIMELINE)]
            if not taken.intersection(map(str, names)):
                return names[0]
        raise AssertionError("endings never end")

    def _all_names(self) -> set[str]:
        return self._taken.union(*(copy.names() for copy in self._copies))

    def finish(self) -> None:
        """Remove the copies of earlier commands that this one has not written, and print what there is."""
        if self.folder is None:
            print("left out: videos with faces marked, since the output is no plain file")
            return
        names = self._all_names()
        suffixes = VIDEO_COPIES if self._beside_photos else None
        remove_copies(self.folder, keep=names, suffixes=suffixes)
        count = sum(name.endswith(".webm") for name in names)
        if count:
            print(f"written: {self.folder}/, {number_of(count, 'video')} with faces marked")


def without_copies(source: str, paths: Sequence[Path], folder: Path | None) -> list[Path]:
    """The paths except those that fer_jax has written, which are named. Raises UserError if none is left."""
    inside = None if folder is None else folder.resolve()
    kept, ours = [], []
    for path in paths:
        is_copy = inside is not None and path.parent.resolve().is_relative_to(inside)
        (ours if is_copy or _is_ours(path) else kept).append(path)
    if not kept:
        what = "was" if len(ours) == 1 else "its videos were"
        raise UserError(f"{source}: {what} written by fer_jax, with faces marked; name the video itself")
    if ours:
        count = number_of(len(ours), "video")
        print(f"left out: {count} that fer_jax has written, with faces marked: {some(list(map(str, ours)))}")
    return kept


def _is_ours(path: Path) -> bool:
    if path.name.endswith(UNFINISHED):
        return True
    try:
        return is_our_video(path)
    except OSError:  # whoever reads it says what is wrong
        return False
