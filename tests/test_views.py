"""Test-time views against SciPy and averages by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.special

from fer_jax.transforms.views import CROP, ZOOMS, make_views, view_log_probabilities

OFFSETS = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]  # of the crops of 44 in 48: the centre, the corners


def random_images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48, 1), np.uint8)


def views_of(images, views):
    result = make_views(jnp.asarray(images), views=views)
    assert result.dtype == jnp.float32
    return np.asarray(result)


def test_one_view_is_the_image():
    images = random_images(3)
    assert np.array_equal(views_of(images, "one"), images[None])


@pytest.mark.parametrize("views", ["one", "flip", "zoom", "ten_crop"])
def test_views_of_another_side_are_interpolated_once(views):
    """A ramp stays a ramp, if it is not taken at its edges; pixel centres lie at (i + 0.5) 48 / 64 - 0.5."""
    rows = np.broadcast_to(np.arange(48.0)[None, :, None, None], (1, 48, 48, 1)).astype(np.float32)
    large = np.asarray(make_views(jnp.asarray(rows), views=views, side=64))
    small = views_of(rows, views)
    assert large.shape == (len(small), 1, 64, 64, 1)
    places = (np.arange(64) + 0.5) * 48 / 64 - 0.5
    for of_large, of_small in zip(large[:, 0, :, 5, 0], small[:, 0, :, 5, 0], strict=True):
        expected = np.interp(places, np.arange(48), of_small)
        np.testing.assert_allclose(of_large[6:-6], expected[6:-6], atol=1e-3)


def test_flip_adds_the_mirror_image():
    images = random_images(3)
    assert np.array_equal(views_of(images, "flip"), np.stack([images, images[:, :, ::-1]]))


def test_crops_of_a_ramp_are_ramps():
    """Pixel (r, c) of a crop lies at offset + 43 / 47 (r, c)."""
    rows, columns = np.meshgrid(np.arange(48.0), np.arange(48.0), indexing="ij")
    crops = views_of(np.stack([rows, columns], -1)[None].astype(np.float32), "ten_crop")[:, 0]
    for crop, (row, column) in zip(crops[:5], OFFSETS, strict=True):
        np.testing.assert_allclose(crop[..., 0], row + 43 / 47 * rows, atol=1e-4)
        np.testing.assert_allclose(crop[..., 1], column + 43 / 47 * columns, atol=1e-4)


def test_crops_are_scipys_zoom_of_slices():
    images = random_images(2)
    views = views_of(images, "ten_crop")
    assert views.shape == (10, 2, 48, 48, 1)
    for crop, (row, column) in zip(views[:5], OFFSETS, strict=True):
        cut = images[:, row : row + CROP, column : column + CROP].astype(float)
        zoomed = scipy.ndimage.zoom(cut, (1, 48 / CROP, 48 / CROP, 1), order=1)
        np.testing.assert_allclose(crop, zoomed, atol=0.02)


def test_zooms_are_scipys():
    """The image first; edge pixels go on outwards."""
    images = random_images(2)
    views = views_of(images, "zoom")
    assert views.shape == (6, 2, 48, 48, 1)
    assert np.array_equal(views[0], images)
    for view, zoom in zip(views[1:3], ZOOMS, strict=True):
        offset = 23.5 - zoom * 23.5
        for seen, image in zip(view[..., 0], images[..., 0], strict=True):
            expected = scipy.ndimage.affine_transform(
                image.astype(float), [zoom, zoom], offset, order=1, mode="nearest"
            )
            np.testing.assert_allclose(seen, expected, atol=0.02)


def test_zooms_of_a_disc_cover_shares_of_the_area():
    """Nearer, a disc is larger by 1 / 0.92 squared; from further off smaller by 1 / 1.08 squared."""
    rows, columns = np.meshgrid(np.arange(48.0) - 23.5, np.arange(48.0) - 23.5, indexing="ij")
    disc = (np.hypot(rows, columns) < 12).astype(np.float32)
    areas = views_of(disc[None, ..., None], "zoom").sum((1, 2, 3, 4))
    np.testing.assert_allclose(areas[1:3] / areas[0], [0.92**-2, 1.08**-2], rtol=0.01)


@pytest.mark.parametrize("views", ["flip", "zoom", "ten_crop"])
def test_second_half_mirrors_the_first(views):
    first, second = np.split(views_of(random_images(2), views), 2)
    assert np.array_equal(second, first[:, :, :, ::-1])


def test_average_is_of_probabilities():
    logits = 5 * np.random.default_rng(0).normal(size=(10, 6, 7)).astype(np.float32)
    averaged = view_log_probabilities(jnp.asarray(logits))
    expected = scipy.special.softmax(logits.astype(float), -1).mean(0)
    np.testing.assert_allclose(np.exp(averaged), expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(np.exp(averaged).sum(-1), 1, rtol=1e-5)


def test_average_of_huge_logits_is_finite():
    logits = jnp.asarray([[[1e4] + [0.0] * 6], [[0.0] * 6 + [1e4]]], jnp.float32)
    log_probabilities = np.asarray(view_log_probabilities(logits))
    np.testing.assert_allclose(log_probabilities[0, [0, 6]], np.log(0.5), rtol=1e-5)
    assert np.all(log_probabilities[0, 1:6] <= -9e3)
    assert np.all(np.isfinite(log_probabilities))


def test_unknown_views():
    with pytest.raises(ValueError, match=r"views='five' is unknown; choose one of one, flip, zoom, ten_crop"):
        make_views(jnp.zeros((1, 48, 48, 1)), views="five")
