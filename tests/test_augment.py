"""Augmentation against SciPy, NumPy and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from fer_jax.transforms import augment as aug

SCIPY_MODES = {"constant": "grid-constant", "nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap"}
PAD_MODES = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
FILL_MODES = pytest.mark.parametrize("fill_mode", list(SCIPY_MODES))
KEY = jax.random.key(3)

warp = jax.jit(aug.warp, static_argnames="fill_mode")


def random_images(count, height=11, width=8, channels=1):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, height, width, channels), np.uint8)


def matrices_of(count, shape, *, angle=0.0, shift=(0.0, 0.0), zoom=(1.0, 1.0), flip=(1.0, 1.0)):
    """``affine_matrices`` of the same or of ``count`` different parameters."""
    return aug.affine_matrices(
        angle=jnp.broadcast_to(jnp.asarray(angle, jnp.float32), (count,)),
        shift=jnp.broadcast_to(jnp.asarray(shift, jnp.float32), (count, 2)),
        zoom=jnp.broadcast_to(jnp.asarray(zoom, jnp.float32), (count, 2)),
        flip=jnp.broadcast_to(jnp.asarray(flip, jnp.float32), (count, 2)),
        shape=shape,
    )


def warped(images, *, fill_mode="constant", **parameters):
    matrices = matrices_of(len(images), images.shape[1:3], **parameters)
    return np.asarray(warp(images, matrices, fill_mode=fill_mode))


def ramp_images(count, height=21, width=31):
    """Channel 0 holds the row of each pixel, channel 1 its column."""
    ramp = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    return np.broadcast_to(ramp.astype(np.float32), (count, height, width, 2))


def drawn_transforms(count, **ranges):
    """Where ``random_affine`` takes the centre from, relative to it, and its Jacobian, read off ramps."""
    seen = np.asarray(aug.random_affine(KEY, jnp.asarray(ramp_images(count)), fill_mode="nearest", **ranges))
    row, column = 10, 15
    shift = seen[:, row, column] - [row, column]
    jacobian = np.stack(
        [
            seen[:, row + 1, column] - seen[:, row, column],
            seen[:, row, column + 1] - seen[:, row, column],
        ],
        -1,
    )
    return shift, jacobian


def assert_uniform(drawn, low, high):
    assert np.all((low - 1e-4 <= drawn) & (drawn <= high + 1e-4))
    assert scipy.stats.kstest(drawn, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-3


def by_hand_matrix(angle, shift, zoom, flip, shape):
    """Keras's product of homogeneous matrices about the centre, in float64."""
    (dy, dx), (zy, zx), (fy, fx) = shift, zoom, flip
    cy, cx = (np.array(shape) - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    move = np.array([[1, 0, dy], [0, 1, dx], [0, 0, 1]])
    to_centre = np.array([[1, 0, -cy], [0, 1, -cx], [0, 0, 1]])
    return np.linalg.inv(to_centre) @ rotation @ move @ np.diag([zy * fy, zx * fx, 1]) @ to_centre


@FILL_MODES
def test_warp_is_scipys_affine_transform(fill_mode):
    count, rng = 12, np.random.default_rng(0)
    images = random_images(count, channels=2)
    parameters = {
        "angle": rng.uniform(-np.pi, np.pi, count),
        "shift": rng.uniform(-30, 30, (count, 2)) * (np.arange(count) % 3)[:, None] / 2,  # far outside too
        "zoom": rng.uniform(0.5, 2, (count, 2)),
        "flip": rng.choice([-1, 1], (count, 2)),
    }
    result = warped(images, fill_mode=fill_mode, **parameters)
    assert result.dtype == np.float32
    for n in range(count):
        matrix = by_hand_matrix(**{name: values[n] for name, values in parameters.items()}, shape=(11, 8))
        for channel in range(2):
            image = images[n, :, :, channel].astype(float)
            expected = scipy.ndimage.affine_transform(image, matrix, order=1, mode=SCIPY_MODES[fill_mode])
            np.testing.assert_allclose(result[n, :, :, channel], expected, atol=0.02)


@FILL_MODES
def test_quarter_turns(fill_mode):
    """As Keras's ``apply_affine_transform(theta=90)``: clockwise."""
    images = random_images(3, 9, 9)
    for turns in (1, 2, 3):
        result = warped(images, angle=turns * np.pi / 2, fill_mode=fill_mode)
        np.testing.assert_allclose(result, np.rot90(images, -turns, axes=(1, 2)), atol=1e-3)


@FILL_MODES
def test_flips_are_exact(fill_mode):
    images = random_images(3)
    assert np.array_equal(warped(images, flip=(-1, 1), fill_mode=fill_mode), images[:, ::-1])
    assert np.array_equal(warped(images, flip=(1, -1), fill_mode=fill_mode), images[:, :, ::-1])
    assert np.array_equal(warped(images, flip=(-1, -1), fill_mode=fill_mode), images[:, ::-1, ::-1])
    assert np.array_equal(warped(images, fill_mode=fill_mode), images)


@FILL_MODES
def test_whole_pixel_shifts_are_padding(fill_mode):
    images = random_images(2)
    reach = 30  # several times the side: patterns repeat
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), PAD_MODES[fill_mode])
    for down, right in [(2, 0), (0, -3), (-5, 4), (12, -9), (-30, 30)]:
        expected = padded[:, reach + down :][:, :11, reach + right :][:, :, :8]
        assert np.array_equal(warped(images, shift=(down, right), fill_mode=fill_mode), expected)


def test_zoom_scales_height_and_width_independently():
    ramp = ramp_images(1)
    tall = warped(ramp, zoom=(0.5, 1.0))[0]
    np.testing.assert_allclose(tall[..., 0], 10 + 0.5 * (ramp[0, ..., 0] - 10), atol=1e-4)
    np.testing.assert_allclose(tall[..., 1], ramp[0, ..., 1], atol=1e-4)
    wide = warped(ramp, zoom=(1.0, 0.25))[0]
    np.testing.assert_allclose(wide[..., 0], ramp[0, ..., 0], atol=1e-4)
    np.testing.assert_allclose(wide[..., 1], 15 + 0.25 * (ramp[0, ..., 1] - 15), atol=1e-4)


def test_batch_is_a_loop_over_images():
    images = random_images(4)
    angle, shift = np.linspace(-1, 1, 4), np.arange(8).reshape(4, 2) - 3.3
    together = warped(images, angle=angle, shift=shift)
    for n in range(4):
        alone = warped(images[n : n + 1], angle=angle[n], shift=shift[n])
        np.testing.assert_allclose(alone[0], together[n], atol=1e-2)


@pytest.mark.parametrize("size", [(11, 8), (22, 16), (7, 5)])
def test_warp_scales_as_jax_image_resize(size):
    images = random_images(3, channels=2)
    identity = jnp.broadcast_to(jnp.eye(2, 3), (3, 2, 3))
    found = aug.warp(jnp.asarray(images), identity, fill_mode="nearest", size=size)
    shape = (3, *size, 2)
    expected = jax.image.resize(images.astype(np.float32), shape, "linear", antialias=False)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_unknown_fill_mode():
    with pytest.raises(ValueError, match=r"fill_mode='mirror' is unknown.*constant, nearest, reflect, wrap"):
        aug.warp(jnp.zeros((1, 4, 4, 1)), matrices_of(1, (4, 4)), fill_mode="mirror")
    with pytest.raises(ValueError, match="fill_mode"):
        aug.augment(KEY, jnp.zeros((1, 4, 4, 1)), rotation_range=5.0, fill_mode="black")


def test_random_affine_without_ranges_is_identity():
    images = random_images(5)
    result = aug.random_affine(KEY, jnp.asarray(images))
    assert result.dtype == jnp.float32
    assert np.array_equal(result, images)


def test_rotation_range_is_in_degrees():
    shift, jacobian = drawn_transforms(300, rotation_range=20.0)
    np.testing.assert_allclose(shift, 0, atol=1e-4)
    np.testing.assert_allclose(
        jacobian @ np.swapaxes(jacobian, 1, 2), np.broadcast_to(np.eye(2), (300, 2, 2)), atol=1e-4
    )
    assert_uniform(np.rad2deg(np.arctan2(jacobian[:, 1, 0], jacobian[:, 0, 0])), -20, 20)


def test_shift_ranges_are_fractions_below_one_and_pixels_above():
    shift, jacobian = drawn_transforms(300, width_shift_range=0.1, height_shift_range=4)
    np.testing.assert_allclose(jacobian, np.broadcast_to(np.eye(2), (300, 2, 2)), atol=1e-4)
    assert_uniform(shift[:, 0], -4, 4)
    assert_uniform(shift[:, 1], -3.1, 3.1)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.2


def test_zoom_range_draws_height_and_width_apart():
    shift, jacobian = drawn_transforms(300, zoom_range=0.3)
    np.testing.assert_allclose(shift, 0, atol=1e-4)
    np.testing.assert_allclose(jacobian[:, [0, 1], [1, 0]], 0, atol=1e-4)
    assert_uniform(jacobian[:, 0, 0], 0.7, 1.3)
    assert_uniform(jacobian[:, 1, 1], 0.7, 1.3)
    assert abs(np.corrcoef(jacobian[:, 0, 0], jacobian[:, 1, 1])[0, 1]) < 0.2


@pytest.mark.parametrize(("name", "axis"), [("vertical_flip", 0), ("horizontal_flip", 1)])
def test_random_flips_half_of_the_images(name, axis):
    _, jacobian = drawn_transforms(300, **{name: True})
    np.testing.assert_allclose(jacobian[:, 1 - axis, 1 - axis], 1, atol=1e-4)
    assert scipy.stats.binomtest(int(np.sum(jacobian[:, axis, axis] < 0)), 300).pvalue > 1e-3


def mid_greys(count):
    """Images that no factor from [0.5, 1.5] takes out of 0 to 255."""
    return np.random.default_rng(1).integers(80, 160, (count, 6, 5, 1), np.uint8)


def fitted_factors(x, y):
    """The least-squares factor of each image of ``y`` in terms of ``x``; and that nothing else happened."""
    factors = np.sum(x * y, (1, 2, 3)) / np.sum(x * x, (1, 2, 3))
    np.testing.assert_allclose(y, factors[:, None, None, None] * x, atol=1e-2)
    return factors


def test_brightness_alone_is_a_factor():
    images = mid_greys(200)
    result = np.asarray(aug.random_photometric(KEY, jnp.asarray(images), brightness_range=0.4))
    assert result.dtype == np.float32
    assert_uniform(fitted_factors(images.astype(float), result), 0.6, 1.4)


def test_contrast_alone_is_a_factor_about_the_mean():
    images = mid_greys(200)
    result = np.asarray(aug.random_photometric(KEY, jnp.asarray(images), contrast_range=0.4))
    mean = images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(result.mean((1, 2, 3), keepdims=True), mean, atol=1e-2)
    assert_uniform(fitted_factors(images - mean, result - mean), 0.6, 1.4)


def test_photometric_stays_within_grey_levels():
    images = jnp.asarray(random_images(50))
    result = aug.random_photometric(KEY, images, brightness_range=0.9, contrast_range=0.9)
    assert float(result.min()) == 0
    assert float(result.max()) == 255


def erased(count, **options):
    """Images of -1, which no grey level is, after ``random_erasing``."""
    return np.asarray(aug.random_erasing(KEY, jnp.full((count, 48, 48, 1), -1.0), **options))[..., 0]


def test_erasing_hides_a_rectangle_of_one_grey():
    images = erased(300, probability=1.0, area=(0.05, 0.15), aspect=(0.5, 2.0))
    hidden = images >= 0
    in_rows, in_columns = hidden.any(2), hidden.any(1)
    assert np.array_equal(hidden, in_rows[:, :, None] & in_columns[:, None, :])
    for inside in (in_rows, in_columns):  # one interval
        assert np.all(np.sum(np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(int), axis=1) == 1, axis=1) == 1)
    greys = np.array([np.unique(image[image >= 0]) for image in images])
    assert greys.shape == (300, 1)
    assert_uniform(greys[:, 0], 0, 255)


def test_erasing_keeps_area_and_aspect_within_limits():
    hidden = erased(300, probability=1.0, area=(0.05, 0.15), aspect=(0.5, 2.0)) >= 0
    height, width = hidden.any(2).sum(1), hidden.any(1).sum(1)
    # Sides are rounded to whole pixels.
    assert np.all((height + 0.5) * (width + 0.5) >= 0.05 * 48 * 48)
    assert np.all((height - 0.5) * (width - 0.5) <= 0.15 * 48 * 48)
    assert np.all((height + 0.5) / (width - 0.5) >= 0.5)
    assert np.all((height - 0.5) / (width + 0.5) <= 2.0)
    assert hidden.mean() == pytest.approx(0.1, abs=0.01)
    assert np.log(height / width).mean() == pytest.approx(0, abs=0.1)


def test_erasing_reaches_every_border():
    hidden = erased(300, probability=1.0) >= 0
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()
    assert hidden[:, :, 0].any()
    assert hidden[:, :, -1].any()


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_erasing_probability(probability):
    touched = int(np.sum((erased(300, probability=probability) >= 0).any((1, 2))))
    assert scipy.stats.binomtest(touched, 300, probability).pvalue > 1e-3


EVERYTHING = {
    "rotation_range": 20.0,
    "width_shift_range": 0.2,
    "height_shift_range": 2,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "vertical_flip": True,
    "fill_mode": "reflect",
    "brightness_range": 0.3,
    "contrast_range": 0.3,
    "erasing_probability": 0.5,
}


@functools.cache
def eagerly_augmented(seed):
    """Twenty copies of one image, all augmentations on."""
    images = np.broadcast_to(random_images(1), (20, 11, 8, 1))
    return np.asarray(aug.augment(jax.random.key(seed), jnp.asarray(images), **EVERYTHING))


def test_augment_without_ranges_is_identity():
    images = random_images(5)
    result = aug.augment(KEY, jnp.asarray(images))
    assert result.dtype == jnp.float32
    assert np.array_equal(result, images)


def test_augment_depends_on_key_and_image():
    again = jax.random.key(0)
    images = jnp.asarray(np.broadcast_to(random_images(1), (20, 11, 8, 1)))
    assert np.array_equal(eagerly_augmented(0), aug.augment(again, images, **EVERYTHING))
    assert np.all(np.abs(eagerly_augmented(0) - eagerly_augmented(1)).max((1, 2, 3)) > 1)
    assert len(np.unique(eagerly_augmented(0).reshape(20, -1), axis=0)) == 20


def test_compiled_augment_equals_eager():
    images = jnp.asarray(np.broadcast_to(random_images(1), (20, 11, 8, 1)))
    compiled = jax.jit(functools.partial(aug.augment, **EVERYTHING))(jax.random.key(0), images)
    assert compiled.dtype == jnp.float32
    np.testing.assert_allclose(compiled, eagerly_augmented(0), atol=0.02)


def test_parts_draw_independently():
    """Turning erasing on leaves what the other parts draw as it was."""
    images = jnp.asarray(random_images(20))
    without = aug.augment(KEY, images, brightness_range=0.3)
    both = aug.augment(KEY, images, brightness_range=0.3, erasing_probability=1.0)
    same = np.asarray(without) == np.asarray(both)
    assert 0.7 < same.mean() < 0.99
