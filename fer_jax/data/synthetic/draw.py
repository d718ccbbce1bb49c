"""Draw many 48 x 48 grey portraits at once from their parameters, with NumPy alone.

The unit of length is half a face's height. x runs to the right and y downwards from the middle of the face,
so the chin is near y = 1. Every shape is a signed distance (negative inside) over the grid of pixels. Its
edge is blended over about one pixel, so outlines are smooth without drawing larger and shrinking.

A face's parameters are the attributes of one namespace ``p``, each float32 (N, 1, 1) to broadcast over
the pixels; ``fer_jax.data.synthetic.faces`` names and samples them. Pictures, masks and coordinates are
float32 (N, 48, 48), with 0 black and 1 white.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fer_jax.labels import SIDE

FACE_RADIUS = 22.0
"""Pixels from the middle of an upright face of scale 1 to its chin."""


class Plane(NamedTuple):
    """Where each pixel lies on each face, all (N, 48, 48) except ``sharp`` (N, 1, 1).

    Attributes:
      x, y: the coordinates of the head's outline.
      u, v: the same with the turn of the head (yaw, pitch): the features shift, the outline stays.
      mirror: |u|, so that both eyes or both brows are one shape.
      sign: -1 on the left half, +1 on the right half.
      sharp: pixels per unit of length.
    """

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    mirror: np.ndarray
    sign: np.ndarray
    sharp: np.ndarray


def plane(p: SimpleNamespace) -> Plane:
    """The pixels in face coordinates: undo shift, rotation and scale, then turn the features."""
    pixel = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    right, down = pixel[None, None, :] - p.shift_x, pixel[None, :, None] - p.shift_y - 1
    sharp = FACE_RADIUS * p.scale
    x = (np.cos(p.roll) * right + np.sin(p.roll) * down) / sharp
    y = (np.cos(p.roll) * down - np.sin(p.roll) * right) / sharp
    # As on a ball: the middle of the face moves most, its outline not at all.
    u = x - p.yaw * np.maximum(1 - 1.5 * x * x, 0)
    v = y - p.pitch * np.maximum(1 - y * y, 0)
    return Plane(x, y, u, v, np.abs(u), np.sign(u), sharp)


# Primitives: a signed distance becomes a mask, a mask is painted in a tone.
# They take most of the time, so they work in the arrays that they have just made.


def squares(x, y, half_width, half_height) -> np.ndarray:
    """(x / half_width)^2 + (y / half_height)^2"""
    a = x * (1 / half_width)
    b = y * (1 / half_height)
    a *= a
    b *= b
    a += b
    return a


def ellipse(x, y, half_width, half_height) -> np.ndarray:
    """Signed distance, roughly, to the ellipse round (0, 0)."""
    radius = squares(x, y, half_width, half_height)
    np.sqrt(radius, out=radius)
    radius -= 1
    radius *= np.minimum(half_width, half_height)
    return radius


def fill(distance, sharp) -> np.ndarray:
    """Mask of the inside of a shape, its edge one pixel wide."""
    mask = distance * -sharp
    mask += 0.5
    np.maximum(mask, 0, out=mask)
    return np.minimum(mask, 1, out=mask)


def blob(x, y, half_width, half_height) -> np.ndarray:
    """A soft spot round (0, 0): 1 in the middle, 0 from the ellipse outwards."""
    bump = squares(x, y, half_width, half_height)
    np.subtract(1, bump, out=bump)
    np.maximum(bump, 0, out=bump)
    bump *= bump
    return bump


def stroke(across, along, half_thickness, half_length, sharp) -> np.ndarray:
    """Mask of a line, by the distances from its middle across and along; thin lines come out faint."""
    sides, ends = np.abs(across), np.abs(along)
    sides -= half_thickness
    ends -= half_length
    return fill(np.maximum(sides, ends, out=sides), sharp)


def paint(picture, mask, tone) -> np.ndarray:
    change = tone - picture
    change *= mask
    change += picture
    return change


def shade(picture, mask, amount) -> np.ndarray:
    """Darken (amount > 0) or lighten (amount < 0) the picture inside the mask."""
    kept = mask * -amount
    kept += 1
    kept *= picture
    return kept


def on_some(part, chosen, picture, p, g: Plane) -> np.ndarray:
    """Paint ``part(picture, p, g)`` only on the faces where chosen (N, 1, 1) > 0."""
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return picture
    some = SimpleNamespace(**{name: value[rows] for name, value in vars(p).items()})
    painted = picture.copy()
    painted[rows] = part(picture[rows], some, Plane(*(values[rows] for values in g)))
    return painted


# The parts of a portrait, from the back to the front.


def background(p, g: Plane) -> np.ndarray:
    slope = p.back_tone + p.back_slope_x * g.x + p.back_slope_y * g.y
    slope = slope + p.back_spot * blob(g.x - p.back_spot_x, g.y - p.back_spot_y, 0.7, 1.1)
    return np.clip(slope, 0.03, 0.97)


def light_on_head(p, g: Plane) -> np.ndarray:
    """The light on the head, by Lambert's law on an ellipsoid."""
    normal_x, normal_y = g.x / (p.face_width * 1.1), g.y / 1.2
    normal_z = np.sqrt(np.maximum(1 - normal_x**2 - normal_y**2, 0.04))
    facing = p.light_x * normal_x + p.light_y * normal_y + 0.85 * normal_z
    return 1 - p.relief + p.relief * np.maximum(facing, 0)


def head_mask(p, g: Plane) -> np.ndarray:
    """An ellipse that narrows to the jaw; a dropped jaw makes it longer."""
    below = np.maximum(g.y, 0)
    width = p.face_width * (1 - p.jaw_taper * below * below)
    height = 1 + 0.1 * p.au26 * np.minimum(below * 2, 1)
    return fill(ellipse(g.x, g.y, width, height), g.sharp)


def bust(picture, p, g: Plane, light) -> np.ndarray:
    """Paint clothes, long hair behind the head, neck and ears."""
    shoulders = g.y - 1.28 - 0.35 * g.x * g.x + 0.1 * np.minimum(np.abs(g.x), 0.5)
    picture = paint(picture, fill(-shoulders, g.sharp), p.cloth_tone)
    picture = on_some(long_hair, p.long_hair, picture, p, g)
    picture = paint(picture, stroke(g.x, g.y - 1, p.face_width * 0.5, 0.42, g.sharp), p.skin * 0.62 * light)
    ears = ellipse(np.abs(g.x) - p.face_width, g.y + 0.02, 0.09, 0.2)
    return paint(picture, fill(ears, g.sharp) * (1 - p.long_hair), p.skin * 0.8 * light)


def long_hair(picture, p, g: Plane) -> np.ndarray:
    behind = ellipse(g.x, g.y - 0.2, p.face_width * 1.12 + 0.4 * p.hair_volume, 1.25)
    return paint(picture, fill(behind, g.sharp), hair_tone(p, g) * 0.8)


def skin(picture, p, g: Plane, light, head) -> np.ndarray:
    """Paint the head, with shaded hollows and lit cheeks."""
    tone = p.skin * light
    tone = shade(tone, blob(g.mirror - p.eye_x * 0.92, g.v - p.eye_y + 0.04, 0.3, 0.24), 0.26)
    tone = shade(tone, blob(g.mirror - 0.42, g.v - 0.2 + 0.07 * p.au6, 0.25, 0.22), -0.1 - 0.12 * p.au6)
    tone = shade(tone, blob(g.u, g.v - p.mouth_y - 0.24 - 0.1 * p.au26, 0.22, 0.1), 0.2)
    tone = shade(tone, blob(g.u, g.v - 0.86, 0.2, 0.14), -0.1 - 0.1 * p.au17)
    return paint(picture, head, tone)


def nose(picture, p, g: Plane) -> np.ndarray:
    """Shade the nose: lit bridge and tip, a side in shadow, nostrils; AU9 lifts and wrinkles it."""
    tip = p.nose_y - 0.05 * p.au9
    half = p.nose_width * (1 + 0.22 * p.au9 + 0.1 * p.au12)
    side = np.where(p.light_x > 0, -1, 1).astype(np.float32)
    picture = shade(picture, blob(g.u - side * 0.1, g.v - tip + 0.2, 0.11, 0.36), 0.25)
    picture = shade(picture, blob(g.u + side * 0.02, g.v - tip + 0.18, 0.07, 0.36), -0.16)
    picture = shade(picture, blob(g.u, g.v - tip, 0.09, 0.08), -0.14)
    picture = shade(picture, blob(g.u, g.v - tip - 0.1, half * 1.3, 0.08), 0.4)
    picture = shade(picture, blob(g.mirror - half * 0.55, g.v - tip - 0.075, 0.07, 0.05), 0.65)
    wings = np.abs(ellipse(g.mirror - half * 0.8, g.v - tip - 0.02, 0.07, 0.085))
    wings = fill(wings - 0.012, g.sharp) * (g.mirror > half * 0.85)
    return shade(picture, wings, 0.3)


def wrinkles(picture, p, g: Plane) -> np.ndarray:
    """Shade the folds that muscles make: forehead, between the brows, on the nose, beside the mouth."""
    raised = p.age + np.minimum(p.au1, 1.2) * (0.3 + p.au2)
    waves = np.maximum(np.cos(g.v * 42 + 4 * g.u * g.u), 0) * blob(g.u, g.v + 0.62, 0.5, 0.17)
    picture = shade(picture, waves, 0.28 * raised)
    furrow = stroke(g.mirror - 0.06, g.v - p.eye_y + 0.17, 0.014, 0.09, g.sharp)
    picture = shade(picture, furrow, 0.5 * p.au4)
    bridge = np.maximum(np.cos(g.v * 46 + 5 * g.mirror), 0) * blob(g.u, g.v - p.eye_y - 0.06, 0.17, 0.19)
    picture = shade(picture, bridge, 0.5 * p.au9)
    fold_x = p.nose_width + 0.05 + 0.45 * (g.v - p.nose_y) + 0.05 * p.au12
    depth = 0.4 * p.age + 0.32 * np.maximum(np.maximum(p.au12, p.au9), p.au10)
    fold = blob(g.mirror - fold_x, g.v - p.nose_y - 0.13, 0.055, 0.24)
    return shade(picture, fold, depth)


def beard(picture, p, g: Plane) -> np.ndarray:
    """Paint beard and moustache in the hair's tone; each face has its own strength, from none to full."""
    tone = p.hair * 0.9 + 0.04 * np.sin(70 * g.u + 31 * g.v)
    lower = fill(p.mouth_y - 0.12 - g.v + 0.9 * np.maximum(0.45 - g.mirror, 0), g.sharp * 0.35)
    around_mouth = ellipse(g.u, g.v - p.mouth_y, p.mouth_width * 1.15, 0.17)
    chin = lower * head_mask(p, g) * fill(-around_mouth, g.sharp * 0.5)
    picture = paint(picture, chin, p.beard * tone + (1 - p.beard) * picture)
    across = g.v - p.mouth_y + 0.15 + 0.04 * p.au10 - 0.25 * g.u * g.u
    return paint(picture, stroke(across, g.u, 0.05, p.mouth_width * 0.95, g.sharp) * p.moustache, tone)


class Mouth(NamedTuple):
    """Where the lips lie at each pixel: the two edges of the opening, and how thick the lips are."""

    along: np.ndarray
    half_width: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    arch: np.ndarray


def mouth_lines(p, g: Plane) -> Mouth:
    """Compute the mouth's curves from the action units that shape it."""
    pulled = 0.22 * p.au12 + 0.22 * p.au20 - 0.12 * p.au23 - 0.27 * p.au26 * p.round_lips
    half_width = p.mouth_width * (1 + pulled)
    along = g.u / half_width
    square = np.minimum(along * along, 1)
    # A stretched mouth keeps its height towards the corners, a relaxed one tapers.
    arch = 1 - square * (1 + np.minimum(p.au20, 1) * (square - 1))
    lift = p.rest_smile + 0.21 * p.au12 - 0.19 * p.au15 - 0.04 * p.au20
    middle = p.mouth_y + 0.06 * p.au26 + 0.05 * p.au12 - 0.04 * p.au17 - 0.03 * p.au15
    middle = middle - lift * square - p.smirk * along
    upper = middle - arch * (0.015 * p.au25 + 0.06 * p.au10 + 0.08 * p.au26)
    lower = middle + arch * p.au25 * (0.035 + 0.15 * p.au12 + 0.04 * p.au10 + 0.03 * p.au20)
    return Mouth(along, half_width, upper, lower + arch * 0.17 * p.au26, arch)


def mouth(picture, p, g: Plane) -> np.ndarray:
    """Paint lips with a light lower one, the dark opening with teeth and tongue, and the corners."""
    m = mouth_lines(p, g)
    ends = fill((np.abs(m.along) - 1) * m.half_width, g.sharp)
    thickness = p.lip_thickness * (1 - 0.55 * np.minimum(p.au23, 1)) * (0.25 + 0.75 * m.arch)
    bow = 0.75 - 0.25 * blob(m.along, 0, 0.35, 1)
    top, bottom = m.upper - thickness * bow, m.lower + thickness * 1.15
    lips = fill(np.maximum(top - g.v, g.v - bottom), g.sharp) * ends
    tone = picture * p.lip_tone
    tone = shade(tone, fill(m.lower - g.v, g.sharp) * m.arch, -0.28)
    picture = paint(picture, lips, tone)
    opening = fill(np.maximum(m.upper - g.v, g.v - m.lower), g.sharp) * ends
    across = g.v - 0.5 * (m.upper + m.lower)
    line = stroke(across, g.u, 0.014, m.half_width * 0.97, g.sharp)
    picture = paint(picture, np.maximum(opening, 0.75 * line), 0.1 + 0.12 * p.skin)
    tongue = blob(g.u, g.v - m.lower - 0.03, m.half_width * 0.7, 0.16)
    picture = paint(picture, opening * tongue, 0.45 * p.skin + 0.05)
    edge = np.minimum(p.au12 + p.au10 + p.au20 + p.au23, 1.1) * 0.11
    teeth = opening * fill(np.maximum(m.upper - g.v + 0.01, g.v - m.upper - edge), g.sharp)
    return paint(picture, teeth * np.minimum(p.au25 * 1.5, 1) * 0.92, 0.88 - 0.12 * m.along * m.along)


def eyes(picture, p, g: Plane) -> np.ndarray:
    """Paint white, iris, pupil and highlight between two lids, the lids' lines and the fold above."""
    along = (g.mirror - p.eye_x) / p.eye_width
    arch = 1 - np.minimum(along * along, 1)
    slant = p.eye_y + p.eye_slant * along + 0.03 * along * (p.au1 * p.au4) - 0.01 * p.au12 * arch
    wide = 1 + 0.6 * p.au5 + 0.1 * p.au2 - 0.12 * p.au4 - 0.6 * p.au43
    wide = wide - 0.3 * p.au7 - 0.28 * p.au6 - 0.35 * p.au9
    narrow = 1 + 0.15 * p.au5 - 0.55 * p.au7 - 0.65 * p.au6 - 0.5 * p.au9
    upper = slant - p.eye_height * np.maximum(wide, 0.08) * arch
    lower = slant + p.eye_height * 0.75 * np.maximum(narrow, 0.1) * arch
    ends = fill((np.abs(along) - 1) * p.eye_width, g.sharp)
    inside = fill(np.maximum(upper - g.v, g.v - lower), g.sharp) * ends
    ball = 0.35 + 0.5 * p.skin + 0.12 * np.minimum((g.v - upper) * 8, 1)
    iris_x = g.mirror - p.eye_x - g.sign * p.gaze_x
    iris_y = g.v - p.eye_y + 0.01 - p.gaze_y - 0.04 * p.au43
    radius = p.eye_height * 0.95
    ball = paint(ball, fill(ellipse(iris_x, iris_y, radius, radius), g.sharp), p.iris_tone)
    ball = paint(ball, fill(ellipse(iris_x, iris_y, radius * 0.5, radius * 0.5), g.sharp), 0.03)
    bag = blob(along, g.v - lower - 0.05, 1.2, 0.08)
    picture = shade(picture, bag, 0.12 + 0.25 * p.au6 + 0.15 * p.au7)
    picture = paint(picture, inside, ball)
    # The spark sits at the same side of both eyes, hence `sign` on the mirrored coordinate.
    spark = blob(iris_x * g.sign + 0.03, iris_y + 0.03, 0.05, 0.05)
    picture = paint(picture, inside * spark, 0.97)
    lash = stroke(g.v - upper + 0.005, along * p.eye_width, p.lash, p.eye_width * 1.05, g.sharp)
    picture = paint(picture, lash * 0.85, 0.1)
    lid = stroke(g.v - lower, along * p.eye_width, 0.006, p.eye_width * 0.9, g.sharp)
    picture = shade(picture, lid, 0.35)
    crease = stroke(g.v - upper + 0.06, along * p.eye_width, 0.008, p.eye_width * 0.95, g.sharp)
    return shade(picture, crease, 0.3)


def brows(picture, p, g: Plane) -> np.ndarray:
    """Paint two bands that thin outwards; AU1 and AU2 raise their ends, AU4 lowers and joins them."""
    along = (g.mirror - p.eye_x * 1.04 + 0.035 * p.au4) / p.brow_length
    inner = 0.5 - 0.5 * np.clip(along, -1, 1)
    lift = inner * (0.17 * p.au1 - 0.17 * p.au4 - 0.03 * p.au9) + (1 - inner) * (0.15 * p.au2 - 0.02 * p.au4)
    middle = p.eye_y - p.brow_gap - p.brow_slope * along - lift - p.brow_arch * (1 - along * along)
    middle = middle + 0.05 * p.au9 - p.brow_skew * g.sign
    half = p.brow_thickness * (0.45 + 0.55 * inner)
    hairs = stroke(g.v - middle, along * p.brow_length, half, p.brow_length, g.sharp)
    return paint(picture, hairs * 0.9, np.minimum(p.hair, p.skin * 0.6) * 0.85)


def hair_tone(p, g: Plane) -> np.ndarray:
    """The tone of hair: strands that fall from the crown, and a sheen across it."""
    strands = np.sin((g.x - 0.25 * p.parting) * p.strands / (1.6 + g.y) + 2 * g.y)
    sheen = blob(g.x - 0.4 * p.light_x, g.y + 0.85 - 0.2 * g.x * g.x, 0.75, 0.22)
    return p.hair * (0.9 + 0.16 * strands + 0.5 * sheen) + 0.06 * sheen


def hair(picture, p, g: Plane) -> np.ndarray:
    """Paint the skull above the hairline, down to the temples, perhaps with a parting or a fringe."""
    square = g.x * g.x
    skull = ellipse(g.x, g.y + 0.12, p.face_width * 1.04 + p.hair_volume * 0.4, 0.98 + p.hair_volume)
    line = p.hairline + p.parting * g.x + p.temples * square * square
    line = line + p.fringe * (0.12 + 0.035 * np.sin(g.x * 23) - 0.4 * p.parting * g.x)
    picture = shade(picture, blob(g.x, g.y - line, 0.75, 0.14), 0.25)
    return paint(picture, fill(np.maximum(skull, g.y - line), g.sharp * 0.7), hair_tone(p, g))


def glasses(picture, p, g: Plane) -> np.ndarray:
    """Paint two rims, the bridge and the temples; the lenses lighten the skin behind them a little."""
    lens = ellipse(g.mirror - p.eye_x, g.v - p.eye_y - 0.03, 0.25, 0.2)
    rim = fill(np.abs(lens) - p.rim, g.sharp)
    bars = stroke(g.v - p.eye_y, np.abs(g.mirror - 0.35) - 0.35, 0.02, 0.1, g.sharp)
    bars = np.where(lens > 0, bars, 0)
    picture = shade(picture, fill(lens, g.sharp), -0.06)
    return paint(picture, np.maximum(rim, bars), p.rim_tone)


def along_cover(p, g: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of an object that covers the face from a random side: towards that side, and across."""
    ahead = np.cos(p.cover_angle) * g.x + np.sin(p.cover_angle) * g.y - p.cover_offset
    return ahead, np.cos(p.cover_angle) * g.y - np.sin(p.cover_angle) * g.x


def hand(picture, p, g: Plane) -> np.ndarray:
    ahead, across = along_cover(p, g)
    fingers = np.abs(np.sin(across * 11))
    mask = fill(np.maximum(0.2 - ahead - 0.12 * fingers, np.abs(across) - 0.56), g.sharp)
    return paint(picture, mask, p.skin * (0.4 + 0.45 * np.sqrt(fingers)))


def bar(picture, p, g: Plane) -> np.ndarray:
    ahead, across = along_cover(p, g)
    return paint(picture, stroke(ahead, across, 0.13, 3, g.sharp), p.cover_tone)


def scarf(picture, p, g: Plane) -> np.ndarray:
    folds = p.cover_tone * (1 + 0.3 * np.sin(13 * g.y - 9 * g.x * g.x))
    return paint(picture, fill(0.56 + 0.12 * g.x * g.x - g.y, g.sharp), folds)


def cast_shadow(picture, p, g: Plane) -> np.ndarray:
    ahead, _ = along_cover(p, g)
    return shade(picture, fill(-ahead, g.sharp * 0.3), 0.5)
