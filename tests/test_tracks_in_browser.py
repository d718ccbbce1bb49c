"""The page's tracks and smoothing, run in Chromium, against NumPy and SciPy."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from chromium import needs_chromium, open_browser
from served import server

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    folder.joinpath("server").mkdir()
    folder.joinpath("film.mjpeg").touch()
    with (
        server(folder / "server") as url,
        open_browser(folder / "profile", folder / "film.mjpeg") as driver,
    ):
        driver.get(url)
        yield driver


def run(browser, module, script, *arguments):
    """What ``script``, the body of a function, returns; ``m`` is the module, ``a`` are the arguments."""
    body = (
        "const [a, done] = [arguments[0], arguments[1]];"
        f'import("/static/{module}").then((m) => {{ {script} }}).then(done, (error) => done(String(error)));'
    )
    return browser.execute_async_script(body, list(arguments))


def rows_at_random_times(count=60, classes=7):
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(classes), count), np.cumsum(rng.exponential(0.1, count))


SMOOTH = """
const [rows, times, seconds, intervals] = a;
let state = null;
return rows.map((row, n) => {
  const named = Object.fromEntries(row.map((value, k) => ["c" + k, value]));
  state = m.smooth(state, named, times[n], { seconds, interval: intervals?.[n] ?? null });
  return Object.values(state.mean);
});
"""


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0])
def test_smoothing_is_a_weighted_mean(browser, seconds):
    """Each row weighs as the integral of exp(-age / seconds) over the time that it stands for."""
    rows, times = rows_at_random_times()
    got = np.array(run(browser, "smoothing.js", SMOOTH, rows.tolist(), times.tolist(), seconds))
    np.testing.assert_array_equal(got[0], rows[0])
    for last in range(1, len(rows)):
        now = times[last]
        ends = times[: last + 1]
        starts = np.concatenate([[ends[0] - (ends[1] - ends[0])], ends[:-1]])
        weights = np.exp((ends - now) / seconds) - np.exp((starts - now) / seconds)
        np.testing.assert_allclose(got[last], weights @ rows[: last + 1] / weights.sum(), atol=1e-9)


def test_smoothing_does_not_depend_on_how_often_it_looks(browser):
    """A step, seen 5 or 50 times a second, from its second frame on."""
    means = []
    for rate in (5, 50):
        times = np.arange(0, 2 + 1e-9, 1 / rate)
        rows = np.where(times[:, None] < 1 + 1e-9, [1.0, 0.0], [0.0, 1.0])
        got = run(browser, "smoothing.js", SMOOTH, rows.tolist(), times.tolist(), 0.5)
        means.append(got[-1])
    np.testing.assert_allclose(*means, atol=0.02)
    assert means[0][1] == pytest.approx(1 - np.exp(-1 / 0.5), abs=0.03)


def test_what_comes_back_counts_as_one_frame(browser):
    """After two seconds without a face, a row stands for the time since the frame before."""
    got = run(browser, "smoothing.js", SMOOTH, [[1, 0], [1, 0], [0, 1]], [0, 0.1, 2.1], 0.5, [None, 0.1, 0.1])
    row = 1 - np.exp(-0.1 / 0.5)
    before = row * (1 + np.exp(-0.1 / 0.5)) * np.exp(-2 / 0.5)
    assert got[-1] == pytest.approx([before / (before + row), row / (before + row)])


def test_no_smoothing(browser):
    rows, times = rows_at_random_times(5)
    got = run(browser, "smoothing.js", SMOOTH, rows.tolist(), times.tolist(), 0)
    np.testing.assert_array_equal(got, rows)


def test_rows_at_the_same_time(browser):
    got = run(browser, "smoothing.js", SMOOTH, [[1, 0], [0, 1]], [2, 2], 0.5)
    assert got[-1] == [0.5, 0.5]
    assert run(browser, "smoothing.js", "return m.likeliest(a[0])", {"a": 0.2, "b": 0.5, "c": 0.3}) == "b"


def test_assignment(browser):
    """As good as SciPy's, for all shapes, with equal gains too."""
    rng = np.random.default_rng(1)
    cases = [rng.normal(size=rng.integers(1, 8, 2)) for _ in range(150)]
    cases += [rng.integers(-1, 3, rng.integers(1, 8, 2)).astype(float) for _ in range(150)]
    found = run(browser, "assignment.js", "return a[0].map(m.assign)", [case.tolist() for case in cases])
    for gains, columns in zip(cases, found, strict=True):
        pairs = [(row, column) for row, column in enumerate(columns) if column >= 0]
        assert len({column for _, column in pairs}) == len(pairs) == min(gains.shape)
        best = gains[linear_sum_assignment(gains, maximize=True)].sum()
        assert sum(gains[pair] for pair in pairs) == pytest.approx(best)
    assert run(browser, "assignment.js", "return [m.assign([]), m.assign([[], []])]") == [[], [-1, -1]]


def test_overlap(browser):
    """By counting pixels."""
    rng = np.random.default_rng(2)
    pairs = np.concatenate([rng.integers(0, 20, (200, 2, 2)), rng.integers(1, 20, (200, 2, 2))], -1)
    got = run(browser, "tracks.js", "return a[0].map(([one, two]) => m.overlap(one, two))", pairs.tolist())
    for pair, share in zip(pairs, got, strict=True):
        grids = np.zeros((2, 40, 40), bool)
        for grid, (x, y, w, h) in zip(grids, pair, strict=True):
            grid[y : y + h, x : x + w] = True
        assert share == pytest.approx(grids.all(0).sum() / grids.any(0).sum())


FOLLOW = """
let tracks = m.NO_TRACKS;
return a[0].map(({ boxes, looks, time }) => {
  const followed = m.follow(tracks, boxes, looks.map(m.unit), time);
  tracks = followed.tracks;
  return followed.numbers;
});
"""
LOOKS = np.random.default_rng(3).normal(size=(3, 144)).round(6).tolist()


def numbers(browser, frames):
    """Number of the track of each face; ``frames`` are (time, {face: (x, y)}), boxes are 100 wide."""
    given = [
        {
            "time": time,
            "boxes": [[x, y, 100, 100] for x, y in faces.values()],
            "looks": [LOOKS[face] for face in faces],
        }
        for time, faces in frames
    ]
    found = run(browser, "tracks.js", FOLLOW, given)
    return [dict(zip(faces, row, strict=True)) for (_, faces), row in zip(frames, found, strict=True)]


def test_two_faces_keep_their_numbers(browser):
    """In whatever order the detector names them, at uneven times."""
    rng = np.random.default_rng(4)
    frames = []
    for time in np.cumsum(rng.uniform(0.03, 0.15, 40)).tolist():
        faces = {0: (100 + 60 * np.sin(time), 100), 1: (400, 200 + 50 * time)}
        frames.append((time, dict(sorted(faces.items(), reverse=rng.random() < 0.5))))
    first, *others = numbers(browser, frames)
    assert sorted(first.values()) == [0, 1]
    assert all(each == first for each in others)


def test_two_faces_that_cross(browser):
    """They pass each other, and one is hidden for a while."""
    frames = []
    for time in np.arange(0, 4, 0.1).tolist():
        x = 100 + 100 * time, 500 - 100 * time
        faces = {0: (x[0], 100)} | ({1: (x[1], 110)} if abs(x[0] - x[1]) > 70 else {})
        frames.append((time, faces))
    assert any(len(faces) == 1 for _, faces in frames)
    for each in numbers(browser, frames):
        assert each.items() <= {0: 0, 1: 1}.items()


@pytest.mark.parametrize(("gap", "after"), [(0.45, 0), (0.7, 1)])
def test_a_gap_of_half_a_second(browser, gap, after):
    frames = [(n / 20, {0: (100, 100)} if n / 20 < 1 or n / 20 > 1 + gap else {}) for n in range(60)]
    found = numbers(browser, frames)
    assert found[0] == {0: 0}
    assert found[-1] == {0: after}


def test_a_slow_machine(browser):
    """With a frame in two seconds a face that stays keeps its number; one elsewhere gets a new one."""
    frames = [(0.0, {0: (100, 100)}), (2.0, {0: (110, 100)}), (4.0, {0: (400, 100)}), (6.0, {})]
    assert numbers(browser, frames) == [{0: 0}, {0: 0}, {0: 1}, {}]


def test_a_second_box_on_a_face_is_no_face(browser):
    """And has no number."""
    frames = [(0.0, {0: (100, 100)}), (0.1, {0: (100, 100), 1: (130, 110)}), (0.2, {0: (102, 100)})]
    assert numbers(browser, frames) == [{0: 0}, {0: 0, 1: None}, {0: 0}]


def test_the_rules_are_those_for_videos(browser):
    """The same numbers and means as in Python, for faces that wander, cross, vanish and return at random."""
    tracks = pytest.importorskip("fer_jax.data.tracks", reason="no videos here")
    smoothing = pytest.importorskip("fer_jax.data.smoothing", reason="no videos here")
    rng = np.random.default_rng(5)
    for _ in range(20):
        times = np.cumsum(rng.exponential(0.12, 80)) + 0.01 * np.arange(80)
        speeds, phases = rng.uniform(0.2, 2, (4, 2)), rng.uniform(0, 6, (4, 2))
        pictures = rng.integers(0, 256, (4, 48, 48, 1), np.uint8)
        frames, state, expected = [], tracks.Tracks(), []
        for time in times.tolist():
            there = rng.permutation(np.flatnonzero(rng.random(4) < 0.8))
            places = 300 + 250 * np.sin(speeds * time + phases) + rng.normal(0, 4, (4, 2))
            boxes = np.concatenate([places, np.full((4, 2), 90.0)], 1)[there]
            state, found = tracks.follow(state, boxes, pictures[there], time)
            expected.append(found)
            looks = pictures[there].reshape(-1, 12, 4, 12, 4).mean((2, 4)).reshape(-1, 144)
            frames.append({"boxes": boxes.tolist(), "looks": looks.tolist(), "time": time})
        assert run(browser, "tracks.js", FOLLOW, frames) == expected
    rows, times = rows_at_random_times()
    intervals = [None, *np.diff(times).tolist()]
    intervals[20:25] = [0.02] * 5
    got = run(browser, "smoothing.js", SMOOTH, rows.tolist(), times.tolist(), 0.5, intervals)
    state = None
    for row, time, interval, mean in zip(rows, times, intervals, got, strict=True):
        state = smoothing.smooth(state, row, time, seconds=0.5, interval=interval)
        np.testing.assert_allclose(mean, state.mean, atol=1e-9)
