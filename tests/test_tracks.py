"""Faces keep their numbers from frame to frame; means over time are those of an integral."""

import numpy as np
import pytest

from fer_jax.data.detectors import Box
from fer_jax.data.smoothing import smooth
from fer_jax.data.synthetic.faces import draw_faces
from fer_jax.data.tracks import Tracks, follow, overlaps

LOOKS = draw_faces(3, seed=1).images


def followed(frames):
    """Numbers of the faces, a list for each frame of (time, [(person, box), ...])."""
    tracks, result = Tracks(), []
    for time, seen in frames:
        boxes = [Box(*box) for _, box in seen]
        faces = np.array([LOOKS[person] for person, _ in seen], np.uint8).reshape(-1, 48, 48, 1)
        tracks, numbers = follow(tracks, boxes, faces, time)
        result.append(numbers)
    return result


def at(person, x, y=50, side=80):
    return person, (x, y, side, side)


def test_overlap_is_that_of_counted_pixels():
    draw = np.random.default_rng(0)
    boxes = draw.integers(1, 20, (6, 4))
    masks = np.zeros((6, 40, 40), bool)
    for mask, (x, y, w, h) in zip(masks, boxes, strict=True):
        mask[y : y + h, x : x + w] = True
    both = (masks[:, None] & masks[None]).sum((2, 3))
    either = (masks[:, None] | masks[None]).sum((2, 3))
    np.testing.assert_allclose(overlaps(boxes, boxes), both / either, atol=1e-9)


def test_faces_keep_their_numbers_in_any_order():
    frames = [(t, [at(0, 10 + 40 * t), at(1, 300)]) for t in (0.0, 0.1, 0.2)]
    frames += [(0.3, [at(1, 300), at(0, 22)]), (0.4, [at(1, 301)]), (0.5, [at(0, 30), at(1, 300)])]
    assert followed(frames) == [[0, 1]] * 3 + [[1, 0], [1], [0, 1]]


@pytest.mark.parametrize(("gap", "number"), [(0.5, 0), (0.56, 1), (2.0, 1)])
def test_a_gap_of_half_a_second_survives(gap, number):
    """Counted in the frames in which the face is missed."""
    step = 0.04
    missed = np.arange(1.0 + step, 1.0 + gap + 1e-9, step)
    after = missed[-1] + step
    frames = [(t, [at(0, 100)]) for t in np.arange(0, 1.0 + 1e-9, step)]
    frames += [(t, []) for t in missed] + [(after, [at(0, 100)])]
    assert followed(frames)[-1] == [number]


@pytest.mark.parametrize("step", [1.0, 5.0])
def test_few_frames_a_second_leave_no_gap(step):
    """A face that was seen the last time is still there."""
    assert followed([(n * step, [at(0, 100 + 5 * n)]) for n in range(4)]) == [[0]] * 4
    gone = [(0.0, [at(0, 100)]), (step, []), (2 * step, [at(0, 100)])]
    assert followed(gone)[-1] == [1]


def crossing(seconds, *, visible=0.4, swap=False, rate=25):
    """Two faces that pass each other; the farther one is not found while the nearer covers so much of it."""
    frames = []
    for n in range(int(seconds * rate) + 1):
        t = n / rate
        left, right = 20 + 300 * t / seconds, 320 - 300 * t / seconds
        seen = [at(0, left, 50), at(1, right, 58)]
        if max(0, 80 - abs(left - right)) / 80 > visible:
            seen = [seen[1]]
        frames.append((t, seen[::-1] if swap and n % 2 else seen))
    return frames


@pytest.mark.parametrize("seconds", [1.0, 3.0, 8.0, 15.0])
@pytest.mark.parametrize("visible", [0.3, 1.0])
def test_faces_that_cross_keep_their_numbers(seconds, visible):
    """Whether the farther one is lost meanwhile or found throughout."""
    frames = crossing(seconds, visible=visible, swap=True)
    for (_, seen), numbers in zip(frames, followed(frames), strict=True):
        assert numbers == [person for person, _ in seen]


def test_faces_that_meet_and_turn_back_are_told_by_their_look():
    """Their motion would say that they have crossed."""
    frames = []
    for n in range(101):
        t = n / 25
        apart = 150 * abs(t - 2) / 2
        seen = [at(0, 160 - apart), at(1, 165 + apart, 56)]
        frames.append((t, seen if apart > 30 else [seen[1]]))
    for (_, seen), numbers in zip(frames, followed(frames), strict=True):
        assert numbers == [person for person, _ in seen]


def test_a_second_box_on_a_face_is_no_face():
    frames = [(0.0, [at(0, 100)]), (0.04, [at(0, 100), at(2, 125, 75, 30)]), (0.08, [at(0, 101)])]
    assert followed(frames) == [[0], [0, None], [0]]
    # After a cut the face there may be a new one, much smaller.
    assert followed([(0.0, [at(0, 100)]), (0.04, [at(2, 125, 75, 28)])]) == [[0], [1]]


def test_no_face_at_all():
    assert followed([(0.0, []), (0.1, [])]) == [[], []]


def integral(times, values, seconds, first):
    """The mean over time up to the last moment, each value held since the one before; by fine steps."""
    starts = np.concatenate([[times[0] - first], times[:-1]])
    t = np.linspace(starts[0], times[-1], 400_001)
    t = (t[1:] + t[:-1]) / 2
    held = np.asarray(values)[np.searchsorted(times, t)]
    weights = np.exp((t - times[-1]) / seconds)
    return (held * weights).sum() / weights.sum()


def smoothed(times, values, seconds, **options):
    state = None
    for time, value in zip(times, values, strict=True):
        state = smooth(state, np.array([value]), time, seconds=seconds, **options)
    return state.mean[0]


@pytest.mark.parametrize("seconds", [0.05, 0.5, 4.0])
def test_smoothing_is_the_mean_over_time(seconds):
    draw = np.random.default_rng(0)
    times, values = np.cumsum(draw.uniform(0.01, 0.3, 30)), draw.uniform(0, 1, 30)
    expected = integral(times, values, seconds, first=times[1] - times[0])
    np.testing.assert_allclose(smoothed(times, values, seconds), expected, atol=1e-4)


def test_smoothing_does_not_depend_on_the_frame_rate():
    """A step from 0 to 1, seen at 5 and at 100 frames a second."""

    def step_seen(rate):
        times = np.arange(1, 2 * rate + 1) / rate
        return smoothed(times, (times > 1).astype(float), 0.5)

    np.testing.assert_allclose(step_seen(5), step_seen(100), atol=1e-9)


def test_smoothing_of_one_value_of_none_and_of_a_gap():
    assert smoothed([3.0], [0.7], 0.5) == 0.7
    assert smoothed([1.0, 1.0], [0.0, 1.0], 0.5) == 0.5
    assert smoothed([0.0, 0.1, 0.2], [0.1, 0.9, 0.4], 0.0) == 0.4
    # What comes back after two seconds counts as one frame, not as two seconds.
    state = None
    for time, value in [*((n / 25, 0.0) for n in range(50)), (3.96, 1.0)]:
        state = smooth(state, np.array([value]), time, seconds=2.0, interval=0.04)
    assert state.mean[0] < 0.1
    assert smoothed([*np.arange(50) / 25, 3.96], [0.0] * 50 + [1.0], 2.0) > 0.5
