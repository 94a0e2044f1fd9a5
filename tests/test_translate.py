"""What is translated to JavaScript gives JAX's own numbers: primitive by primitive, and in loops and branches."""

import json
import shutil
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import lax

from optlab.explorer.translate import Untranslatable, translate

RUNTIME = (Path(__file__).parents[1] / "optlab" / "explorer" / "runtime.js").read_text()

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

#: Reads cases [source, leaves], one a line, and answers each with its results; one process for all of them.
HARNESS = """
const plain = (x) => typeof x === "object" ? Array.from(x, plain) : typeof x === "boolean" ? +x
  : Number.isFinite(x) ? (Object.is(x, -0) ? "-0.0" : x) : String(x).replace("Infinity", "inf").replace("NaN", "nan");
const kinds = {Float64Array, Float32Array, Int32Array, Uint32Array, Uint8Array};
const given = ([kind, x]) => kind === "number" ? Number(x) : kind === "boolean" ? !!x : kinds[kind].from(x, Number);
const answer = (line) => {
  const [source, inputs] = JSON.parse(line);
  const result = new Function("runtime", source + "return subject;")(runtime)(inputs.map(given));
  return JSON.stringify(result.map(plain));
};
let rest = "";
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    try { console.log(answer(line)); } catch (error) { console.log(JSON.stringify(String(error.stack))); }
  }
});
"""
KINDS = {"float64": "Float64Array", "float32": "Float32Array", "int32": "Int32Array", "int64": "Float64Array",
         "uint32": "Uint32Array", "bool": "Uint8Array"}  # fmt: skip


def spelt(leaf):
    """A leaf in JSON, which has neither NaN nor infinity."""
    leaf = np.asarray(leaf)
    entries = [
        str(entry).replace("inf", "Infinity").replace("nan", "NaN") if isinstance(entry, float) else int(entry)
        for entry in leaf.ravel().tolist()
    ]
    if leaf.shape:
        return [KINDS[leaf.dtype.name], entries]
    return ["boolean" if leaf.dtype.kind == "b" else "number", entries[0]]


@pytest.fixture(scope="module")
def node():
    """(function, arguments) -> the leaves of its result by JavaScript, flat."""
    process = subprocess.Popen(
        ["node", "-e", RUNTIME + HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    there, back = process.stdin, process.stdout
    assert there is not None
    assert back is not None

    def call(function, *arguments):
        source = translate("subject", function, *arguments)
        leaves = [spelt(leaf) for leaf in jax.tree.leaves(arguments)]
        there.write(json.dumps([source, leaves]) + "\n")
        there.flush()
        found = json.loads(back.readline())
        assert not isinstance(found, str), f"{found}\n{source}"
        return [np.ravel(np.array([float(x) for x in np.ravel(np.asarray(leaf, object))])) for leaf in found]

    yield call
    there.close()
    process.wait(10)
    back.close()


def agree(node, function, *arguments, rtol=1e-13, atol=1e-15):
    """JavaScript and JAX, leaf by leaf; sizes too."""
    expected = jax.tree.leaves(jax.jit(function)(*arguments))
    found = node(function, *arguments)
    assert len(found) == len(expected)
    for there, here in zip(expected, found, strict=True):
        flat = np.ravel(np.asarray(there)).astype(float)
        assert here.shape == flat.shape
        np.testing.assert_allclose(here, flat, rtol=rtol, atol=atol, equal_nan=True)


#: What floating point does worst, beside ordinary numbers; as many as make a typed array, and few enough for scalars.
AWKWARD = np.array([-np.inf, -3.7, -2.5, -1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0, 1.5, 2.5, 7.25, np.inf, np.nan])
WHOLE = np.array([-(2**31), -7, -3, -1, 0, 1, 2, 5, 31, 2**31 - 1], np.int32)
SIZES = [slice(None), slice(0, 7), slice(8, None)]

UNARY = {
    "neg": lax.neg, "abs": lax.abs, "sign": lax.sign, "floor": lax.floor, "ceil": lax.ceil,
    "round_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), "round_away": lax.round,
    "is_finite": lax.is_finite, "sqrt": lax.sqrt, "rsqrt": lax.rsqrt, "cbrt": lax.cbrt, "square": lax.square,
    "exp": lax.exp, "exp2": lax.exp2, "expm1": lax.expm1, "log": lax.log, "log1p": lax.log1p,
    "logistic": lax.logistic, "sin": lax.sin, "cos": lax.cos, "tan": lax.tan, "asin": lax.asin, "acos": lax.acos,
    "atan": lax.atan, "sinh": lax.sinh, "cosh": lax.cosh, "tanh": lax.tanh, "asinh": lax.asinh, "acosh": lax.acosh,
    "atanh": lax.atanh, "to_int32": lambda x: lax.convert_element_type(x, jnp.int32),
    "to_float32": lambda x: x.astype(jnp.float32), "to_bool": lambda x: x.astype(bool),
    "powers": lambda x: [lax.integer_pow(x, n) for n in (-3, -2, -1, 0, 1, 2, 3, 4, 5, 9)],
    "clamp": lambda x: lax.clamp(-1.0, x, 2.0), "stop": lax.stop_gradient, "relu": jax.nn.relu,
    "precision": lambda x: lax.reduce_precision(x, 8, 23), "barrier": lax.optimization_barrier,
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("op", UNARY)
def test_a_function_of_one_number_knows_nan_infinity_and_both_zeros(node, op):
    agree(node, lambda x: [UNARY[op](x[part]) for part in SIZES], AWKWARD, rtol=4e-15 if op != "to_float32" else 1e-7)


BINARY = {
    "add": lax.add, "sub": lax.sub, "mul": lax.mul, "div": lax.div, "rem": lax.rem, "max": lax.max, "min": lax.min,
    "eq": lax.eq, "ne": lax.ne, "lt": lax.lt, "le": lax.le, "gt": lax.gt, "ge": lax.ge,
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("op", [*BINARY, "pow", "atan2"])
def test_a_function_of_two_numbers_knows_every_awkward_pair(node, op):
    function = BINARY.get(op) or getattr(lax, op)
    agree(node, function, *(np.ravel(side) for side in np.meshgrid(AWKWARD, AWKWARD)), rtol=4e-15)


@needs_node
@pytest.mark.parametrize("op", [*BINARY, "and", "or", "xor", "shifts", "not", "powers", "conversions"])
def test_integers_wrap_around_and_divide_as_in_xla(node, op):
    function = {
        "and": jnp.bitwise_and, "or": jnp.bitwise_or, "xor": jnp.bitwise_xor, "not": lambda a, b: jnp.bitwise_not(a),
        "powers": lambda a, b: [lax.integer_pow(a, n) for n in (2, 3)],
        "shifts": lambda a, b: [lax.shift_left(a, b), lax.shift_right_logical(a, b), lax.shift_right_arithmetic(a, b)],
        "conversions": lambda a, b: [a.astype(t) for t in (jnp.uint32, jnp.float64, bool, jnp.int64)],
    } | BINARY  # fmt: skip
    pairs = [np.ravel(side) for side in np.meshgrid(WHOLE, WHOLE)]
    if op == "rem":  # where the processor itself gives up
        keep = pairs[1] != -1
        pairs = [side[keep] for side in pairs]
    agree(node, function[op], *pairs)
    if op not in ("conversions", "powers"):
        agree(node, function[op], *(side.view(np.uint32) for side in pairs))


@needs_node
def test_booleans_stay_booleans(node):
    a, b = np.array([False, False, True, True] * 3), np.array([False, True] * 6)

    def function(a, b):
        return a & b, a | b, a ^ b, ~a, a == b, a < b, jnp.maximum(a, b), a.astype(int), a[0] & b[1], jnp.any(a & b)

    agree(node, function, a, b)


MOVES = {
    "slice": lambda x: [x[1:, ::2], x[:, 1], x[::-1, ::-1]], "transpose": lambda x: [x.T, (x + 1).T],
    "reshape": lambda x: [x.reshape(2, 6), x.ravel(), x[:2, :2].reshape(4)],
    "broadcast": lambda x: [jnp.broadcast_to(x[0], (5, 4)), jnp.broadcast_to(x[1, 2], (3, 4)), x[:, :1] + x[:1]],
    "pad": lambda x: [lax.pad(x, 0.5, [(1, 2, 1), (-1, 0, 0)]), lax.pad(x[0], 7.0, [(2, -1, 0)])],
    "concatenate": lambda x: [jnp.concatenate([x, x + 1], 1), jnp.concatenate([x[0, :2], x[1, :1]])],
    "stack": lambda x: [jnp.stack([x, -x], 1), jnp.unstack(x, axis=1), jnp.split(x, 3)],
    "squeeze": lambda x: x[:1, None].squeeze(), "iota": lambda x: x * jnp.arange(4.0)[None] + jnp.eye(3, 4),
    "gather": lambda x: [x[jnp.array([2, 0, 2])], x[jnp.array([0, 1]), jnp.array([1, 3])], jnp.take(x, 9, axis=0)],
    "scatter": lambda x: [x.at[1].set(9.0), x.at[jnp.array([0, 0]), jnp.array([1, 1])].add(x[2, :2])],
    "tril": lambda x: [jnp.tril(x), jnp.roll(x, 1, 0)], "where": lambda x: jnp.where(x > 0.2, x, jnp.zeros_like(x)),
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("op", MOVES)
def test_entries_go_where_jax_puts_them(node, op):
    agree(node, MOVES[op], np.linspace(-1, 2, 12).reshape(3, 4))


@needs_node
def test_places_that_only_the_run_knows_are_clamped_or_dropped_as_in_jax(node):
    x = np.linspace(-1, 2, 12).reshape(3, 4)

    def function(x, k, ks):
        return (
            lax.dynamic_slice(x, (k, 1), (2, 2)), lax.dynamic_slice(x, (k, k), (3, 3)), x[k], x[0][k], x[ks], x[ks, k],
            lax.dynamic_update_slice(x, -x[:2, :1], (k, 2)), x.at[k].set(5.0), x.at[k, 1].add(x[0, 0]),
            x.at[ks].add(x[:2] * 0 + 1), x.at[ks].mul(2.0, mode="drop"), x.at[ks].max(0.5),
            x.at[ks].get(mode="fill"), x.at[ks].get(mode="clip"), jnp.take_along_axis(x, ks[None] % 4, 1),
        )  # fmt: skip

    for k in (-9, -1, 0, 1, 2, 7):
        agree(node, function, x, k, np.array([k, 1]))


REDUCTIONS = {
    "sum": jnp.sum, "prod": jnp.prod, "max": jnp.max, "min": jnp.min, "any": lambda x, a: jnp.any(x > 0, a),
    "all": lambda x, a: jnp.all(x > 0, a), "argmax": jnp.argmax, "argmin": jnp.argmin,
    "cumsum": lambda x, a: jnp.cumsum(x, a or 0), "cumprod": lambda x, a: jnp.cumprod(x, a or 0),
    "cummax": lambda x, a: [lax.cummax(x, a or 0), lax.cummin(x, a or 0, reverse=True)],
    "sort": lambda x, a: [jnp.sort(x, a or 0), jnp.argsort(x, a or 0)], "mean": jnp.mean, "norm": lambda x, a: (
        jnp.linalg.norm(x.ravel()), jnp.max(jnp.abs(x), initial=0)
    ), "count": lambda x, a: jnp.sum((x > 0).astype(jnp.int32), a, dtype=jnp.int32),
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("op", REDUCTIONS)
def test_many_become_few_and_nan_wins(node, op):
    x = np.array([[0.5, -2.0, 3.0], [3.0, 3.0, -0.5]])
    y = np.where(np.eye(4, 5) > 0, np.nan, np.linspace(-1, 1, 20).reshape(4, 5))
    y[0], y[3, 0] = 0.25, np.inf
    agree(node, lambda *all: [REDUCTIONS[op](z, axis) for z in all for axis in (None, 0, 1)], x, y, y[:, :1])


@needs_node
@settings(max_examples=6)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_products_of_matrices(node, m, n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    stack = rng.normal(size=(2, k, 3))

    def function(a, b, stack):
        return a @ b, a[0] @ b, b.T @ a.T, jnp.einsum("mk,bkj->bmj", a, stack), jnp.vdot(a, a), jnp.outer(a[0], b[0])

    agree(node, function, a, b, stack, rtol=1e-12, atol=1e-13)


@needs_node
@settings(max_examples=6)
@given(st.integers(1, 6), st.integers(0, 99))
def test_factorizations_solve_what_lapack_solves(node, n, seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(n, n)) + np.eye(n), rng.normal(size=(n, 2))
    tall = rng.normal(size=(n + 2, n))

    def function(A, b, tall):
        S = A @ A.T + jnp.eye(n)
        L = jnp.linalg.cholesky(S)
        w, V = jnp.linalg.eigh(A + A.T)
        u, s, vt = jnp.linalg.svd(tall, full_matrices=False)
        wide = jnp.linalg.svd(tall.T, full_matrices=False)
        return (
            jnp.linalg.solve(A, b[:, 0]), jnp.linalg.solve(A, b), L, w, (V * w[None]) @ V.T, V.T @ V,
            (u * s[None]) @ vt, s,
            u.T @ u, (wide[0] * wide[1][None]) @ wide[2], jnp.linalg.qr(tall), jnp.linalg.det(A),
            jnp.linalg.lstsq(tall, tall[:, 0] + b[0, 0])[0],
            [
                lax.linalg.triangular_solve(L, b if left else b.T, left_side=left, lower=lower, transpose_a=turned)
                for left in (True, False) for lower in (True,) for turned in (True, False)
            ],
            lax.linalg.triangular_solve(L.T, b, left_side=True, lower=False, unit_diagonal=True),
        )  # fmt: skip

    agree(node, function, A, b, tall, rtol=1e-9, atol=1e-9)


@needs_node
def test_a_factorization_that_fails_says_nan_as_lapack_does(node):
    indefinite, singular = np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1]]), np.ones((3, 3))
    agree(node, jnp.linalg.cholesky, indefinite)
    agree(node, lambda a: [jnp.linalg.solve(a, a[0]), jnp.linalg.eigh(a * jnp.nan)[0]], singular)
    agree(node, lambda a: [jnp.linalg.svd(a)[1], jnp.linalg.pinv(a)], singular, atol=1e-12)


CONTROL = {
    "while with a carry of all types": lambda x, n: lax.while_loop(
        lambda c: (c[1] < n) & c[2], lambda c: (c[0] * 1.5 - x, c[1] + 1, c[0].sum() < 1e3), (x, jnp.int32(0), n > 0)
    ),
    "a swap": lambda x, n: lax.fori_loop(0, n, lambda _, c: (c[1], c[0], c[3] + c[0][0], c[2]), (x, 2 * x, x[0], x[1])),
    "a loop in a loop": lambda x, n: lax.fori_loop(
        0, n, lambda i, a: lax.fori_loop(0, i, lambda j, b: b + x * j, a) * 0.5, x
    ),
    "scan": lambda x, n: lax.scan(lambda c, row: (c + row * n, (c, row > 0.1)), x[0], x),
    "scan of rows, reversed": lambda x, n: lax.scan(
        lambda c, row: (c + row, jnp.outer(c, row)), x, jnp.stack([x, x + 1, x * n]), reverse=True
    ),
    "a scalar that fills an array": lambda x, n: lax.fori_loop(
        0, n, lambda _, c: (c[0] + 1, jnp.full_like(x, c[0])), (x[0], x)
    ),
    "scan of nothing": lambda x, n: lax.scan(lambda c, _: (c * 2, c[0]), x, None, length=3),
    "cond": lambda x, n: lax.cond(n > 2, lambda y: (y * 2, n, n > 1), lambda y: (x, n - 1, n > 0), x + 1),
    "switch, clamped": lambda x, n: [
        lax.switch(n + k, [lambda y: y, lambda y: -y, lambda y: y * y + n], x) for k in (-9, -2, -1, 0, 9)
    ],
    "cond in while": lambda x, n: lax.while_loop(
        lambda c: c[1] < n,
        lambda c: (lax.cond(c[1] % 2 == 0, lambda y: y + x, lambda y: y * 0.5, c[0]), c[1] + 1),
        (x, 0),
    ),
    "while in cond": lambda x, n: lax.cond(
        n > 0, lambda: lax.fori_loop(0, n, lambda i, y: y[::-1] + i, x), lambda: x * jnp.nan
    ),
    "select by number": lambda x, n: lax.select_n(jnp.full_like(x, n % 3, dtype=jnp.int32), x, -x, x * x),
    "jit and derivatives": lambda x, n: jax.value_and_grad(jax.jit(lambda y: jnp.sum(jax.nn.softplus(y) ** n)))(x),
    "hessian": lambda x, n: jax.hessian(lambda y: jnp.sum(y**3 * y[0]) * n)(x),
}  # fmt: skip


@needs_node
@pytest.mark.parametrize("op", CONTROL)
@pytest.mark.parametrize("size", [2, 11])
def test_loops_and_branches_with_closures_do_as_in_jax(node, op, size):
    function = CONTROL[op]
    for n in (0, 1, 5):
        agree(node, lambda x, n: function(x, n), np.linspace(-0.4, 0.9, size), np.asarray(n, np.int32), rtol=1e-12)


@needs_node
def test_trees_keep_the_order_of_their_leaves_and_inputs_their_entries(node):
    tree = {"b": (np.arange(3.0), np.float32(0.1)), "a": [np.asarray(True), np.zeros((0, 2)), np.int32(4)]}
    agree(node, lambda t: {"z": t["b"][0] * t["a"][2], "y": t, "x": t["b"][1] * 3}, tree)


def test_an_unknown_primitive_is_named_with_its_line():
    with pytest.raises(Untranslatable, match=r"primitive digamma: no translation .*test_translate\.py:\d+"):
        translate("f", lambda x: jax.scipy.special.digamma(x), 1.0)
    with pytest.raises(Untranslatable, match="complex128"):
        translate("f", lambda x: jnp.real(x + 1j), 1.0)
    with pytest.raises(Untranslatable, match="primitive digamma"):  # inside a loop too, named once
        translate("f", lambda x: lax.fori_loop(0, 3, lambda i, y: jax.scipy.special.digamma(y), x), 1.0)


@pytest.mark.parametrize("name", ["f;alert(1)", "</script>", "a b", "", "1a", "ünicode", "f\n", "var", "leaves", "v1"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="cannot be called"):
        translate(name, lambda x: x, 1.0)


def test_names_inside_a_program_are_never_quoted():
    def innocent(x):
        return x + 1

    innocent.__name__ = "</script><script>alert(1)"
    source = translate("f", lambda x: jax.jit(innocent)(x), 1.0)
    assert "script" not in source and "alert" not in source


def test_what_nobody_asks_for_is_left_out():
    source = translate("f", lambda x: (jnp.sin(x), x + 1)[1], 1.0)
    assert "sin" not in source
