"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 from their standard files, which are downloaded once or lie in a folder.

`folder` names where the files are; empty, they are looked for in the user's cache folder and downloaded to it. A packed
file is read only if its MD5 is the published one; `check` = False reads any file of the right form, in a folder.
Nothing is unpickled: CIFAR is read from its binary version. The official test set validates; `limit` takes only the
first so many of each part, 0 all. Each function raises ValueError, one sentence, where it cannot do what it says.
"""

import functools
import gzip
import hashlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optlab.workloads.data import Dataset, Examples, dataset, whole

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist"]


class _Source(NamedTuple):
    """A data set's packed files and where they are published."""

    name: str
    folder: str  #: within the cache folder
    addresses: tuple[str, ...]  #: folders that hold all the files; the next is tried where one fails
    files: tuple[tuple[str, str], ...]  #: their names and MD5s

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.files]


_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

_MNIST = _Source(
    "MNIST",
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    (
        (_TRAIN_IMAGES, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        (_TRAIN_LABELS, "d53e105ee54ea40749a09fcbcd1e9432"),
        (_TEST_IMAGES, "9fb629c4189551a2d022fa330f9573f3"),
        (_TEST_LABELS, "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
_FASHION_MNIST = _Source(
    "Fashion-MNIST",
    "fashion_mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    (
        (_TRAIN_IMAGES, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        (_TRAIN_LABELS, "25c81989df183df01b3e8a0aad5dffbe"),
        (_TEST_IMAGES, "bef4ecab320f06d8554ea6380940ec79"),
        (_TEST_LABELS, "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)
_TORONTO = ("https://www.cs.toronto.edu/~kriz/",)
_CIFAR10 = _Source("CIFAR-10", "cifar10", _TORONTO, (("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),))
_CIFAR100 = _Source(
    "CIFAR-100", "cifar100", _TORONTO, (("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),)
)


def mnist(*, folder: str = "", check: bool = True, limit: int = 0) -> Dataset:
    """Handwritten digits, 60,000 and 10,000 of 28 x 28 grey pixels (LeCun et al. 1998); idx files, packed or not."""
    return _idx(_MNIST, folder, bool(check), whole(limit, "limit"))


def fashion_mnist(*, folder: str = "", check: bool = True, limit: int = 0) -> Dataset:
    """Articles of clothing in the form of MNIST (Xiao, Rasul and Vollgraf 2017); idx files, packed or not."""
    return _idx(_FASHION_MNIST, folder, bool(check), whole(limit, "limit"))


def cifar10(*, folder: str = "", check: bool = True, limit: int = 0) -> Dataset:
    """Photographs of 10 classes, 50,000 and 10,000 of 32 x 32 colour pixels (Krizhevsky 2009); archive or its files."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)]
    return _cifar(_CIFAR10, (*names, "test_batch.bin"), 10, folder, bool(check), whole(limit, "limit"))


def cifar100(*, folder: str = "", check: bool = True, limit: int = 0) -> Dataset:
    """CIFAR-10's companion with 100 (fine) classes, the same number of images; archive or its files."""
    return _cifar(_CIFAR100, ("train.bin", "test.bin"), 100, folder, bool(check), whole(limit, "limit"))


@functools.lru_cache(maxsize=4)
def _idx(source: _Source, folder: str, check: bool, limit: int) -> Dataset:
    def part(images_name: str, labels_name: str) -> Examples:
        images, labels = _idx_array(packed[images_name], 3), _idx_array(packed[labels_name], 1)
        if len(images) != len(labels):
            raise ValueError(
                f"{packed[images_name].name} holds {len(images)} images but {packed[labels_name].name} "
                f"{len(labels)} labels"
            )
        return _examples(images[..., None], labels, 10, limit, packed[labels_name])

    packed = _located(source, folder, check, unpacked=lambda where, name: where / name.removesuffix(".gz"))
    return dataset(part(_TRAIN_IMAGES, _TRAIN_LABELS), part(_TEST_IMAGES, _TEST_LABELS), 10)


def _idx_array(file: Path, axes: int) -> np.ndarray:
    """Bytes in so many axes: two zeros, 8 (bytes), the number of axes, the sizes as big-endian words, the bytes."""
    raw = _unpacked(file) if file.suffix == ".gz" else _bytes(file)
    if raw[:4] != bytes([0, 0, 8, axes]):
        raise ValueError(f"{file} is no idx file of bytes in {axes} axes: it begins with 0x{raw[:4].hex()}")
    start = 4 + 4 * axes
    sizes = [int.from_bytes(raw[k : k + 4], "big") for k in range(4, start, 4)]
    expected = start + int(np.prod(sizes, dtype=object))
    if len(raw) != expected:
        state = "truncated" if len(raw) < expected else "too long"
        raise ValueError(f"{file} is {state}: it has {len(raw)} bytes, and its header states {expected}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(sizes)


def _unpacked(file: Path) -> bytes:
    try:
        return gzip.decompress(_bytes(file))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file} is truncated or no gzip file: {error}") from None


@functools.lru_cache(maxsize=4)
def _cifar(source: _Source, names: Sequence[str], classes: int, folder: str, check: bool, limit: int) -> Dataset:
    """The last of the files validates."""
    (archive,) = source.names
    inner = {10: "cifar-10-batches-bin", 100: "cifar-100-binary"}[classes]

    def extracted(where: Path, _: str) -> Path:
        return next((place for place in (where, where / inner) if (place / names[-1]).is_file()), where / inner)

    place = _located(source, folder, check, extracted)[archive]
    contents = _members(place, names) if place.is_file() else {place / name: _bytes(place / name) for name in names}
    parts = [_cifar_examples(file, raw, classes, limit) for file, raw in contents.items()]
    images, labels = (np.concatenate(arrays)[: limit or None] for arrays in zip(*parts[:-1], strict=True))
    return dataset(Examples(images, labels), parts[-1], classes)


def _members(archive: Path, names: Sequence[str]) -> dict[Path, bytes]:
    """Files of an archive by their base names, read where they are and never written."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_bytes(archive)), mode="r:gz") as tar:
            for member in tar:
                # A link may name what is not there, or another file's bytes.
                if member.isreg() and (name := Path(member.name).name) in names and (file := tar.extractfile(member)):
                    found[name] = file.read()
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{archive} is truncated or no tar.gz archive: {error}") from None
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{archive} lacks {', '.join(missing)}")
    return {archive / name: found[name] for name in names}


def _cifar_examples(file: Path, raw: bytes, classes: int, limit: int) -> Examples:
    """Records of the class, of 100 classes after their superclass, and 32 x 32 reds, greens and blues."""
    marks = 2 if classes == 100 else 1
    length = marks + 3 * 32 * 32
    if not raw or len(raw) % length:
        raise ValueError(f"{file} is truncated: {len(raw)} bytes are not a whole number of records of {length}")
    records = np.frombuffer(raw, np.uint8).reshape(-1, length)[: limit or None]
    images = np.ascontiguousarray(records[:, marks:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return _examples(images, records[:, marks - 1], classes, limit, file)


def _examples(images: np.ndarray, labels: np.ndarray, classes: int, limit: int, file: Path) -> Examples:
    if not len(images):
        raise ValueError(f"{file} is empty")
    if labels.max() >= classes:
        raise ValueError(f"{file} holds the label {labels.max()}, and there are {classes} classes from 0")
    return Examples(images[: limit or None], labels[: limit or None].astype(np.int32))


def _located(source: _Source, folder: str, check: bool, unpacked: Callable[[Path, str], Path]) -> dict[str, Path]:
    """Where each packed file, or what it unpacks to by ``unpacked(folder, name)``, is found; downloaded if need be."""
    where = Path(folder).expanduser() if folder else _cache_folder() / source.folder
    if folder and not where.is_dir():
        raise ValueError(f"there is no folder '{folder}' to read {source.name} from")
    places, missing = {}, []
    for name in source.names:
        packed, plain = where / name, unpacked(where, name)
        if packed.is_file():
            if check or not folder:
                _verify(packed, source)
            places[name] = packed
        elif folder and plain.exists():
            places[name] = plain
        else:
            places[name] = packed
            missing.append(name)
    if folder and missing:
        raise ValueError(
            f"the folder '{folder}' lacks {', '.join(missing)}; {source.name} is read from "
            f"{', '.join(source.names)}, or from what is unpacked of {'it' if len(source.files) == 1 else 'them'}"
        )
    for name in missing:
        _download(source, name, where)
    return places


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optlab" / "data"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None


def _verify(file: Path, source: _Source) -> None:
    expected, found = dict(source.files)[file.name], hashlib.md5(_bytes(file), usedforsecurity=False).hexdigest()
    if found != expected:
        raise ValueError(
            f"{file} is not {source.name}'s file or is damaged: its MD5 is {found} and should be {expected}; "
            "remove it, or read it from a folder with check=false"
        )


def _download(source: _Source, name: str, where: Path) -> None:
    """Brings one file into a folder, whole and verified or not at all."""
    reason = ""
    for address in source.addresses:
        try:
            reason = _fetch(address + name, where / name, dict(source.files)[name])
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        if not reason:
            return
    raise ValueError(
        f"{source.name} could not be downloaded ({reason}); put {', '.join(source.names)} into {where}, "
        "or name the folder that holds them as folder"
    )


def _fetch(address: str, file: Path, md5: str) -> str:
    """Downloads to a temporary name and renames once the checksum is right; else says what is wrong."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        found = hashlib.md5(usedforsecurity=False)
        with os.fdopen(handle, "wb") as target, urllib.request.urlopen(address, timeout=30) as response:
            while chunk := response.read(1 << 20):
                target.write(chunk)
                found.update(chunk)
        if found.hexdigest() != md5:
            return f"{address} has the MD5 {found.hexdigest()}, not {md5}"
        os.replace(temporary, file)
        return ""
    finally:
        Path(temporary).unlink(missing_ok=True)
