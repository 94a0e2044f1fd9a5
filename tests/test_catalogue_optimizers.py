"""Every file in conf/optimizer is an optimizer that builds from traced numbers and, but for controls, goes downhill."""

import importlib
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from omegaconf import OmegaConf

import optlab
import optlab.app.study  # noqa: F401  knows what a file may ask of the problem
from optlab.lanes import programs

CATALOGUE = sorted(Path(__file__).parent.parent.glob("conf/optimizer/*.yaml"))
CONTROLS = {"stay", "random_walk"}  # there to be worse than any optimizer; see `test_controls`
each = pytest.mark.parametrize("path", CATALOGUE, ids=lambda path: path.stem)


def read(path):
    whole = OmegaConf.create({"problem": {"_target_": "optlab.surfaces.quadratic"}, "optimizer": OmegaConf.load(path)})
    config = OmegaConf.to_container(whole, resolve=True)["optimizer"]  # a rate may depend on what is descended
    return locate(config.pop("_target_")), config


def locate(target):
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def build(node):
    """What a configuration stands for, nested targets included."""
    if not isinstance(node, dict):
        return node
    arguments = {key: build(value) for key, value in node.items() if key != "_target_"}
    return locate(node["_target_"])(**arguments) if "_target_" in node else arguments


@each
def test_target_takes_the_keys_of_the_file_and_the_file_repeats_no_default(path):
    make, config = read(path)
    inspect.signature(make).bind(**config)
    parameters = inspect.signature(make).parameters
    for key in config.keys() - {"learning_rate"}:
        assert config[key] != parameters[key].default


@pytest.mark.parametrize("path", [p for p in CATALOGUE if p.stem not in CONTROLS], ids=lambda path: path.stem)
def test_it_goes_downhill_in_a_bowl_in_both_precisions_with_a_traced_rate(path):
    make, config = read(path)
    start = {"w": jnp.array([[1.0, -0.5], [0.8, 1.2]]), "b": jnp.array([-1.0, 0.7])}

    def residual(params):
        flat, _ = ravel_pytree(params)
        return jnp.sqrt(jnp.linspace(1.0, 2.0, flat.size, dtype=flat.dtype)) * flat

    def value(params):
        return 0.5 * jnp.sum(residual(params) ** 2)

    def end(rate, dtype):
        number = {"learning_rate": rate.astype(dtype)} if "learning_rate" in config else {}
        optimizer = optax.with_extra_args_support(make(**{**build(config), **number}))

        def step(carry, _):
            params, state = carry
            f, grad = jax.value_and_grad(value)(params)
            known = {"value": f, "grad": grad, "value_fn": value, "residual_fn": residual}
            known["split_fn"] = residual, lambda r: 0.5 * jnp.sum(r**2)
            updates, state = optimizer.update(grad, state, params, **known)
            return (optax.apply_updates(params, updates), state), None

        params = jax.tree.map(lambda leaf: leaf.astype(dtype), start)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), length=200)
        return params

    precisions = (jnp.float32, jnp.float64)
    both = jax.jit(jax.vmap(lambda rate: [end(rate, dtype) for dtype in precisions]))
    usual = config.get("learning_rate", 1.0)
    for params, dtype in zip(both(jnp.array([0.3, 1.0]) * usual), precisions, strict=True):
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(params))
        values = jax.vmap(value)(params)
        assert np.isfinite(values).all()
        assert (values < value(start)).all()


def conditions(jaxpr):
    """Those of all while loops in a program."""
    for part in programs(jaxpr):
        for eqn in part.eqns:
            if eqn.primitive.name == "while":
                yield eqn.params["cond_jaxpr"].jaxpr


@each
def test_the_conditions_of_its_loops_only_read(path):
    """Of a batch a condition is evaluated for the loop and again for each lane, each time fused with other operations:
    rounding in it may tell the loop to go on and every lane to stay, for ever."""
    make, config = read(path)
    optimizer = optax.with_extra_args_support(make(**build(config)))
    fun, x = optlab.surfaces.rosenbrock(dim=3).fn, jnp.ones(3)

    def update(x):
        known = {"residual_fn": lambda x: x * x[0], "split_fn": (lambda x: x * x[0], lambda r: jnp.sum(r**2))}
        value, grad = jax.value_and_grad(fun)(x)
        return optimizer.update(grad, optimizer.init(x), x, value=value, grad=grad, value_fn=fun, **known)

    for condition in conditions(jax.make_jaxpr(update)(x).jaxpr):
        for part in programs(condition):
            computed = [var.aval.dtype for eqn in part.eqns for var in eqn.outvars]
            assert not any(jnp.issubdtype(dtype, jnp.floating) for dtype in computed)
