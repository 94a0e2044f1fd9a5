"""Data of the training workloads: made, and read from files in the real formats."""

import functools
import gzip
import hashlib
import io
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from optlab.workloads import data_files, data_procedural
from optlab.workloads.data import digits, standardised

# Digits, and what holds for every set


def test_digits_are_all_of_scikit_learns_and_a_fifth_of_each_class_validates():
    made, images, labels = digits(), *load_digits(return_X_y=True)
    parts = (made.train, made.validation)
    inputs, targets = (np.concatenate([part[k] for part in parts]) for k in (0, 1))

    def rows(images, labels):
        return sorted(map(tuple, np.column_stack([images.reshape(len(labels), -1), labels]).astype(int).tolist()))

    assert rows(inputs, targets) == rows(images, labels)
    fifth = [round(0.2 * count) for count in np.bincount(labels)]
    assert np.bincount(made.validation.targets).tolist() == fifth
    assert made.train.inputs.shape[1:] == (8, 8, 1)
    assert made.train.inputs.dtype == np.uint8


def test_a_seed_decides_the_split_and_a_set_is_made_once():
    assert digits(seed=3) is digits(seed=3)
    assert not np.array_equal(digits(seed=3).validation.inputs, digits(seed=4).validation.inputs)


@pytest.mark.parametrize("name", ["digits", "shapes_boxes", "mnist_1d"])
def test_training_inputs_are_standardised_by_what_the_set_carries(name):
    made = digits() if name == "digits" else getattr(data_procedural, name)(count=64)
    for array in (made.train.inputs, jnp.asarray(made.train.inputs)):
        x = standardised(array, made.mean, made.scale)
        assert x.dtype == np.float32
        np.testing.assert_allclose(np.mean(x, axis=(0, 1, 2), dtype=float), 0, atol=1e-5)
        np.testing.assert_allclose(np.std(x, axis=(0, 1, 2), dtype=float), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        made.train.inputs[0] = 0


def test_numbers_that_make_a_set_cannot_be_traced_and_must_be_right():
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.eval_shape(lambda seed: digits(seed=seed).train.inputs, 0)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.eval_shape(lambda d: data_procedural.mnist_1d(difficulty=d).train.inputs, 0.5)
    with pytest.raises(ValueError, match="difficulty must be from 0 to 1, not 1.5"):
        data_procedural.shapes_masks(difficulty=1.5)
    with pytest.raises(ValueError, match="count must be a whole number of at least 4, not 2.5"):
        data_procedural.mnist_1d(count=2.5)  # pyright: ignore[reportArgumentType]


# Procedural sets


def outline(images):
    """How far each pixel is from what is behind, as the picture's corner shows it: without colour or sign."""
    grey = images.astype(float).mean(-1)
    apart = np.abs(grey - grey[:, :1, :1]).reshape(len(images), -1)
    return apart / apart.max(1, keepdims=True)


def test_shapes_are_named_by_their_nearest_neighbour_when_easy_and_hardly_when_difficult():
    scores = []
    for difficulty in (0, 0.5, 1):
        made = data_procedural.shapes_classes(count=800, difficulty=difficulty)
        assert made.train.inputs.shape == (800, 32, 32, 3)
        assert np.bincount(np.concatenate([made.train.targets, made.validation.targets])).tolist() == [100] * 10
        model = KNeighborsClassifier(1).fit(outline(made.train.inputs), made.train.targets)
        scores.append(model.score(outline(made.validation.inputs), made.validation.targets))
    assert scores[0] > 0.85  # what fails are stripes taken for others
    assert 0.15 < scores[1] < 0.75
    assert scores[2] < 0.25  # chance is 0.1


def test_difficulty_changes_the_rendering_and_not_the_scene():
    easy, hard = (data_procedural.shapes_classes(count=40, difficulty=d) for d in (0, 1))
    np.testing.assert_array_equal(easy.train.targets, hard.train.targets)
    assert data_procedural.shapes_classes(count=40, difficulty=0, seed=1).train.targets.tolist() != (
        easy.train.targets.tolist()
    )


def test_boxes_are_the_bounds_of_the_masks_and_name_the_same_shapes():
    boxes = data_procedural.shapes_boxes(count=100, difficulty=0)
    masks = data_procedural.shapes_masks(count=100, difficulty=0)
    np.testing.assert_array_equal(boxes.train.inputs, masks.train.inputs)
    assert set(np.unique(masks.train.targets)) == set(range(6))
    seen = 0
    for mask, box, kind in zip(masks.train.targets, *boxes.train.targets.values(), strict=True):
        for quarter, (y, x) in enumerate([(0, 0), (0, 16), (16, 0), (16, 16)]):
            inside = np.argwhere(mask[y : y + 16, x : x + 16]) + [y, x]
            if kind[quarter] < 0:
                assert len(inside) == 0
                assert not box[quarter].any()
            else:
                np.testing.assert_array_equal(box[quarter], [*inside.min(0), *(inside.max(0) + 1)])
                assert set(mask[tuple(inside.T)]) == {kind[quarter] + 1}
                seen += 1
    assert seen > 200  # of 1 to 4 in each of 100


def curve(label, generator):
    """One example of MNIST-1D, step by step as Greydanus (2020) states it."""
    template = data_procedural.TEMPLATES[label]
    template = (template - template.mean()) / template.std()
    template = (template - template[0]) / 6
    padded = np.append(template + 1e-8, np.zeros(generator.integers(36, 61)))
    x = np.interp(np.linspace(0, 1, 72), np.linspace(0, 1, len(padded)), padded)
    x = np.roll(x * (1 + 0.4 * (generator.random() - 0.5)), generator.integers(48))
    noise = ndimage.gaussian_filter(0.25 * generator.standard_normal(72), 2)
    x = np.where(x != 0, x, noise) + 0.02 * generator.standard_normal(72)
    x -= 0.75 * (generator.random() - 0.5) * np.linspace(-0.5, 0.5, 72)
    return np.interp(np.linspace(0, 1, 40), np.linspace(0, 1, 72), x)


def test_mnist_1d_is_greydanuss_at_a_difficulty_of_one_half():
    made = data_procedural.mnist_1d(count=4000)
    generator = np.random.default_rng(5)
    for label in (0, 4, 8):
        mine = made.train.inputs[made.train.targets == label, :, 0, 0]
        theirs = np.stack([curve(label, generator) for _ in range(400)])
        # some 400 curves each: a mean is known to 1/20 of its deviation, a deviation to 1/28; four of both together
        np.testing.assert_allclose(mine.mean(0), theirs.mean(0), atol=4 * 2**0.5 / 20 * theirs.std())
        np.testing.assert_allclose(mine.std(0), theirs.std(0), rtol=4 * 2**0.5 / 28)


def test_mnist_1d_at_difficulty_zero_is_the_templates():
    made = data_procedural.mnist_1d(count=40, difficulty=0)
    assert made.train.inputs.shape == (40, 40, 1, 1)
    for x, label in zip(made.train.inputs[:, :, 0, 0], made.train.targets, strict=True):
        template = data_procedural.TEMPLATES[label]
        template = (template - template[0]) / template.std() / 6
        points = np.interp(np.linspace(0, 71, 72), np.arange(12), template, right=0)  # 12 of 12 + 60 points
        np.testing.assert_allclose(x, np.interp(np.linspace(0, 71, 40), np.arange(72), points), atol=1e-6)


# Files


@functools.cache
def pictures(count, *shape):
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


def mnist_files(counts=(30, 20)):
    files = {}
    for part, count in zip(("train", "t10k"), counts, strict=True):
        files[f"{part}-images-idx3-ubyte"] = idx(pictures(count, 28, 28))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8) % 10)
    return files


def write(folder, files, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return str(folder)


def cifar_files(classes, per_file=4):
    """Records as the page of CIFAR states them: label bytes, then reds, greens and blues row by row."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    files = {}
    for k, name in enumerate(names if classes == 10 else ["train.bin", "test.bin"]):
        records = []
        for j, image in enumerate(pictures(per_file + k, 32, 32, 3)[:per_file]):
            labels = [(k + j) % 10] if classes == 10 else [19, (10 * k + j) % 100]
            records.append(bytes(labels) + b"".join(image[..., channel].tobytes() for channel in range(3)))
        files[name] = b"".join(records)
    return files


def archive(path, files, inner):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inner}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("function", [data_files.mnist, data_files.fashion_mnist])
def test_idx_files_are_read_packed_and_unpacked(function, packed, tmp_path):
    made = function(folder=write(tmp_path, mnist_files(), packed), check=False)
    np.testing.assert_array_equal(made.train.inputs, pictures(30, 28, 28)[..., None])
    np.testing.assert_array_equal(made.validation.inputs, pictures(20, 28, 28)[..., None])
    assert made.validation.targets.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 2
    assert (made.classes, made.train.targets.dtype) == (10, np.int32)
    few = function(folder=str(tmp_path), check=False, limit=7)
    assert (len(few.train.inputs), len(few.validation.targets)) == (7, 7)
    np.testing.assert_allclose(few.mean, pictures(30, 28, 28)[:7].mean(), rtol=1e-6)


CIFAR = {
    10: (data_files.cifar10, "cifar-10-binary.tar.gz", "cifar-10-batches-bin"),
    100: (data_files.cifar100, "cifar-100-binary.tar.gz", "cifar-100-binary"),
}


@pytest.mark.parametrize("form", ["archive", "extracted", "the files' own folder"])
@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_is_read_from_its_archive_and_from_what_it_holds(classes, form, tmp_path):
    function, name, inner = CIFAR[classes]
    files = cifar_files(classes)
    if form == "archive":
        archive(tmp_path / name, files, inner)
    else:
        write(tmp_path / inner if form == "extracted" else tmp_path, files)
    made = function(folder=str(tmp_path), check=False)
    trained = len(files) - 1
    expected = np.concatenate([pictures(4 + k, 32, 32, 3)[:4] for k in range(trained)])
    np.testing.assert_array_equal(made.train.inputs, expected)
    np.testing.assert_array_equal(made.validation.inputs, pictures(4 + trained, 32, 32, 3)[:4])
    last = [5, 6, 7, 8] if classes == 10 else [10, 11, 12, 13]
    assert (made.validation.targets.tolist(), made.classes) == (last, classes)
    assert len(function(folder=str(tmp_path), check=False, limit=6).train.inputs) == (6 if classes == 10 else 4)


def test_a_wrong_folder_and_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no folder '/no/such' to read CIFAR-10 from"):
        data_files.cifar10(folder="/no/such")
    with pytest.raises(ValueError, match="lacks cifar-10-binary.tar.gz; CIFAR-10 is read from"):
        data_files.cifar10(folder=str(tmp_path))
    files = mnist_files()
    del files["t10k-labels-idx1-ubyte"]
    with pytest.raises(ValueError, match="lacks t10k-labels-idx1-ubyte.gz; MNIST is read from train-images"):
        data_files.mnist(folder=write(tmp_path, files, packed=True), check=False)
    archive(tmp_path / "cifar-10-binary.tar.gz", {"data_batch_1.bin": b""}, "x")
    with pytest.raises(ValueError, match="lacks data_batch_2.bin, .*test_batch.bin"):
        data_files.cifar10(folder=str(tmp_path), check=False)


def test_files_with_another_checksum_are_refused(tmp_path):
    folder = write(tmp_path, mnist_files(), packed=True)
    with pytest.raises(ValueError, match="its MD5 is [0-9a-f]{32} and should be f68b3c2dcbeaaa9fbdd348bbdeb94873"):
        data_files.mnist(folder=folder)
    archive(tmp_path / "cifar-100-binary.tar.gz", cifar_files(100), "cifar-100-binary")
    with pytest.raises(ValueError, match="should be 03b5dce01913d631647c71ecec9e9cb8"):
        data_files.cifar100(folder=folder)


IMAGES = "train-images-idx3-ubyte"
DAMAGES = {
    "truncated": (lambda raw: raw[:-1], "is truncated: it has 23535 bytes, and its header states 23536"),
    "no header": (lambda raw: raw[:3], "begins with 0x000008"),
    "too long": (lambda raw: raw + b"x", "is too long"),
    "magic number": (
        lambda raw: b"\0\0\x08\x01" + raw[4:],
        "no idx file of bytes in 3 axes: it begins with 0x00000801",
    ),
    "counts": (lambda raw: idx(pictures(29, 28, 28)), "holds 29 images but .* 30 labels"),
    "empty": (lambda raw: idx(pictures(30, 28, 28)[:0]), "holds 0 images"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_idx_files_are_refused(damage, tmp_path):
    change, sentence = DAMAGES[damage]
    files = mnist_files()
    folder = write(tmp_path, files | {IMAGES: change(files[IMAGES])})
    with pytest.raises(ValueError, match=sentence):
        data_files.mnist(folder=folder, check=False)


def test_truncated_archives_and_records_and_strange_labels_are_refused(tmp_path):
    folder = write(tmp_path, mnist_files(), packed=True)
    file = tmp_path / f"{IMAGES}.gz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is truncated or no gzip file"):
        data_files.mnist(folder=folder, check=False)

    path = tmp_path / "cifar-10-binary.tar.gz"
    archive(path, cifar_files(10), "cifar-10-batches-bin")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(ValueError, match="is truncated or no tar.gz archive"):
        data_files.cifar10(folder=folder, check=False)
    path.unlink()

    files = cifar_files(10)
    for name, content, sentence in [
        ("data_batch_2.bin", files["data_batch_2.bin"][:-1], "data_batch_2.bin is truncated: 12291 bytes"),
        ("data_batch_3.bin", bytes([10]) + files["data_batch_3.bin"][1:], "data_batch_3.bin holds the label 10"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            data_files.cifar10(folder=write(tmp_path / name, files | {name: content}), check=False)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A small MNIST that is published in a folder, behind an address that does not answer, and an empty cache."""
    where = tmp_path / "published"
    write(where, mnist_files(), packed=True)
    sums = tuple((name, hashlib.md5((where / name).read_bytes()).hexdigest()) for name in data_files._MNIST.names)
    addresses = ((tmp_path / "nowhere").as_uri() + "/", where.as_uri() + "/")
    monkeypatch.setattr(data_files, "_MNIST", data_files._MNIST._replace(addresses=addresses, files=sums))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return where


def cached(published):
    folder = published.parent / "cache" / "optlab" / "data" / "mnist"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_files_are_downloaded_once_from_the_first_address_that_answers(published):
    made = data_files.mnist(limit=5)
    np.testing.assert_array_equal(made.train.inputs, pictures(30, 28, 28)[:5, ..., None])
    assert cached(published) == sorted(data_files._MNIST.names)
    for file in published.iterdir():
        file.unlink()
    assert len(data_files.mnist(limit=6).train.inputs) == 6


def test_a_download_with_another_checksum_leaves_nothing_behind(published):
    (published / "t10k-images-idx3-ubyte.gz").write_bytes(b"another")
    with pytest.raises(ValueError, match="could not be downloaded .*t10k-images-idx3-ubyte.gz has the MD5 b32d73e56e"):
        data_files.mnist()
    assert cached(published) == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]


def test_without_a_network_the_sentence_says_which_files_go_where(published):
    for file in published.iterdir():
        file.unlink()
    with pytest.raises(
        ValueError, match="MNIST could not be downloaded .*; put train-images-idx3-ubyte.gz, .* into .*"
    ):
        data_files.mnist()
    assert cached(published) == []


def test_a_damaged_file_in_the_cache_is_not_used(published):
    data_files.mnist(limit=3)
    file = published.parent / "cache" / "optlab" / "data" / "mnist" / f"{IMAGES}.gz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged: its MD5 .* remove it"):
        data_files.mnist(limit=4)
