"""Faces drawn by rule, for trying everything out without a download.

Only its action units express a face's label: the muscle movements of the Facial Action Coding System
(P. Ekman and W. V. Friesen, Facial Action Coding System, Consulting Psychologists Press, 1978). Identity,
pose of the head, light, background and what covers the face are drawn at random, independently of the
label. Intensities vary, so that weak expressions are close to neutral. Similar expressions share units:
fear and surprise (1, 2, 5, 26), angry and disgust (4, 7), sad and neutral.

Drawn faces replace photographs in tests and demonstrations. A score on them says nothing about people.
"""

from types import SimpleNamespace

import numpy as np

from fer_jax.data.faces import Faces, Splits
from fer_jax.data.synthetic import draw
from fer_jax.labels import LABELS, NUM_CLASSES, SIDE

ACTION_UNITS = {
    "au1": "inner brow raiser",
    "au2": "outer brow raiser",
    "au4": "brow lowerer",
    "au5": "upper lid raiser",
    "au6": "cheek raiser",
    "au7": "lid tightener",
    "au9": "nose wrinkler",
    "au10": "upper lip raiser",
    "au12": "lip corner puller",
    "au15": "lip corner depressor",
    "au17": "chin raiser",
    "au20": "lip stretcher",
    "au23": "lip tightener",
    "au25": "lips part",
    "au26": "jaw drop",
    "au43": "eyes closed",
}

EXPRESSIONS = {
    "angry": {"au4": 1.0, "au5": 0.3, "au7": 0.8, "au10": 0.2, "au23": 1.0, "au25": 0.5},
    "disgust": {"au4": 0.4, "au7": 0.4, "au9": 1.0, "au10": 0.9, "au15": 0.6, "au17": 0.6, "au25": 0.4},
    "fear": {"au1": 1.0, "au2": 0.4, "au4": 0.6, "au5": 0.9, "au20": 1.0, "au25": 0.9, "au26": 0.3},
    "happy": {"au6": 0.9, "au7": 0.1, "au12": 1.0, "au25": 0.9},
    "sad": {"au1": 0.9, "au4": 0.6, "au15": 1.0, "au17": 0.6, "au43": 0.4},
    "surprise": {"au1": 0.9, "au2": 1.0, "au5": 0.8, "au25": 0.8, "au26": 1.0},
    "neutral": {},
}
"""The action units of each expression at full intensity; 1 is the unit's full strength."""

IDENTITY = {
    "face_width": (0.70, 0.86),
    "jaw_taper": (0.08, 0.34),
    "skin": (0.5, 0.92),
    "age": (0.0, 0.5),
    "eye_x": (0.30, 0.38),
    "eye_y": (-0.18, -0.12),
    "eye_width": (0.16, 0.21),
    "eye_height": (0.075, 0.105),
    "eye_slant": (-0.03, 0.03),
    "iris_tone": (0.10, 0.42),
    "lash": (0.012, 0.028),
    "brow_length": (0.17, 0.23),
    "brow_gap": (0.20, 0.25),
    "brow_slope": (-0.03, 0.03),
    "brow_arch": (0.0, 0.05),
    "brow_thickness": (0.022, 0.055),
    "nose_y": (0.17, 0.25),
    "nose_width": (0.11, 0.17),
    "mouth_y": (0.50, 0.56),
    "mouth_width": (0.27, 0.35),
    "lip_thickness": (0.04, 0.085),
    "lip_tone": (0.62, 0.85),
    "rest_smile": (-0.03, 0.03),
    "hair": (0.06, 0.55),
    "hairline": (-0.78, -0.48),
    "hair_volume": (0.02, 0.2),
    "parting": (-0.35, 0.35),
    "temples": (0.5, 2.5),
    "strands": (25.0, 60.0),
    "cloth_tone": (0.1, 0.8),
    "rim": (0.014, 0.03),
    "rim_tone": (0.03, 0.3),
}
POSE = {
    "roll": (-0.27, 0.27),
    "shift_x": (-3.0, 3.0),
    "shift_y": (-3.0, 3.0),
    "scale": (0.88, 1.12),
    "yaw": (-0.2, 0.2),
    "pitch": (-0.08, 0.08),
    "gaze_x": (-0.07, 0.07),
    "gaze_y": (-0.02, 0.03),
    "brow_skew": (-0.025, 0.025),
    "smirk": (-0.035, 0.035),
}
SCENE = {
    "back_tone": (0.1, 0.9),
    "back_slope_x": (-0.2, 0.2),
    "back_slope_y": (-0.2, 0.2),
    "back_spot": (-0.3, 0.3),
    "back_spot_x": (-1.2, 1.2),
    "back_spot_y": (-1.2, 1.2),
    "light_x": (-0.75, 0.75),
    "light_y": (-0.6, 0.3),
    "relief": (0.3, 0.6),
    "gradient": (0.0, 0.35),
    "contrast": (0.75, 1.15),
    "brightness": (-0.12, 0.12),
    "gamma": (-0.4, 0.5),
    "blur": (0.0, 0.2),
    "noise": (0.0, 0.03),
    "cover_angle": (-3.15, 3.15),
    "cover_offset": (0.2, 0.6),
    "cover_tone": (0.05, 0.7),
}
"""The range of each number that does not depend on the expression (see ``draw``)."""

TRAITS = {"long_hair": 0.35, "fringe": 0.3, "bald": 0.08, "glasses": 0.2, "round_lips": 0.8}
COVERS = {"hand": 0.05, "scarf": 0.03, "bar": 0.04, "shadow": 0.08}
"""The probability of each trait, and of each object that covers a face."""

PUT_ON = {
    "glasses": draw.glasses,
    "hand": draw.hand,
    "bar": draw.bar,
    "scarf": draw.scarf,
    "shadow": draw.cast_shadow,
}
"""The parts drawn last, in this order, on the faces that have the trait or cover of that name."""

RANGES = IDENTITY | POSE | SCENE
BLOCK = 64
"""Faces drawn together: enough to hide the cost of a call, few enough to be gentle on memory."""
_LABEL_STREAM, _FACE_STREAM, _PART_STREAM = 0, 1, 2


def draw_faces(num_examples: int, *, seed: int) -> Faces:
    """Draw labelled faces of the seven expressions.

    Face number i and its label depend only on (seed, i), so a longer set begins with the shorter one.

    Args:
      num_examples: how many, 0 or more.
      seed: 0 or more.

    Returns:
      images uint8 (N, 48, 48, 1); labels int32 (N,), where each block of seven has each label once; ids
      (N,) the row numbers.
    """
    labels = draw_labels(num_examples, seed=seed)
    starts = range(0, num_examples, BLOCK)
    blocks = [_draw_block(labels[start : start + BLOCK], start, seed) for start in starts]
    images = np.concatenate([np.zeros((0, SIDE, SIDE, 1), np.uint8), *blocks])
    return Faces(images, labels, np.arange(num_examples).astype(str))


def synthetic_splits(*, num_train: int, num_validation: int, num_test: int, seed: int) -> Splits:
    """Draw three parts from separate random streams, so that no face is in two of them."""
    counts = (num_train, num_validation, num_test)
    parts = [draw_faces(count, seed=_part_seed(seed, part)) for part, count in enumerate(counts)]
    note = f"drawn faces, seed {seed}: {num_train} to train, {num_validation} to validate, {num_test} to test"
    return Splits(*parts, notes=(note,))


def draw_labels(num_examples: int, *, seed: int) -> np.ndarray:
    """Draw labels int32 (N,): blocks of the seven labels, each block in its own random order."""
    num_blocks = -(-num_examples // NUM_CLASSES)
    orders = [_stream(seed, _LABEL_STREAM, block).permutation(NUM_CLASSES) for block in range(num_blocks)]
    return np.array(orders, np.int32).reshape(-1)[:num_examples]


def expression_units(labels: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """The strength of each action unit on each face: float (N, A), 0 or more, for A action units.

    Args:
      labels: int (N,).
      uniform: float (N, 2, A + 1), random numbers between 0 and 1.
    """
    table = np.array([[EXPRESSIONS[name].get(unit, 0.0) for unit in ACTION_UNITS] for name in LABELS])
    intensity = 0.4 + 0.8 * uniform[:, 0, :1]
    own_way = 1 + 0.8 * (uniform[:, 0, 1:] - 0.5)
    # A little of another expression: mixed feelings, or a person who is talking.
    other = (uniform[:, 1, :1] * NUM_CLASSES).astype(int)[:, 0]
    touch = 0.3 * uniform[:, 1, 1:] ** 2
    return table[labels] * intensity * own_way + table[other] * touch


def camera(picture, p, g: draw.Plane, noise) -> np.ndarray:
    """Apply contrast, brightness, a gamma-like curve, a blur of three by three pixels, and noise."""
    across = (g.x * p.light_x + g.y * p.light_y) * p.gradient
    picture = (picture * (1 + across) - 0.5) * p.contrast + 0.5 + p.brightness
    picture = np.clip(picture, 0, 1)
    picture = picture + p.gamma * picture * (1 - picture)
    for axis in (1, 2):
        picture = blur(picture, p.blur, axis)
    return np.clip(picture + p.noise * noise, 0, 1)


def blur(picture, weight, axis) -> np.ndarray:
    """Mix in the two neighbours along an axis; outside, the border pixel is repeated."""
    first, last = np.take(picture, [0], axis), np.take(picture, [-1], axis)
    before = np.concatenate([first, np.delete(picture, -1, axis)], axis)
    after = np.concatenate([np.delete(picture, 0, axis), last], axis)
    return picture + weight * (before + after - 2 * picture)


def portraits(p: SimpleNamespace, noise: np.ndarray) -> np.ndarray:
    """Draw the faces with parameters ``p`` (each (N, 1, 1)) and noise (N, 48, 48) of unit variance.

    Returns float32 (N, 48, 48) from 0 to 1.
    """
    g = draw.plane(p)
    light, head = draw.light_on_head(p, g), draw.head_mask(p, g)
    picture = draw.bust(draw.background(p, g), p, g, light)
    picture = draw.skin(picture, p, g, light, head)
    picture = draw.wrinkles(draw.nose(picture, p, g), p, g)
    picture = draw.on_some(draw.beard, p.beard + p.moustache, picture, p, g)
    picture = draw.brows(draw.eyes(draw.mouth(picture, p, g), p, g), p, g)
    picture = draw.on_some(draw.hair, 1 - p.bald, picture, p, g)
    for name, part in PUT_ON.items():
        picture = draw.on_some(part, getattr(p, name), picture, p, g)
    return camera(picture, p, g, noise)


def _draw_block(labels: np.ndarray, first: int, seed: int) -> np.ndarray:
    """Draw uint8 (n, 48, 48, 1): the faces first, first + 1, ... with these labels."""
    streams = [_stream(seed, _FACE_STREAM, first + row) for row in range(len(labels))]
    parameters = _sample(labels, streams)
    noise = np.stack([stream.standard_normal((SIDE, SIDE), np.float32) for stream in streams])
    return np.rint(portraits(parameters, noise) * 255).astype(np.uint8)[..., None]


def _sample(labels: np.ndarray, streams: list[np.random.Generator]) -> SimpleNamespace:
    """Draw the parameters of a block of faces, each float32 (n, 1, 1)."""
    num_units = len(ACTION_UNITS)
    plain, second = np.stack([stream.random((2, len(RANGES))) for stream in streams], 2)
    traits = np.stack([stream.random(len(TRAITS) + 3) for stream in streams], 1)
    expression = np.stack([stream.random((2, num_units + 1)) for stream in streams])
    # The mean of two draws for the pose: most heads are nearly straight, few are near the limits.
    plain = np.where(np.isin(list(RANGES), list(POSE))[:, None], (plain + second) / 2, plain)
    low, high = np.array(list(RANGES.values())).T[..., None]
    values = dict(zip(RANGES, low + (high - low) * plain, strict=True))
    values |= {name: u < TRAITS[name] for name, u in zip(TRAITS, traits, strict=False)}
    values |= _covers(traits[-1]) | _whiskers(traits[-3], traits[-2])
    values |= dict(zip(ACTION_UNITS, expression_units(labels, expression).T, strict=True))
    return SimpleNamespace(**{name: np.float32(value)[:, None, None] for name, value in values.items()})


def _covers(u: np.ndarray) -> dict[str, np.ndarray]:
    """Choose at most one cover per face: each has its own part of the unit interval."""
    ends = np.cumsum(list(COVERS.values()))
    kind = np.searchsorted(ends, u, side="right")
    return {name: kind == number for number, name in enumerate(COVERS)}


def _whiskers(u_beard: np.ndarray, u_moustache: np.ndarray) -> dict[str, np.ndarray]:
    """Choose stubble to a full beard on a quarter of the faces, a moustache on an eighth."""
    beard = np.where(u_beard < 0.25, 0.3 + 2.4 * u_beard, 0)
    return {"beard": beard, "moustache": np.where(u_moustache < 0.12, 0.85, 0.8 * beard)}


def _part_seed(seed: int, part: int) -> int:
    sequence = np.random.SeedSequence(seed, spawn_key=(_PART_STREAM, part))
    return int(sequence.generate_state(1, np.uint64)[0])


def _stream(seed: int, kind: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(kind, number)))
