"""What the threads of one sweep share, and the drivers of one study: which runs are done, and who does which group."""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from optlab import table
from optlab.sweep import Program

#: Seconds between two looks at a group that another driver works on.
LOOK = 0.3

#: And at the gate, which nobody holds for longer than it takes to read who works on what.
GATE = 0.002


class Ledger:
    """Ids taken, programs, fields stored, a lock, and whether to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.read: set[Path] = set()
        self.taken: set[str] = table.done(folder, self.read)
        self.programs: dict[bytes, Future] = {}
        self.fields = {path.stem for path in (folder / "fields").glob("*.parquet")}

    def claim(self, ids: Sequence[str]) -> np.ndarray:
        """Which of these runs nobody has done or taken yet; they are taken now."""
        with self.lock:
            self.taken |= table.done(self.folder, self.read)  # another driver may have written since
            fresh = np.array([run_id not in self.taken for run_id in ids], bool)
            fresh[fresh] = _first_of_each([i for i, new in zip(ids, fresh, strict=True) if new])
            self.taken.update(ids)
            return fresh

    @contextlib.contextmanager
    def alone(self, ids: Sequence[str], wait: bool) -> Iterator[bool]:
        """Whether this driver has these runs to itself for as long as the context lasts.

        With `wait` it waits until whoever has some of them is done, or until the sweep stops.
        """
        held = None
        while not self.stopping.is_set():
            held = _held(self.folder / ".locks", ids)
            if held is not None or not wait:
                break
            time.sleep(LOOK)
        try:
            yield held is not None
        finally:
            if held is not None:
                _let_go(*held)

    def compiled_once(self, lowered: Any) -> Program:
        """A program of long runs: groups that differ in their initialization share it."""
        code = hashlib.blake2b(lowered.as_text().encode()).digest()
        with self.lock:
            mine = code not in self.programs
            found = self.programs.setdefault(code, Future())
        if mine:
            try:
                found.set_result(lowered.compile())
            except BaseException as error:
                found.set_exception(error)
        return found.result()


def _held(folder: Path, ids: Sequence[str]) -> tuple[Path, int] | None:
    """A lock of the operating system on a file that names these runs; None where another such lock names one of them.

    It ends with its process, however that ends; the file that is then left is no lock. Another command may share but
    some of the runs, hence the names. Whoever looks and takes does so behind a lock of its own.
    """
    name = hashlib.blake2b("".join(ids).encode(), digest_size=10).hexdigest()
    while (gate := _locked(folder / "gate")) is None:
        time.sleep(GATE)
    try:
        mine: set[str] = set()
        for path in folder.iterdir():
            if path.name == "gate":
                continue
            descriptor = _locked(path)
            if descriptor is not None:
                _let_go(path, descriptor)  # of one who is gone
                continue
            mine = mine or set(ids)
            if path.name == name or not mine.isdisjoint(_named(path)):
                return None
        descriptor = _locked(folder / name)
        assert descriptor is not None  # nobody else is behind the gate
        try:
            os.write(descriptor, "\n".join(ids).encode())
        except OSError:
            _let_go(folder / name, descriptor)
            raise
        return folder / name, descriptor
    finally:
        _let_go(folder / "gate", gate)


def _named(path: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):  # its owner is done just now
        return path.read_text().split()
    return []


def _let_go(path: Path, descriptor: int) -> None:
    path.unlink(missing_ok=True)
    os.close(descriptor)
    with contextlib.suppress(OSError):  # others' locks are in there
        path.parent.rmdir()


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, made if need be; None where another holds it."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        except (FileNotFoundError, FileExistsError):
            if path.parent.is_file():
                raise
            continue  # the last one has just cleared the folder away
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except FileNotFoundError:
            pass  # it was the file of one who is done, and is gone: the next is another file
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.close(descriptor)


def _first_of_each(ids: Sequence[str]) -> np.ndarray:
    seen: set[str] = set()
    return np.array([not (i in seen or seen.add(i)) for i in ids], bool)
