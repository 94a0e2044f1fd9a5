"""A group's program: as wide as memory allows, on all devices, and what it costs."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import jax
import optax

from optlab import devices
from optlab.app import stored_runs
from optlab.app.build import make_optimizer, make_problem, problem_data, resolve
from optlab.app.long_runs import Keeping, drive
from optlab.app.memory import budget, check_fits, program_bytes, state_bytes
from optlab.app.plan import Group, patched
from optlab.app.time_limit import within
from optlab.cores import cores
from optlab.one_function import compile_with, in_one_functions, lowered_for
from optlab.run import recorded_steps
from optlab.sweep import (
    Program,
    all_at_once,
    at_each_width,
    blank,
    called,
    compiled,
    compiler_options,
    first_rows,
    fresh_parameters,
    is_exhausted,
    is_long,
    lie_side_by_side,
    run_chunks,
    step_examples,
    widened,
)
from optlab.types import Problem, Trace
from optlab.widths import chunk_width, dispatched, lanes_for, lengths_of


class Costs(NamedTuple):
    """What a group takes beside the seconds of its runs; columns of `runs`."""

    compile_seconds: float
    state_bytes: int  #: of the optimizer's state, each run
    program_bytes: int  #: the most that the program holds at once, for each run side by side


class Fitted(NamedTuple):
    """A program that fits."""

    program: Program  #: compiled for this width
    width: int  #: runs side by side, on all devices together
    held: int  #: bytes that it holds at once on each device


def first_values(group: Group) -> dict[str, Any]:
    """The numbers of a group's first run, by dotted key."""
    return {key: column[0].tolist() for key, column in group.columns.items()}


def builder(group: Group) -> Callable[[Mapping[str, Any]], tuple[Problem, optax.GradientTransformation]]:
    """From the numbers of a run, traced or not, to its problem and optimizer."""

    def build(values):
        config = patched(group.config, values)
        return make_problem(config["problem"]), make_optimizer(config)

    return build


def prepared(
    group: Group, pool: ThreadPoolExecutor, keep: Keeping, once: Callable[[Any], Program]
) -> tuple[Iterator[tuple[slice, Trace, float]], Costs]:
    """The chunks of a group, which are computed as they are taken, and what they cost."""
    begun = perf_counter()
    config, build = group.config, builder(group)
    probes = {name: resolve(path) for name, path in (config.get("probe") or {}).items() if path}
    probes |= stored_runs.probes(config)
    data = problem_data(patched(config, first_values(group))["problem"])
    by_rows = is_long(data)
    first = first_rows(group.columns, group.seeds, 0, 1)
    mesh = devices.mesh_for(group.size, lambda: step_examples(build, first[0], data) if by_rows else 0)
    data = devices.put(data, mesh, None)
    recorded = recorded_steps(config["steps"], config["record"])
    one = blank(build, *first, data)
    beside = lie_side_by_side(build, *first, one, group.size, by_rows)
    limits = {"gtol": config["gtol"], "patience": config["patience"]}
    program = compiled(build, probes=probes, begun=by_rows, beside=beside, mesh=mesh, **limits)

    def lower(width):
        lengths = lengths_of(recorded[: 1 if by_rows else None], width, lanes, mesh)
        rows = first_rows(group.columns, group.seeds, 0, width)
        return program.lower(*rows, lengths, data, 0, True, widened(one, width))

    options = compiler_options(beside, None if by_rows else group.size * int(recorded[-1]))
    shares = devices.shares(mesh)
    lanes = lanes_for(one, by_rows, in_one_functions(options))
    most = lanes if by_rows else dispatched(group.size, lanes, shares)
    width = chunk_width(group.size, most, shares=shares)
    if not by_rows:
        rows = jax.tree.leaves(lowered_for(partial(lower, width), options).out_info)
        run_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in rows) // width
        width = chunk_width(group.size, most, run_bytes, shares)
    together = cores() * (1 if mesh is None or jax.default_backend() != "cpu" else mesh.size)  # in the same memory

    def compile_for(width):
        return once(lower(width)) if by_rows else compile_with(partial(lower, width), options)

    fits = fitted(compile_for, width, shares, budget(config.get("memory")) // together)
    check_fits(fits.held, config.get("memory"))
    program_for = at_each_width(program, options, {fits.width: fits.program})
    if by_rows:
        advancing = drive(called(program_for), data, fresh_parameters(build), keep)
    elif keep.limit is None:
        advancing = all_at_once(program_for, data)
    else:
        advancing = within(called(program_for), data, keep.limit)
    costs = Costs(perf_counter() - begun, state_bytes(one), fits.held * shares // fits.width)
    return run_chunks(advancing, group.columns, group.seeds, recorded, one, fits.width, lanes, pool, mesh), costs


def fitted(compile_for: Callable[[int], Program], width: int, least: int, most: int) -> Fitted:
    """The widest program, of `width` or its halves down to `least`, that holds no more than `most` bytes on a device.

    What it holds is measured: its compiler says it. The one of the `least` width is returned whatever it holds.
    """
    while True:
        try:
            program = compile_for(width)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not is_exhausted(error) or width == least:
                raise
            width //= 2
            continue
        held = program_bytes(program)
        if held <= most or width == least:
            return Fitted(program, width, held)
        share = int(width // least * most / held)  # less than it was
        width = least * (1 << (share.bit_length() - 1) if share else 1)
