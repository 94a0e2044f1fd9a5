"""The detector's functions against values by hand and against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.workloads import network_detector as detection
from optlab.workloads.network_detector import BACKGROUND, IGNORED, Detections, Outputs

SIDE = st.floats(0.5, 50)
PLACE = st.floats(-20, 50)


def boxes(random, *shape):
    """Boxes within an image of 32 pixels, at least a pixel wide: `[*shape, 4]`."""
    low = 23 * random.uniform(size=(*shape, 2))
    return np.concatenate([low, low + 1 + 8 * random.uniform(size=low.shape)], axis=-1)


def overlap(a, b):
    """Intersection over union of two boxes, by counting: the independent version."""
    sides = [max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1)]
    shared = sides[0] * sides[1]
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union


def test_anchors_stand_around_the_middle_of_each_cell_in_the_order_of_the_outputs():
    found = detection.anchors(8, 4, scales=(4.0, 8.0), ratios=(1.0, 4.0))
    assert found.shape == (2 * 2 * 2 * 2, 4)
    np.testing.assert_allclose(found[0], [0, 0, 4, 4])  # centre (2, 2), scale 4, square
    np.testing.assert_allclose(found[1], [-2, 1, 6, 3])  # four times as high as wide, the same area
    np.testing.assert_allclose(found[2], [-2, -2, 6, 6])
    np.testing.assert_allclose(found[4] - found[0], [0, 4, 0, 4])  # the next cell is to the right
    assert detection.anchors(32, 4).shape == (576, 4)
    assert detection.anchors(30, 4).shape == (576, 4)  # the map of a SAME convolution is rounded up


def test_intersection_over_union_is_the_share_of_the_common_area():
    a = np.asarray([[0.0, 0, 2, 2], [0, 0, 1, 4], [1, 1, 1, 1]])
    b = np.asarray([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [1, 1, 1, 1]])
    expected = [[1, 1 / 7, 0, 0], [2 / 6, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(jax.jit(detection.intersection_over_union)(a, b), expected)


ENCODE, DECODE = jax.jit(detection.encode), jax.jit(detection.decode)
MATCH = jax.jit(detection.match)


def test_offsets_are_those_of_the_paper():
    anchor = np.asarray([0.0, 0, 10, 20])
    np.testing.assert_allclose(ENCODE(np.asarray([4.0, 6, 14, 26]), anchor), [0.4, 0.3, 0, 0])
    np.testing.assert_allclose(ENCODE(np.asarray([0.0, 0, 20, 10]), anchor), [0.5, -0.25, np.log(2), -np.log(2)])


@given(*[st.tuples(PLACE, PLACE, SIDE, SIDE)] * 2)
def test_decoding_undoes_encoding(box, anchor):
    box, anchor = (np.asarray([y, x, y + h, x + w]) for y, x, h, w in (box, anchor))
    np.testing.assert_allclose(DECODE(ENCODE(box, anchor), anchor), box, rtol=1e-12, atol=1e-9)


def test_anchors_are_matched_ignored_or_background_by_their_overlap():
    # overlaps with the first box: 1, 0.5, 0.45, 0.3; the second box has no anchor but the small overlap of the last
    anchors = np.asarray([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 4.5], [0, 0, 10, 3], [30, 30, 40, 40]])
    truth = np.asarray([[0.0, 0, 10, 10], [38, 38, 42, 42], [0, 0, 10, 3]])
    targets = MATCH(anchors, truth, np.asarray([2, 0, -1]))
    assert targets.classes.tolist() == [2, 2, IGNORED, BACKGROUND, 0]
    np.testing.assert_array_equal(np.asarray(targets.boxes)[[0, 1, 4]], truth[[0, 0, 1]])
    nothing = MATCH(anchors, truth, np.full(3, -1))
    assert set(nothing.classes.tolist()) == {BACKGROUND}


def matched(anchors, truth, classes):
    """The class and the box of each anchor, one after the other: the independent version."""
    present, best = np.flatnonzero(classes >= 0), {}
    for b in present:
        a = max(range(len(anchors)), key=lambda a: overlap(anchors[a], truth[b]))
        if a not in best or overlap(anchors[a], truth[b]) > overlap(anchors[a], truth[best[a]]):
            best[a] = b
    for a, anchor in enumerate(anchors):
        shares = {b: overlap(anchor, truth[b]) for b in present}
        box = best.get(a, max(shares, key=shares.__getitem__))
        if a in best or shares[box] >= 0.5:
            yield classes[box], box
        else:
            yield (BACKGROUND if shares[box] < 0.4 else IGNORED), None


def test_matching_equals_a_loop_over_anchors_and_boxes():
    random, anchors = np.random.RandomState(0), detection.anchors(32, 8)
    classes, kinds = np.asarray([0, 1, 2, -1, 1]), set()
    for _ in range(10):
        truth = boxes(random, 5)
        targets = MATCH(anchors, truth, classes)
        expected, given_to = zip(*matched(anchors, truth, classes), strict=True)
        np.testing.assert_array_equal(targets.classes, expected)
        for a, b in enumerate(given_to):
            assert b is None or np.array_equal(targets.boxes[a], truth[b])
        kinds |= set(expected)
    assert kinds == {IGNORED, BACKGROUND, 0, 1, 2}


LOGITS, TRUTH = np.linspace(-30, 30, 61), np.arange(61) % 2.0


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    plain = np.logaddexp(0, -LOGITS * (2 * TRUTH - 1))
    loss = jax.jit(lambda *pair: detection.focal_loss(*pair, alpha=0.5, gamma=0.0))(LOGITS, TRUTH)
    np.testing.assert_allclose(loss, plain / 2, rtol=1e-12)


def test_focal_loss_is_that_of_the_paper_and_has_a_finite_slope_everywhere():
    @jax.jit
    def losses(logits, truth):
        theirs = optax.losses.sigmoid_focal_loss(logits, truth, alpha=0.25, gamma=2.0)
        steep = jax.grad(lambda z: detection.focal_loss(z, truth, gamma=0.0).sum())(100 * logits)
        return detection.focal_loss(logits, truth), theirs, steep, detection.focal_loss(logits, truth, alpha=1.0)

    ours, theirs, steep, _ = losses(LOGITS, TRUTH)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-12)  # theirs loses digits where p_t is near 1
    assert np.isfinite(steep).all()
    # p_t = 0.9 is discounted a hundredfold at gamma = 2 (section 3.2)
    easy = losses(np.full(61, np.log(9)), np.ones(61))[-1]
    np.testing.assert_allclose(easy, -np.log(0.9) / 100)


def test_the_loss_of_an_image_is_divided_by_its_positive_anchors():
    anchors = np.asarray([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 4.5], [20, 20, 30, 30]])
    truth = np.asarray([[[0.0, 0, 10, 10], [0, 0, 0, 0]]] * 2)
    classes = np.asarray([[1, -1], [-1, -1]])  # the second image is empty
    random = np.random.RandomState(0)
    scores, offsets = random.normal(size=(2, 4, 2)), 3 * random.normal(size=(2, 4, 4))
    loss = jax.jit(jax.value_and_grad(detection.detection_loss))
    value, slope = loss(Outputs(scores, offsets), truth, classes, anchors)

    def focal(z, t):
        p = 1 / (1 + np.exp(-z))
        return -0.25 * (1 - p) ** 2 * np.log(p) if t else -0.75 * p**2 * np.log(1 - p)

    def huber(t):
        return np.where(np.abs(t) < 1, 0.5 * t**2, np.abs(t) - 0.5).sum()

    # anchors 0 and 1 find the box (overlaps 1 and 0.8), anchor 2 (0.45) is ignored, anchor 3 is background
    first = sum(focal(scores[0, a, c], a < 2 and c == 1) for a in (0, 1, 3) for c in (0, 1))
    first += huber(offsets[0, 0]) + huber(offsets[0, 1] - [0, 0.125, 0, np.log(1.25)])
    second = sum(focal(z, False) for z in scores[1].ravel())
    np.testing.assert_allclose(value, (first / 2 + second) / 2, rtol=1e-10)
    assert np.isfinite(slope.scores).all()
    assert np.isfinite(slope.offsets).all()
    assert not np.any(slope.scores[0, 2])


def suppressed(scores, found, count, threshold, most):
    """Greedy suppression one after the other: the independent version."""
    order = sorted(((s, a, c) for (a, c), s in np.ndenumerate(scores) if s > threshold), key=lambda item: -item[0])
    kept = []
    for score, a, c in order:
        if len(kept) < count and all(c != other or overlap(found[a], found[b]) <= most for _, b, other in kept):
            kept.append((score, a, c))
    return kept


def test_suppression_keeps_what_a_greedy_loop_keeps():
    random, anchors = np.random.RandomState(0), detection.anchors(32, 8)
    logits, offsets = random.normal(size=(6, len(anchors), 2)), 0.2 * random.normal(size=(6, len(anchors), 4))
    logits[0] -= 3  # an image in which little is seen

    @jax.jit
    def seen(logits, offsets):
        found = detection.detections(Outputs(logits, offsets), anchors, count=12, threshold=0.7)
        return found, jax.vmap(detection.decode, (0, None))(offsets, jnp.asarray(anchors))

    found, placed = jax.tree.map(np.asarray, seen(logits, offsets))
    lengths = set()
    for image in range(6):
        kept = suppressed(1 / (1 + np.exp(-logits[image])), placed[image], 12, 0.7, 0.5)
        n = len(kept)
        np.testing.assert_allclose(found.scores[image, :n], [score for score, _, _ in kept])
        assert found.classes[image].tolist() == [c for _, _, c in kept] + [-1] * (12 - n)
        np.testing.assert_allclose(found.boxes[image, :n], placed[image][[a for _, a, _ in kept]].reshape(n, 4))
        assert not found.scores[image, n:].any()
        lengths.add(n)
    assert min(lengths) < 12


def test_average_precision_by_hand():
    # one class, two boxes in two images; right at ranks 1 and 3: recall 1/2 at precision 1, recall 1 at 2/3
    truth = np.asarray([[[0.0, 0, 10, 10]], [[0, 0, 10, 10]]])
    boxes = np.asarray([[[0.0, 0, 10, 10], [0, 0, 10, 9]], [[0, 0, 10, 8], [20, 20, 30, 30]]])
    found = Detections(boxes, np.asarray([[0, 0], [0, -1]]), np.asarray([[0.9, 0.8], [0.7, 0.0]]))
    one, two, none = np.zeros((2, 1), int), np.asarray([[0], [1]]), np.full((2, 1), -1)

    # classes that do not occur are left out; the second of two classes, which is never found, counts
    each = jax.vmap(lambda found, labels: detection.average_precision(found, truth, labels, 3), (None, 0))
    np.testing.assert_allclose(jax.jit(each)(found, np.stack([one, two, none])), [0.5 * 1 + 0.5 * 2 / 3, 0.5, 0])


def area_under_precision(found, truth, labels, number):
    """The mean average precision, box by box: the independent version."""
    areas = []
    for c in range(number):
        mine = [(s, n, k) for (n, k), s in np.ndenumerate(found.scores) if found.classes[n, k] == c]
        taken, right = set(), []
        for _, n, k in sorted(mine, key=lambda item: -item[0]):
            shares = {m: overlap(found.boxes[n, k], truth[n, m]) for m in np.flatnonzero(labels[n] == c)}
            best = max(shares, key=shares.__getitem__, default=None)
            right.append(best is not None and shares[best] >= 0.5 and (n, best) not in taken)
            if right[-1]:
                taken.add((n, best))
        there = np.sum(labels == c)
        if there:
            precision = np.cumsum(right) / np.arange(1, len(right) + 1)
            areas.append(sum(max(precision[k:]) for k, hit in enumerate(right) if hit) / there)
    return np.mean(areas)


def test_average_precision_equals_a_loop_over_the_boxes():
    precision, random, values = jax.jit(detection.average_precision, static_argnums=3), np.random.RandomState(0), []
    twice = [0, 1, 2, 3, 4, 5, 0, 1]
    for _ in range(10):
        truth, labels = boxes(random, 4, 6), random.randint(-1, 3, size=(4, 6))
        moved = truth[:, twice] + 2 * random.normal(size=(4, 8, 1))
        classes = np.where(random.uniform(size=(4, 8)) < 0.2, 0, labels[:, twice])
        found = Detections(moved, classes, -np.sort(-random.uniform(size=(4, 8)), axis=1))
        values.append(float(precision(found, truth, labels, 4)))
        np.testing.assert_allclose(values[-1], area_under_precision(found, truth, labels, 4), rtol=1e-12)
    assert 0.05 < min(values) < max(values) < 0.95


def test_outputs_stand_in_the_order_of_the_anchors_and_begin_at_the_prior():
    network = detection.detector(width=1 / 16, classes=2, norm="none")
    image = np.zeros((2, 80, 80, 1), np.float32)
    image[1, 70, 6] = 1
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    apply = jax.jit(network.apply)
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    np.testing.assert_allclose(1 / (1 + np.exp(-apply(zero, image).scores)), 0.01, rtol=1e-5)

    scores, offsets = apply(jax.tree.map(lambda leaf: np.full(leaf.shape, 0.1, leaf.dtype), shapes), image)
    anchors = detection.anchors(80, 4)
    assert scores.shape == (2, len(anchors), 2)
    assert offsets.shape == (2, len(anchors), 4)
    change = np.abs(offsets[1] - offsets[0]).max(axis=-1)
    away = np.abs(0.5 * (anchors[:, :2] + anchors[:, 2:]) - [70, 6]).max(axis=1)
    assert away[change > 1e-7].max() < 20  # the receptive field is 35 pixels wide
    assert away[change.argmax()] < 8


def test_bad_choices_of_a_detector_are_refused():
    with pytest.raises(ValueError, match="norm must be one of group, batch, none, not 'layer'"):
        detection.detector(norm="layer")
    with pytest.raises(ValueError, match="depth of a detector must be at least 1, not 0"):
        detection.detector(depth=0)
