"""Gradient descent and the methods that remember one velocity.

They live together to be compared, so each is written as its source has it. The factor of a moving
average is called `beta`; the friction of a physical velocity is called `momentum`, as in
`optax.sgd`. A `learning_rate` is a number, a traced scalar or an optax schedule. Numbers are cast to
the type of each leaf, so parameters and state keep theirs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.optimizers.counts import Counts as _Counts
from optlab.optimizers.counts import zero as _zero
from optlab.types import Array, PyTree

_Rate = float | Array | optax.Schedule
_add = optax.tree.add


class VelocityState(NamedTuple):
    """State of the methods with one velocity."""

    step: Array  #: updates made so far, what a schedule is a function of: `[]`
    velocity: PyTree  #: like the parameters


class LookaheadState(NamedTuple):
    """State of `nesterov`, which evaluates its own gradients."""

    step: Array  #: updates made so far: `[]`
    velocity: PyTree  #: like the parameters
    counts: _Counts  #: evaluations made within `update`


def _rate(learning_rate: _Rate, step: Array) -> float | Array:
    return learning_rate(step) if callable(learning_rate) else learning_rate


def _times(number: float | Array, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(number, leaf.dtype) * leaf, tree)


def gradient_descent(learning_rate: _Rate) -> optax.GradientTransformationExtraArgs:
    r"""Steepest descent with a given rate.

    .. math:: \theta_{t+1} = \theta_t - \alpha_t \nabla f(\theta_t)

    It stores nothing and costs one gradient a step. On a quadratic with curvatures in
    :math:`[\mu, L]` it converges for :math:`\alpha < 2/L` and contracts fastest, by
    :math:`(\kappa-1)/(\kappa+1)` with :math:`\kappa = L/\mu`, at :math:`\alpha = 2/(L+\mu)`. The baseline of
    every comparison. This is `optax.sgd` without its options.

    Source: Cauchy, Methode generale pour la resolution des systemes d'equations simultanees (1847);
    rates: Nesterov, Lectures on Convex Optimization (2018), theorem 2.1.15.
    """
    return optax.sgd(learning_rate)


def momentum(learning_rate: _Rate, beta: float | Array = 0.9) -> optax.GradientTransformationExtraArgs:
    r"""Descent along an exponential moving average of the gradients: a low-pass filter.

    .. math::
        v_{t+1} &= \beta v_t + (1-\beta) \nabla f(\theta_t) \\
        \theta_{t+1} &= \theta_t - \alpha_t v_{t+1}

    The average starts at zero and is not debiased. On a constant slope its effective rate is
    :math:`\alpha`, whatever :math:`\beta`; for constant rates it is `heavy_ball` with
    :math:`\alpha(1-\beta)` and :math:`\beta`. Use it where `beta` is varied and the rate shall keep its
    meaning, or where gradients are noisy.

    Stores one copy of the parameters; one gradient a step. Source: Kingma and Ba, Adam (2015),
    algorithm 1, the first moment alone; Polyak (1964) for the method.
    """

    def init(params):
        return VelocityState(jnp.zeros((), int), optax.tree.zeros_like(params))

    def update(updates, state, params=None, **unused):
        del params, unused
        velocity = _add(_times(beta, state.velocity), _times(1 - beta, updates))
        alpha = _rate(learning_rate, state.step)
        return _times(-alpha, velocity), VelocityState(state.step + 1, velocity)

    return optax.GradientTransformationExtraArgs(init, update)


def heavy_ball(learning_rate: _Rate, momentum: float | Array = 0.9) -> optax.GradientTransformationExtraArgs:
    r"""A ball with friction that rolls down: the velocity is a displacement.

    .. math::
        v_{t+1} &= \mu v_t - \alpha_t \nabla f(\theta_t) \\
        \theta_{t+1} &= \theta_t + v_{t+1}

    On a constant slope its effective rate is :math:`\alpha/(1-\mu)`. On a quadratic with curvatures in
    :math:`[m, L]` it converges for :math:`\alpha < 2(1+\mu)/L`, and asymptotically by
    :math:`(\sqrt\kappa-1)/(\sqrt\kappa+1)` a step at :math:`\alpha = 4/(\sqrt L+\sqrt m)^2`,
    :math:`\mu = ((\sqrt\kappa-1)/(\sqrt\kappa+1))^2`; away from quadratics it may cycle.

    The rate is inside the accumulated velocity: with a schedule this is not `optax.sgd(momentum=...)`,
    which multiplies the whole accumulated gradient by the rate of the day. With a constant rate they
    are the same.

    Stores one copy of the parameters; one gradient a step. Source: Polyak, Some methods of speeding up
    the convergence of iteration methods (1964); written as Sutskever et al., On the importance of
    initialization and momentum in deep learning (2013), eqs. 1 and 2.
    """

    def init(params):
        return VelocityState(jnp.zeros((), int), optax.tree.zeros_like(params))

    def update(updates, state, params=None, **unused):
        del params, unused
        alpha = _rate(learning_rate, state.step)
        velocity = _add(_times(momentum, state.velocity), _times(-alpha, updates))
        return velocity, VelocityState(state.step + 1, velocity)

    return optax.GradientTransformationExtraArgs(init, update)


def nesterov(learning_rate: _Rate, momentum: float | Array = 0.9) -> optax.GradientTransformationExtraArgs:
    r"""Heavy ball that takes the gradient where the velocity would carry it.

    .. math::
        v_{t+1} &= \mu v_t - \alpha_t \nabla f(\theta_t + \mu v_t) \\
        \theta_{t+1} &= \theta_t + v_{t+1}

    `update` needs `params` and the extra argument `value_fn`, a function of the parameters alone
    (close over the batch), and raises `ValueError` without them. The gradient it is given is ignored, so it
    belongs first in a chain; a caller that jits and needs that gradient for nothing else does not pay
    for it. `optax.sgd(momentum=..., nesterov=True)` makes the same iteration from the offered gradient
    at constant rate, with :math:`\theta_t + \mu v_t` as its parameters; use that one for speed and this
    one to see the iterates :math:`\theta_t` of the theory.

    Stores one copy of the parameters; one gradient a step of its own, counted in `LookaheadState.counts`.
    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013),
    eqs. 3 and 4; Nesterov, A method of solving a convex programming problem with convergence rate
    O(1/k^2) (1983).
    """

    def init(params):
        return LookaheadState(jnp.zeros((), int), optax.tree.zeros_like(params), _zero())

    def update(updates, state, params=None, *, value_fn: Callable[[PyTree], Array] | None = None, **unused):
        del updates, unused
        if params is None or value_fn is None:
            raise ValueError("nesterov takes its gradient ahead: update needs params and value_fn.")
        ahead = _add(params, _times(momentum, state.velocity))
        alpha = _rate(learning_rate, state.step)
        slope = jax.grad(value_fn)(ahead)
        velocity = _add(_times(momentum, state.velocity), _times(-alpha, slope))
        counts = state.counts._replace(n_grad=state.counts.n_grad + 1)
        return velocity, LookaheadState(state.step + 1, velocity, counts)

    return optax.GradientTransformationExtraArgs(init, update)
