"""What chooses and changes a batch inside the compiled step, against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from optlab.workloads import augment
from optlab.workloads.augment import augmented
from optlab.workloads.shuffle import _grid, _permuted, pass_indices

KEY = jax.random.key(7)


def images(count=400, height=6, width=5, channels=2):
    """Each pixel differs from all others of its image, and none is zero."""
    pixels = np.random.default_rng(0).permutation(np.arange(1, count * height * width * channels + 1))
    return pixels.reshape(count, height, width, channels).astype(np.float32)


def offsets(padded, windows):
    """Where in each padded image its window lies: `[B, 2]`."""
    height, width = windows.shape[1:3]
    places = []
    for image, window in zip(padded, windows, strict=True):
        found = [
            (y, x)
            for y in range(image.shape[0] - height + 1)
            for x in range(image.shape[1] - width + 1)
            if np.array_equal(image[y : y + height, x : x + width], window)
        ]
        assert len(found) == 1
        places += found
    return places


@pytest.mark.parametrize(
    ("change", "mode"), [(augment.random_crop, "constant"), (augment.random_shift, "edge")], ids=["crop", "shift"]
)
def test_a_crop_and_a_shift_are_windows_of_the_padded_image_at_every_place(change, mode):
    x = images()
    y = np.asarray(jax.jit(change, static_argnums=2)(KEY, x, 2))
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=mode)
    places = offsets(padded, y)
    counts = np.bincount([5 * a + b for a, b in places], minlength=25)
    # 25 places equally likely: the chi-square statistic of 24 degrees stays below its 99.99% quantile
    assert counts.min() > 0
    assert stats.chisquare(counts).pvalue > 1e-4


def test_a_flip_exchanges_left_and_right_of_half_of_the_images():
    x = images(4000, 2, 3, 1)
    y = np.asarray(jax.jit(augment.random_flip)(KEY, x))
    same, flipped = (np.all(y == z, axis=(1, 2, 3)) for z in (x, x[:, :, ::-1]))
    assert np.all(same ^ flipped)
    assert abs(flipped.sum() - 2000) < 4 * 32  # four deviations of a fair coin tossed 4,000 times


def test_a_rotation_is_scipys_bilinear_one_with_zeros_outside():
    x = images(5, 9, 7)
    uniform = np.array([[0.0], [0.3], [0.5], [0.9], [1.0]], np.float32)
    y = np.asarray(jax.jit(augment._rotated)(uniform, x, 40.0))
    for image, out, angle in zip(x, y, np.deg2rad([-40, -16, 0, 32, 40]), strict=True):
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = np.array([4.0, 3.0])
        for channel in range(2):
            expected = ndimage.affine_transform(
                image[..., channel], matrix, middle - matrix @ middle, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(out[..., channel], expected, rtol=1e-4, atol=2e-2)


def test_a_quarter_turn_is_anticlockwise():
    x = images(3, 6, 6)
    y = jax.jit(augment._rotated)(np.ones((3, 1), np.float32), x, 90.0)
    np.testing.assert_allclose(y, np.rot90(x, axes=(1, 2)), rtol=1e-3)


def test_brightness_adds_one_number_in_the_range_to_all_pixels_of_an_image():
    x = images() / 1e4
    added = np.asarray(jax.jit(augment.random_brightness)(KEY, x, 0.3)) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], x.shape), atol=1e-5)
    assert stats.kstest(added[:, 0, 0, 0], stats.uniform(-0.3, 0.6).cdf).pvalue > 1e-3


def test_noise_is_normal_finite_and_apart_for_each_pixel():
    x = np.zeros((500, 6, 5, 2), np.float32)
    noise = np.asarray(jax.jit(augment.gaussian_noise)(KEY, x, 0.5)).ravel()
    assert stats.kstest(noise, stats.norm(0, 0.5).cdf).pvalue > 1e-3
    assert len(np.unique(noise)) > 0.99 * noise.size
    extremes = augment._noisy(np.array([[0.0, 0.5, 1 - 2**-23]], np.float32), np.zeros((1, 3, 1, 1), np.float32), 1.0)
    expected = stats.norm.ppf([2**-24, 0.5 + 2**-24, 1 - 2**-24])  # the middle of each draw's cell
    np.testing.assert_allclose(np.ravel(extremes), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_cutout_is_a_square_around_any_pixel_clipped_to_the_image(size):
    x = images()
    y = np.asarray(jax.jit(augment.cutout)(KEY, x, size))
    hidden = (y == 0)[..., 0]
    np.testing.assert_array_equal(y, np.where(hidden[..., None], 0, x))
    possible = {}
    for cy in range(6):
        for cx in range(5):
            mask = np.zeros((6, 5), bool)
            mask[max(0, cy - size // 2) : cy - size // 2 + size, max(0, cx - size // 2) : cx - size // 2 + size] = True
            possible[mask.tobytes()] = 0
    for mask in hidden:
        possible[mask.tobytes()] += 1  # a KeyError is a mask that no centre gives
    assert min(possible.values()) > 0


SINGLE = {
    "crop": (augment.random_crop, 2),
    "shift": (augment.random_shift, 1),
    "rotation": (augment.random_rotation, 20.0),
    "brightness": (augment.random_brightness, 0.2),
    "noise": (augment.gaussian_noise, 0.1),
    "cutout": (augment.cutout, 3),
}


def test_what_is_not_asked_for_is_not_done():
    x = images(4)
    assert augmented(KEY, x) is x
    nothing = jax.make_jaxpr(lambda x: augmented(KEY, x, crop=0, noise=0.0, flip=False))(x)
    assert not nothing.eqns
    alone = {"flip": (lambda key, x, _: augment.random_flip(key, x), True), **SINGLE}
    for name, (change, strength) in alone.items():
        one, other = jax.jit(lambda x, c=change, s=strength, n=name: (c(KEY, x, s), augmented(KEY, x, **{n: s})))(x)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["rotation", "brightness", "noise", "cutout"])
def test_a_traced_strength_gives_what_the_number_does_and_zero_gives_the_image(name):
    x = images(4)
    strengths = jnp.array([0, SINGLE[name][1]])
    y = jax.jit(jax.vmap(lambda s: augmented(KEY, x, **{name: s})))(strengths)
    np.testing.assert_allclose(y[0], x, rtol=1e-6)
    np.testing.assert_allclose(y[1], SINGLE[name][0](KEY, x, SINGLE[name][1]), rtol=1e-4, atol=1e-3)


def test_all_changes_are_made_within_one_program_in_the_dtype_of_the_images_by_draws_of_their_own():
    x = np.broadcast_to(images(1, 8, 8) / 128, (200, 8, 8, 2))
    everything = {"flip": True, **{name: strength for name, (_, strength) in SINGLE.items()}}
    change = jax.jit(lambda key, x: augmented(key, x, **everything))
    y = np.asarray(change(KEY, x))
    assert y.dtype == np.float32
    assert np.all(np.isfinite(y))
    assert len(np.unique(y.reshape(200, -1), axis=0)) == 200  # each image its own way
    np.testing.assert_array_equal(y, change(KEY, x))
    assert not np.any(y == change(jax.random.key(8), x), axis=0).all()
    assert jax.eval_shape(change, KEY, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match="crop must be a number of at least 0, not -1"):
        augmented(KEY, images(1), crop=-1)


# Shuffling


@settings(max_examples=25)
@given(st.integers(1, 3000), st.integers(0, 2**32 - 1))
def test_a_pass_takes_each_position_to_another_example(size, seed):
    positions = jnp.arange(3000, dtype=jnp.uint32) % jnp.uint32(size)  # one shape: nothing compiles twice
    with jax.disable_jit():
        found = np.asarray(_permuted(jnp.uint32(seed), positions, size))
    assert sorted(found[:size]) == list(range(size))


@given(st.integers(1, 10**9))
def test_the_grid_of_a_shuffle_is_nearly_square_with_hardly_a_cell_too_many(size):
    a, b = _grid(size)
    assert 0 <= a * b - size < a
    assert min(a, b) >= 0.69 * size**0.5 - 1


def indices(key, steps, batch_size, size):
    """The batches of these steps, within one program: `[steps, batch_size]`."""
    step = jax.jit(lambda key: jax.lax.scan(lambda c, s: (c, pass_indices(key, s, batch_size, size)), 0, steps)[1])
    return np.asarray(step(key))


def test_batches_of_a_pass_are_disjoint_and_passes_and_keys_differ():
    found = indices(KEY, jnp.arange(24), 20, 247)  # passes of 12 batches, 7 examples left out of each
    assert found.dtype == np.int32
    first, second = found[:12].ravel(), found[12:].ravel()
    for batch in (first, second):
        assert len(set(batch)) == 240
        assert batch.min() >= 0
        assert batch.max() < 247
    assert set(first) != set(second)  # others are left out
    assert np.mean(first == second) < 0.05
    assert np.mean(first == indices(jax.random.key(1), jnp.arange(12), 20, 247).ravel()) < 0.05
    np.testing.assert_array_equal(pass_indices(KEY, 13, 20, 247), found[13])  # a step needs no other


def test_shuffling_works_under_vmap_and_for_every_kind_of_key():
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(lambda key, step: pass_indices(key, step, 16, 100)))(keys, jnp.array([0, 7, 900]))
    for key, step, found in zip(keys, (0, 7, 900), together, strict=True):
        np.testing.assert_array_equal(found, pass_indices(key, step, 16, 100))
    long = [np.asarray(pass_indices(jax.random.key(seed, impl="rbg"), 0, 16, 100)) for seed in (0, 1)]
    assert not np.array_equal(*long)


def test_each_example_is_as_likely_at_each_position():
    """Chi-square over 6,000 keys, and over 6,000 passes of one key.

    The probability of each position's statistic is at least 1e-3 divided by their number: where all examples are
    equally likely, one set of keys in a thousand would fail. Neighbours are tested as pairs.
    """
    size, count = 29, 6000
    by_key = jax.jit(jax.vmap(lambda key: pass_indices(key, 0, size, size)))(jax.random.split(KEY, count))
    by_pass = jax.jit(jax.vmap(lambda step: pass_indices(KEY, step, size, size)))(jnp.arange(count))
    for found in (np.asarray(by_key), np.asarray(by_pass)):
        for position in range(size):
            assert stats.chisquare(np.bincount(found[:, position], minlength=size)).pvalue > 1e-3 / size
        pairs = np.bincount(found[:, 0] * size + found[:, 1], minlength=size**2).reshape(size, size)
        assert not np.diag(pairs).any()
        assert stats.chisquare(pairs[~np.eye(size, dtype=bool)]).pvalue > 1e-3


def test_small_sets_come_in_every_order():
    orders = jax.jit(jax.vmap(lambda step: pass_indices(KEY, step, 4, 4)))(jnp.arange(4800))
    _, counts = np.unique(np.asarray(orders) @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    # no pseudo-random network of few rounds is even to the last digit on four cells: within a third of it
    assert counts.min() > 200 * 2 / 3
    assert counts.max() < 200 * 4 / 3


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_is_a_part_of_the_data(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be from 1 to 10, the number of examples, not {batch_size}"):
        pass_indices(KEY, 0, batch_size, 10)
