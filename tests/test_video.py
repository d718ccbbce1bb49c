"""Videos: frames at their times, faces that keep their numbers, tables and copies, whatever the files are."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import clips
from commands import MAIN, run_main
from fer_jax.data import photos, video
from fer_jax.data.find_pictures import describe, find_pictures
from fer_jax.data.inputs import find_input
from fer_jax.data.video import expected_frames, open_video, read_frames
from fer_jax.data.video_writer import VideoWriter
from fer_jax.errors import UserError
from fer_jax.labels import LABELS
from fer_jax.predict.draw import copy_size, draw_faces_of
from fer_jax.predict.timeline import longest, save_timeline, with_sightings
from fer_jax.predict.video import predict_camera, predict_videos
from fer_jax.predict.watch import Settings, watch
from fer_jax.runtime import signals
from fer_jax.runtime.marks import MARK_OF_VIDEO, is_our_video, is_ours

TIMES = clips.uneven_times(10)
COLUMNS = ["id", "frame", "time", "face", "label", "x", "y", "width", "height"]


def numbered(count, size=(64, 48)):
    """Plain frames whose brightness is their number."""
    return [Image.new("RGB", size, (n * 5 % 250,) * 3) for n in range(count)]


def settings(find=None, predict=None, **options):
    return Settings(predict or bright_is_happy, find or nothing_found, LABELS, **options)


def nothing_found(picture):
    return [], np.zeros((0, 48, 48, 1), np.uint8)


def whole(picture):
    """A detector that takes each frame as a face."""
    boxes = [photos.Box(4, 4, 40, 40)]
    return boxes, photos.crop_faces(picture, boxes)


def bright_is_happy(images):
    """Stands in for a network."""
    probabilities = np.full((len(images), 7), 0.05, np.float32)
    probabilities[np.arange(len(images)), np.where(images.mean((1, 2, 3)) > 100, 3, 4)] = 0.7
    return probabilities


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten seconds at uneven times; two faces that cross, one is away for 1.5 s."""
    faces = clips.people()
    path = tmp_path_factory.mktemp("clip") / "clip.webm"
    return clips.write_clip(path, (clips.picture_at(t / 1000, faces) for t in TIMES), times=TIMES)


def test_times_are_those_of_the_file(clip):
    opened = open_video(clip)
    assert opened.duration == pytest.approx(TIMES[-1] / 1000, abs=0.1)
    assert expected_frames(opened, 0) is None  # the header says 1,000 a second
    assert expected_frames(opened, 5) == 50
    frames = list(read_frames(opened))
    assert [frame.number for frame in frames] == list(range(len(TIMES)))
    np.testing.assert_allclose([frame.time for frame in frames], TIMES / 1000, atol=1e-6)
    expected = clips.picture_at(TIMES[40] / 1000, clips.people())
    assert np.abs(np.asarray(frames[40].picture, int) - np.asarray(expected, int)).mean() < 8


@pytest.mark.parametrize(("codec", "name"), [("MJPG", "a.avi"), ("mp4v", "a.mp4"), ("VP90", "a.mkv")])
def test_containers(tmp_path, codec, name):
    clips.write_clip(tmp_path / name, numbered(12), rate=30.0, codec=codec)
    opened = open_video(tmp_path / name)
    assert expected_frames(opened, 0) == 12
    frames = list(read_frames(opened))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 30, atol=0.001)
    levels = [np.asarray(frame.picture).mean() for frame in frames]
    np.testing.assert_allclose(levels, [5 * n for n in range(12)], atol=4)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(10.0, np.arange(0, 2, 0.1)), (7.0, np.arange(14) / 7), (100.0, np.arange(50) / 25)],
)
def test_frames_a_second(tmp_path, rate, expected):
    """Of each step the frame that is nearest."""
    clips.write_clip(tmp_path / "a.webm", numbered(50), rate=25.0)
    opened = open_video(tmp_path / "a.webm")
    count = expected_frames(opened, rate)
    times = [frame.time for frame in read_frames(opened, frames_per_second=rate)]
    assert len(times) == len(expected) == count
    np.testing.assert_allclose(times, expected, atol=0.0201)


def test_a_clock_that_stands_still_or_is_missing(tmp_path, monkeypatch):
    clips.write_clip(tmp_path / "a.webm", numbered(5), rate=25.0)
    opened = open_video(tmp_path / "a.webm")
    left = iter([0.0, 0.04, 0.04, float("nan"), 0.2])
    frames = read_frames(video.dataclasses.replace(opened, clock=lambda: next(left)))
    np.testing.assert_allclose([frame.time for frame in frames], [0.0, 0.04, 0.08, 0.12, 0.2])


def test_a_written_video_is_in_time(tmp_path):
    """Each picture is shown at its time, to the frame, and the mark does not disturb."""
    path = tmp_path / "new" / "a.webm"
    writer = VideoWriter(path, size=(64, 48), rate=20.0)
    times, pictures = [5.0, 5.1, 5.11, 5.5, 100.0], numbered(50)[10:50:10] + numbered(1)
    for at, picture in zip(times, pictures, strict=True):
        writer.write(picture, at)
    assert [p.name for p in path.parent.iterdir()] == ["a.incomplete.webm"]
    writer.finish()
    assert [p.name for p in path.parent.iterdir()] == ["a.webm"]
    assert is_our_video(path)
    levels = [np.asarray(f.picture).mean() for f in read_frames(open_video(path))]
    # 5.11 is in the place of 5.1; after ten seconds the pause is cut.
    expected = [50, 50] + [100] * 8 + [200] * 201 + [0]
    np.testing.assert_allclose(levels, expected, atol=4)


def test_an_opencv_that_cannot_write(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_jax.data.video_writer._CODECS", ("XXXX",))
    writer = VideoWriter(tmp_path / "a.webm", size=(64, 48), rate=20.0)
    assert writer.codec is None
    writer.write(numbered(1)[0], 0.0)
    writer.finish()
    assert list(tmp_path.iterdir()) == []


BAD = {
    "text.mp4": (b"hello, this is no video\n" * 9, "it holds text"),
    "list.mp4": (b"#EXTM3U\n/etc/passwd\n", "it holds text"),
    "empty.mp4": (b"", "an empty file"),
    "noise.mkv": (bytes(range(256)) * 40, "it is damaged, or of a kind that OpenCV cannot read"),
    "cut.mp4": (b"\0\0\0\x18ftypisom\0\0\0\0", "it is damaged, or of a kind that OpenCV cannot read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video(tmp_path, name, capfd):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_frames(open_video(tmp_path / name)))
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be read as a video ({reason}); ")
    assert capfd.readouterr() == ("", "")


def test_files_that_are_not_there_or_are_none(tmp_path):
    with pytest.raises(UserError, match=r"a.mp4: no such file or directory; a video was expected"):
        open_video(tmp_path / "a.mp4")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.mp4")
        with pytest.raises(UserError, match=r"b.mp4: is a named pipe; a plain file was expected"):
            open_video(tmp_path / "b.mp4")
    with pytest.raises(UserError, match=r"camera:97: cannot be opened"):
        video.open_camera(97)


def test_what_counts_as_a_video(tmp_path):
    """By content or by name, except that pictures are pictures."""
    clips.write_clip(tmp_path / "a.webm", numbered(3))
    content = (tmp_path / "a.webm").read_bytes()
    (tmp_path / "b.csv").write_bytes(content)
    (tmp_path / "c.mp4").write_text("text")
    Image.new("L", (60, 60)).save(tmp_path / "d.mp4", format="png")
    (tmp_path / "e.txt").write_text("text")
    found = find_pictures(tmp_path)
    assert [path.name for path in found.paths] == ["d.mp4"]
    assert [path.name for path in found.videos()] == ["a.webm", "b.csv", "c.mp4"]
    # A data set has no use for them.
    assert describe(found.others) == ["4 files that are no pictures (1 .csv, 1 .mp4, 1 .txt, 1 .webm)"]
    assert describe(found.without_videos()) == ["1 file that is no picture (1 .txt)"]
    for name in ("a.webm", "b.csv", "c.mp4", "gone.mov"):
        assert find_input(tmp_path / name, videos=True).videos() == [tmp_path / name]
    assert find_input(tmp_path / "e.txt", videos=True) is None
    with pytest.raises(UserError, match="is a video"):
        find_input(tmp_path / "b.csv")


def predict_clip(clip, folder, **options):
    output = folder / "out.csv"
    find = clips.finder(TIMES)
    predict_videos(str(clip), [clip], settings=settings(find, **options), output=output)
    return pd.read_csv(output)


def test_the_table_of_a_clip(clip, tmp_path, capsys):
    rows = predict_clip(clip, tmp_path, with_probabilities=True)
    assert list(rows.columns) == [*COLUMNS, *LABELS]
    assert set(rows["id"]) == {str(clip)}
    np.testing.assert_allclose(rows["time"], TIMES[rows["frame"]] / 1000, atol=0.0006)
    # The person of each row, by its place.
    for _, row in rows.iterrows():
        places = {person: x for person, x, _ in clips.places_at(row["time"])}
        distances = {person: abs(x - row["x"]) for person, x in places.items()}
        row_person = row["face"] if row["face"] < 2 else 1
        assert distances[row_person] < 6
    # One leaves for a second and a half, and is another one then.
    assert rows.groupby("face")["time"].max().round(1).tolist() == [10.0, 6.0, 10.0]
    np.testing.assert_allclose(rows[list(LABELS)].sum(axis=1), 1, atol=1e-4)
    assert (rows["label"] == rows[list(LABELS)].to_numpy().argmax(1)).all()
    printed = capsys.readouterr().out
    assert f"{clip}: {len(TIMES)} frames to 10 s, 3 faces: happy " in printed
    assert " % of the time; " in printed
    assert " images/s" in printed
    copies = tmp_path / "out_pictures"
    assert sorted(path.name for path in copies.iterdir()) == ["clip.webm", "clip_timeline.png"]
    with Image.open(copies / "clip_timeline.png") as picture:
        assert is_ours(picture)


def short_absence(seconds):
    """As the clip, except that the second face is away for less than half a second."""
    places = clips.places_at(min(seconds, 5.999))
    return places if not 7.0 <= seconds < 7.45 else places[:1]


@pytest.mark.nightly
def test_two_tracks_and_few_changes(tmp_path):
    """Of a network that is not sure: at most a fifth of the changes, two faces throughout."""
    faces = clips.people()
    path = tmp_path / "clip.webm"
    clips.write_clip(path, (clips.picture_at(t / 1000, faces, short_absence) for t in TIMES), times=TIMES)
    tables = []
    for seconds in (0.0, 0.5):
        draw = np.random.default_rng(1)

        def unsure(images, draw=draw):
            logits = np.log(bright_is_happy(images)) + draw.normal(0, 1.3, (len(images), 7))
            return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

        find = clips.finder(TIMES, place_of=short_absence)
        options = settings(find, unsure, smoothing=seconds)
        predict_videos(str(path), [path], settings=options, output=tmp_path / "out.csv")
        tables.append(pd.read_csv(tmp_path / "out.csv"))
    assert set(tables[0]["face"]) == set(tables[1]["face"]) == {0, 1}
    for face, place in ((0, 210), (1, 30)):
        last = tables[1][tables[1]["face"] == face].iloc[-1]
        assert abs(last["x"] - place) < 6
    before, after = (
        sum((part["label"].diff().iloc[1:] != 0).sum() for _, part in table.groupby("face"))
        for table in tables
    )
    assert before > 40
    assert after <= before / 5


def test_batches_change_nothing(clip):
    """A live source is predicted frame by frame."""
    results = []
    for live in (False, True):
        frames = read_frames(open_video(clip), frames_per_second=5)
        find = clips.finder(TIMES[[0, *range(1, 51)]])
        results.append([(s.numbers, s.probabilities) for s in watch(frames, settings(find), live=live)])
    for (numbers, rows), (live_numbers, live_rows) in zip(*results, strict=True):
        assert numbers == live_numbers
        np.testing.assert_allclose(rows, live_rows, atol=1e-6)


def test_the_drawing_is_on_the_faces_alone():
    picture = Image.new("RGB", (401, 301), (120, 130, 110))
    row = np.array([[0.1, 0, 0, 0.7, 0.2, 0, 0]])
    box = photos.Box(150, 100, 90, 90)
    marked = np.asarray(draw_faces_of(picture, [box], [4], row, LABELS))
    assert marked.shape == (300, 400, 3)
    assert tuple(marked[130, 150]) == (0, 114, 178)
    changed = np.argwhere((marked != (120, 130, 110)).any(-1))
    assert changed.min(0)[0] >= 75
    assert changed.max(0)[0] <= 190 + 45
    # The first bar is as long as its probability; its colour is that of the class.
    orange = (marked == (0xE6, 0x9F, 0x00)).all(-1)[190:206, 149:240].any(0)
    assert orange.sum() == pytest.approx(0.7 * 90, abs=3)
    assert draw_faces_of(picture, [], [], row[:0], LABELS).size == (400, 300)
    assert copy_size((3840, 2160)) == (1280, 720)
    assert copy_size((48, 49)) == (48, 48)


def test_timelines_stay_small_and_show_the_longest(tmp_path):
    curves = {}
    draw = np.random.default_rng(0)
    for n in range(20_000):
        # One stays, and each second another passes.
        numbers = [0, 1 + n // 25]
        curves = with_sightings(curves, numbers, draw.dirichlet(np.ones(7), 2), n / 25, longest_gap=0.6)
    assert len(curves) <= 66
    assert max(len(curve.times) for curve in curves.values()) <= 1002
    assert 0 in longest(curves, 1)
    assert curves[0].times[0] == 0
    assert curves[0].last == 19_999 / 25
    curves = with_sightings(curves, [0], np.ones((1, 7)) / 7, 802.0, longest_gap=0.6)
    assert curves[0].last == 802
    save_timeline(tmp_path / "a.png", curves, LABELS, title="a$b_{$ \u732b.mp4", faces=801)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == 1200


def test_a_folder_of_videos(tmp_path, capsys):
    """Each is done, broken ones are named, and the copies have names of their own."""
    album = tmp_path / "album"
    (album / "more").mkdir(parents=True)
    for name in ("a.webm", "more/a.mkv", "a.mkv"):
        clips.write_clip(album / name, numbered(6))
    (album / "b.mp4").write_text("hello")
    (album / "notes.txt").write_text("hello")
    content = (album / "a.webm").read_bytes()
    (album / "c.csv").write_bytes(content)
    paths = find_pictures(album).videos()
    output = tmp_path / "out.csv"
    with pytest.raises(UserError) as caught:
        predict_videos(str(album), paths, settings=settings(whole), output=output)
    assert str(caught.value) == f"{album}: 1 of 5 videos cannot be read as a whole; the rest is in {output}"
    printed = capsys.readouterr()
    assert printed.err.count(f"left out: {album / 'b.mp4'}: cannot be read as a video (it holds text)") == 1
    rows = pd.read_csv(output)
    assert rows.groupby("id").size().to_dict() == {
        str(album / name): 6 for name in ("a.webm", "a.mkv", "c.csv", "more/a.mkv")
    }
    assert list(rows.columns) == COLUMNS
    copies = tmp_path / "out_pictures"
    names = {str(path.relative_to(copies)) for path in copies.rglob("*.webm")}
    assert names == {"a.webm", "a-2.webm", "c.webm", "more/a.webm"}
    # Another command: its copies are not taken for videos, and the earlier ones go.
    capsys.readouterr()
    (album / "c.csv").unlink()
    found = find_pictures(tmp_path).videos()
    with contextlib.suppress(UserError):
        predict_videos(str(tmp_path), found, settings=settings(whole), output=output)
    assert "left out: 4 videos that fer_jax has written, with faces marked" in capsys.readouterr().out
    assert len(pd.read_csv(output)["id"].unique()) == 3
    one = next(copies.rglob("*.webm"))
    with pytest.raises(UserError, match="was written by fer_jax, with faces marked; name the video itself"):
        predict_videos(str(one), [one], settings=settings(whole), output=tmp_path / "x.csv")


def test_a_video_that_ends_early(tmp_path):
    path = clips.write_clip(tmp_path / "a.webm", numbered(100, (320, 240)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(UserError, match=r"a.webm: ends at .* s of 4.0 s: .*the rows up to there are in"):
        predict_videos(str(path), [path], settings=settings(whole), output=tmp_path / "out.csv")
    assert len(pd.read_csv(tmp_path / "out.csv")) > 3


def test_a_video_without_faces(tmp_path, capsys):
    path = clips.write_clip(tmp_path / "a.webm", numbered(5))
    predict_videos(str(path), [path], settings=settings(), output=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert "5 frames to 0 s, no face found" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "out_pictures").iterdir()] == ["a.webm"]


@contextlib.contextmanager
def signal_after(looks, number=signal.SIGINT):
    left = iter(range(looks))
    yield lambda: 0 if next(left, None) is not None else number


def test_stopped_between_frames(tmp_path, monkeypatch):
    """Whole rows and a playable copy; the same command begins this video anew and keeps those before it."""
    paths = [clips.write_clip(tmp_path / name, numbered(20)) for name in ("a.webm", "b.webm")]
    output, command = tmp_path / "out.csv", settings(whole)
    with monkeypatch.context() as patch:
        patch.setattr(signals, "noted_signals", functools.partial(signal_after, 30))
        with pytest.raises(signals.Stopped) as caught:
            predict_videos(str(tmp_path), paths, settings=command, output=output, key="k")
    assert caught.value.status == 130
    assert f"of {paths[1]}: its rows are in {output}.incomplete, the marked video" in str(caught.value)
    lines = (tmp_path / "out.csv.incomplete").read_text().splitlines()
    assert 20 < len(lines) - 1 < 40
    assert all(line.count(",") == len(COLUMNS) - 1 for line in lines)
    assert not output.exists()
    copy = tmp_path / "out_pictures" / "b.webm"
    assert len(list(read_frames(open_video(copy)))) == len(lines) - 21
    seen = []

    def noting(picture):
        seen.append(picture)
        return whole(picture)

    command = command._replace(find=noting)
    predict_videos(str(tmp_path), paths, settings=command, output=output, key="k")
    assert len(seen) == 20
    rows = pd.read_csv(output)
    assert rows.groupby("id").size().tolist() == [20, 20]
    assert rows["frame"].tolist() == [*range(20), *range(20)]
    assert len(list(read_frames(open_video(copy)))) == 20
    assert sorted(p.name for p in tmp_path.glob("out*")) == ["out.csv", "out_pictures"]


class FakeCapture:
    """A camera that gives one picture again and again; with the tenth, Ctrl-C comes."""

    def __init__(self):
        self.given = 0

    def isOpened(self):
        return True

    def set(self, *_):
        return True

    def grab(self):
        self.given += 1
        time.sleep(0.01)
        if self.given == 10:
            signal.raise_signal(signal.SIGINT)
        return self.given <= 40

    def retrieve(self):
        return True, np.full((48, 64, 3), 200, np.uint8)

    def release(self):
        pass


def test_a_camera_ends_with_ctrl_c(tmp_path, monkeypatch, capsys):
    """Regularly: table, copy and timeline are complete."""
    real = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda source, *rest: real(source, *rest) if rest else FakeCapture()
    )
    monkeypatch.setattr(os, "_exit", lambda status: pytest.fail(f"ended with {status}"))
    # An earlier copy, whose removal is a moment at which a signal may end the process.
    (tmp_path / "out_pictures").mkdir()
    (tmp_path / "out_pictures" / "old.webm").write_bytes(MARK_OF_VIDEO)
    predict_camera(0, settings(whole), tmp_path / "out.csv")
    printed = capsys.readouterr().out
    assert printed.startswith("camera:0: looking; Ctrl-C ends it, and completes the files\n")
    rows = pd.read_csv(tmp_path / "out.csv")
    assert rows["frame"].tolist() == list(range(10))
    assert rows["time"].is_monotonic_increasing
    assert rows["time"][0] == 0
    assert set(rows["id"]) == {"camera:0"}
    names = sorted(path.name for path in (tmp_path / "out_pictures").iterdir())
    assert names == ["camera-0.webm", "camera-0_timeline.png"]
    assert len(list(read_frames(open_video(tmp_path / "out_pictures" / "camera-0.webm")))) > 0


@pytest.mark.nightly
def test_from_the_command_line(tmp_path):
    """Photos and videos of one folder go to two tables, and nothing but our lines is printed."""
    album = tmp_path / "album"
    album.mkdir()
    faces = clips.people()
    times = range(0, 1000, 100)
    clips.write_clip(
        album / "clip.webm", (clips.picture_at(t / 1000, faces, scale=2) for t in times), rate=10.0
    )
    clips.picture_at(0, faces, scale=2).save(album / "photo.jpg", quality=95)
    (album / "noise.mkv").write_bytes(BAD["noise.mkv"][0])
    command = [f"--config={MAIN.parent}/configs/tiny.py", "--mode=predict", "--output=out.csv"]
    ran = run_main([*command, "--input=album", "--config.video.smoothing=0.3"], tmp_path)
    assert ran.returncode == 1
    errors = ran.stderr.splitlines()
    assert [line for line in errors if not line.startswith(("left out: ", "error: "))] == []
    assert errors[-1] == (
        "error: album: 1 of 2 videos cannot be read as a whole; the rest is in out_videos.csv"
    )
    assert list(pd.read_csv(tmp_path / "out.csv")) == ["id", "label", "x", "y", "width", "height"]
    rows = pd.read_csv(tmp_path / "out_videos.csv")
    assert list(rows.columns) == COLUMNS
    assert set(rows["face"]) == {0, 1}
    assert (rows.groupby("face").size() >= 9).all()
    for face, x in ((0, 87), (1, 393)):
        middle = rows[rows["face"] == face][["x", "width"]].to_numpy() @ [1, 0.5]
        np.testing.assert_allclose(middle.mean(), x + clips.SIDE, atol=25)
    names = {path.name for path in (tmp_path / "out_pictures").iterdir()}
    assert names == {"photo.jpg", "clip.webm", "clip_timeline.png"}
    ran = run_main([*command, "--input=album/noise.mkv"], tmp_path)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith("error: album/noise.mkv: cannot be read as a video (it is damaged, or")
    ran = run_main([*command, "--input=camera:97"], tmp_path)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith("error: camera:97: cannot be opened")


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_signal(tmp_path, number):
    faces = clips.people()
    path = clips.write_clip(
        tmp_path / "clip.webm", (clips.picture_at(n / 25, faces, scale=2) for n in range(60))
    )
    command = [sys.executable, MAIN, f"--config={MAIN.parent}/configs/tiny.py", "--mode=predict"]
    process = subprocess.Popen(
        [*command, f"--input={path}", "--output=out.csv"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    incomplete = tmp_path / "out.csv.incomplete"
    try:
        while process.poll() is None and not (incomplete.exists() and incomplete.stat().st_size > 100):
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, errors
    assert "stopped at" in errors
    assert incomplete.read_text().endswith("\n")
    assert len(pd.read_csv(incomplete)) > 0
    assert len(list(read_frames(open_video(tmp_path / "out_pictures" / "clip.webm")))) > 0


def peak_memory(command, folder):
    """The most memory in MB that a command had; what wait4 tells includes this process, before the fork."""
    peak = 0
    with open(folder / "errors.txt", "w") as errors:
        process = subprocess.Popen(
            [sys.executable, MAIN, *command], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors
        )
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *map(int, re.findall(r"VmHWM:\s+(\d+) kB", status)), 0)
            time.sleep(0.05)
    assert process.returncode == 0, (folder / "errors.txt").read_text()
    return peak / 1024


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_memory_does_not_grow_with_the_length(tmp_path):
    faces, memory, rate = clips.people(), {}, 2
    for minutes in (1, 20):
        frames = (clips.picture_at(n / rate % 10, faces, scale=2) for n in range(minutes * 60 * rate))
        path = clips.write_clip(tmp_path / f"{minutes}.webm", frames, rate=float(rate))
        command = [f"--config={MAIN.parent}/configs/tiny.py", "--mode=predict"]
        memory[minutes] = peak_memory([*command, f"--input={path}", f"--output={minutes}.csv"], tmp_path)
        rows = pd.read_csv(tmp_path / f"{minutes}.csv")
        assert rows["frame"].max() == minutes * 60 * rate - 1
    assert memory[20] < memory[1] + 100, memory
