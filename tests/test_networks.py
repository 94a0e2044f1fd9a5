"""The error surfaces of small networks, at sizes other than the customary ones, and what they are there to show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab import surfaces

RESPONSES = [(response, patterns) for response in ("and", "or", "xor", "first") for patterns in (2, 4)]


@pytest.mark.parametrize(
    "surface",
    [
        surfaces.matrix_factorization(rows=3, columns=4, rank=2),
        surfaces.matrix_factorization(rows=4, columns=3, rank=3),
        surfaces.deep_linear_network(depth=2, width=3),
        surfaces.deep_linear_network(depth=4, width=2),
        surfaces.phase_retrieval_sampled(dim=3, measurements=20),
        *(surfaces.contradicting_neuron(dim) for dim in (1, 3, 5)),
        *(surfaces.sigmoid_neuron(*choice) for choice in RESPONSES),
    ],
)
def test_stated_points_are_what_they_are_said_to_be_at_every_size(surface):
    assert np.shape(surface.start) == np.shape(surface.domain[0])

    def all_of_it(x):
        return surface.fn(x), jax.grad(surface.fn)(x), jax.hessian(surface.fn)(x)

    found = jax.jit(jax.vmap(all_of_it))(jnp.asarray([point.x for point in surface.points]))
    for point, value, gradient, hessian in zip(surface.points, *map(np.asarray, found), strict=True):
        np.testing.assert_allclose(value, point.value, rtol=1e-14, atol=1e-14)
        assert np.linalg.norm(gradient) <= 1e-12 * np.linalg.norm(hessian)
        eigenvalues = np.linalg.eigvalsh(hessian)
        small = 1e-8 * np.abs(eigenvalues).max()
        assert np.sum(eigenvalues < -small) == point.index
        assert (point.index > 0) == (point.kind in ("saddle", "maximum"))
        assert point.kind != "degenerate" or np.sum(np.abs(eigenvalues) <= small) > 0


def test_each_desired_response_has_a_surface_of_its_own():
    places = jnp.asarray([[-3.0, 1.0], [2.0, 2.0], [0.5, -4.0]])
    values = [np.asarray(jax.vmap(surfaces.sigmoid_neuron(r).fn)(places)) for r in ("and", "or", "xor", "first")]
    assert len({tuple(row) for row in values}) == 4
    with pytest.raises(ValueError, match="and, or, xor, first to 2 or 4 patterns, not 'nor' to 4"):
        surfaces.sigmoid_neuron("nor")


def test_the_exclusive_or_is_learned_by_a_method_that_does_not_hurry():
    # a long step saturates hidden units, and no way back is left: the minima above zero lie at infinity
    surface = surfaces.xor_network()

    def descend(optimizer):
        return jax.jit(lambda x: optlab.minimize(surface.fn, x, optimizer, gtol=1e-9))(jnp.asarray(surface.start))

    patient, hasty = descend(optlab.heavy_ball(2.0, 0.9)), descend(optlab.bfgs())
    assert patient.value < 1e-12 and np.abs(patient.x).max() < 10
    assert hasty.value > 0.08 and np.abs(hasty.x).max() > 20
