"""``--mode=predict`` on videos and a camera: rows for each frame, a copy with faces marked, a timeline."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fer_jax.data.video import Video, expected_frames, open_camera, open_video, read_frames
from fer_jax.errors import UserError
from fer_jax.predict.copies import folder_of_copies
from fer_jax.predict.rows import Entry, FileRows, StreamRows, appended_rows
from fer_jax.predict.table import video_header, video_rows
from fer_jax.predict.video_copies import VideoCopies, VideoCopy, without_copies
from fer_jax.predict.video_summary import Summary, describe_summary, early_end, nothing_seen, with_frame
from fer_jax.predict.watch import Seen, Settings, watch
from fer_jax.runtime import signals
from fer_jax.runtime.files import is_stream
from fer_jax.runtime.progress import counted, duration
from fer_jax.runtime.signals import Stopped
from fer_jax.runtime.words import number_of

Rows = FileRows | StreamRows


def predict_videos(
    source: str,
    paths: Sequence[Path],
    *,
    settings: Settings,
    output: Path,
    key: str | None = None,
    beside: Path | None = None,
) -> None:
    """Write a row for each face in each frame of the videos, by ``appended_rows``.

    For each video, write ``NAME.webm``, with the faces marked, and ``NAME_timeline.png`` to the folder
    ``OUT_pictures`` beside ``OUT.csv``. Skip videos that cannot be read, and raise UserError at the end.
    After a signal, complete the copy of the video so far; the same command goes on after the last whole one.

    Args:
      source: the video, or the folder of the videos, as the user names it.
      paths: the videos.
      settings: what to do with each frame.
      output: the CSV file to write; for a pipe or device there are no copies.
      key: see ``appended_rows``.
      beside: the table of the photos of the same folder; the copies are beside it, too, with theirs.

    Raises:
      UserError: OpenCV is not installed; no video can be read; or some cannot be.
      Stopped: a signal has come.
    """
    folder = None if is_stream(output) else folder_of_copies(beside or output)
    paths = without_copies(source, paths, folder)
    header = video_header(settings.labels, with_probabilities=settings.with_probabilities)
    with appended_rows(output, header, key) as rows, signals.telling(rows.told):
        taken = [name for entry in rows.entries for name in entry["copies"]]
        copies = VideoCopies(folder, Path(source), taken, beside_photos=beside is not None)
        with signals.noted_signals() as signal_number:
            _predict_files(paths, settings, rows, copies, signal_number)
        _require_one(source, rows.entries)
        rows.finish()
    copies.finish()
    total = sum(entry["rows"] for entry in rows.entries)
    print(f"written: {output}, {number_of(total, 'row')}")
    _raise_for_failures(source, rows.entries, output)


def predict_camera(number: int, settings: Settings, output: Path) -> None:
    """Write a row for each face in each frame of a camera until a signal comes: the regular end.

    Otherwise as ``predict_videos``. Raises UserError if the camera cannot be used.
    """
    folder = None if is_stream(output) else folder_of_copies(output)
    header = video_header(settings.labels, with_probabilities=settings.with_probabilities)
    with appended_rows(output, header, None) as rows:
        copies = VideoCopies(folder, Path(), ())
        with signals.noted_signals(save=False) as signal_number:
            video = open_camera(number)
            print(f"{video.name}: looking; Ctrl-C ends it, and completes the files", flush=True)
            copy = copies.begin(Path(f"camera-{number}"))
            summary, rate = _look(video, settings, rows, copy, signal_number, live=True)
            if not signal_number():
                print(f"{video.name}: gives no more pictures", file=sys.stderr)
            copy.finish(summary.curves, settings.labels, title=video.name, faces=summary.faces)
            rows.finish()
            # Within this block too, where the signal that has come ends nothing.
            print(describe_summary(video.name, summary, settings.labels, rate))
            copies.finish()
            print(f"written: {output}, {number_of(summary.rows, 'row')}")


def _predict_files(
    paths: Sequence[Path],
    settings: Settings,
    rows: Rows,
    copies: VideoCopies,
    signal_number: Callable[[], int],
) -> None:
    """Predict the videos that are not done. Raises Stopped after a signal."""
    for path in paths[len(rows.entries) :]:
        entry = _predict_file(path, settings, rows, copies, signal_number)
        if signal_number():
            raise Stopped(signal_number(), _stopped(rows, path, entry, copies))
        rows.append("", entry)
        if entry["failure"] and len(paths) > 1:
            begin = "" if entry["rows"] else "left out: "
            print(f"{begin}{entry['failure']}", file=sys.stderr)


def _predict_file(
    path: Path, settings: Settings, rows: Rows, copies: VideoCopies, signal_number: Callable[[], int]
) -> Entry:
    """Write the rows of one video and its copy; return what to note of it."""
    entry = {"rows": 0, "video": str(path), "copies": [], "failure": ""}
    try:
        video = open_video(path)
        copy = copies.begin(path)
        try:
            summary, rate = _look(video, settings, rows, copy, signal_number)
        except BaseException:
            copy.discard()
            raise
    except UserError as error:
        return entry | {"failure": str(error)}
    entry |= {
        "rows": summary.rows,
        "seconds": summary.last,
        "failure": early_end(video, summary, _nominal(video, settings)),
    }
    if signal_number():
        copy.stop()
        return entry
    copy.finish(summary.curves, settings.labels, title=path.name, faces=summary.faces)
    print(describe_summary(str(path), summary, settings.labels, rate))
    return entry | {"copies": copy.names()}


def _look(
    video: Video,
    settings: Settings,
    rows: Rows,
    copy: VideoCopy,
    signal_number: Callable[[], int],
    *,
    live: bool = False,
) -> tuple[Summary, float]:
    """Write the rows and the copy of a video until it ends or a signal comes.

    Returns the summary, and how many frames were done in a second.
    """
    summary = nothing_seen(len(settings.labels))
    started, nominal = time.monotonic(), _nominal(video, settings)
    for seen in _progress(video, settings, live=live):
        if seen.numbers:
            frame = seen.frame
            text = video_rows(
                video.name,
                [(frame.number, frame.time, number) for number in seen.numbers],
                seen.places(),
                seen.probabilities,
                with_probabilities=settings.with_probabilities,
            )
            rows.write(text)
        copy.write(seen, video, settings)
        summary = with_frame(summary, seen, nominal)
        if signal_number():
            break
    return summary, summary.frames / max(time.monotonic() - started, 1e-9)


def _nominal(video: Video, settings: Settings) -> float:
    """Seconds between frames that are looked at."""
    return 1 / (settings.frames_per_second or video.rate)


def _progress(video: Video, settings: Settings, *, live: bool) -> Iterator[Seen]:
    """What is seen in the frames, with a bar or lines; the video is closed at the end, or when left."""
    frames = read_frames(video, frames_per_second=settings.frames_per_second)
    total = expected_frames(video, settings.frames_per_second)
    with contextlib.closing(frames):
        yield from counted(watch(frames, settings, live=live), unit="frame", total=total)


def _stopped(rows: Rows, path: Path, entry: Entry, copies: VideoCopies) -> str:
    """The last line of a stopped command."""
    where = f" are in {rows.path}" if isinstance(rows, FileRows) else " are written"
    at = duration(entry.get("seconds", 0.0))
    copy = "" if copies.folder is None else f", the marked video so far in {copies.folder}/"
    return f"stopped at {at} of {path}: its rows{where}{copy}; the same command begins this video anew"


def _require_one(source: str, entries: Sequence[Entry]) -> None:
    """Raise UserError if no video could be read."""
    if all(entry["failure"] and not entry["rows"] for entry in entries):
        alone = len(entries) == 1
        raise UserError(entries[0]["failure"] if alone else f"{source}: none of its videos can be read")


def _raise_for_failures(source: str, entries: Sequence[Entry], output: Path) -> None:
    """Raise UserError if some videos could not be read, or not to their end."""
    failures = [entry["failure"] for entry in entries if entry["failure"]]
    if failures and len(entries) == 1:
        raise UserError(f"{failures[0]}; the rows up to there are in {output}")
    if failures:
        count = f"{len(failures):,} of {number_of(len(entries), 'video')}"
        raise UserError(f"{source}: {count} cannot be read as a whole; the rest is in {output}")
