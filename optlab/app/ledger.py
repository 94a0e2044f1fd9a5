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
from optlab.sweep import HEAVY, Program, compile_for

#: Seconds between two looks at a group that another driver works on.
LOOK = 0.3


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

        A lock of the operating system on a file of the study: it ends with its process, however that ends. With
        `wait` it waits until whoever has it is done, or until the sweep stops.
        """
        name = hashlib.blake2b("".join(ids).encode(), digest_size=10).hexdigest()
        path = self.folder / ".locks" / name
        held = None
        while not self.stopping.is_set():
            held = _locked(path)
            if held is not None or not wait:
                break
            time.sleep(LOOK)
        try:
            yield held is not None
        finally:
            if held is not None:
                path.unlink(missing_ok=True)
                os.close(held)
                with contextlib.suppress(OSError):  # others' locks are in there
                    path.parent.rmdir()

    def compiled_once(self, lowered: Any) -> Program:
        """A program of long runs: groups that differ in their initialization share it."""
        code = hashlib.blake2b(lowered.as_text().encode()).digest()
        with self.lock:
            mine = code not in self.programs
            found = self.programs.setdefault(code, Future())
        if mine:
            try:
                found.set_result(compile_for(lowered, HEAVY))
            except BaseException as error:
                found.set_exception(error)
        return found.result()


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, made if need be; None where another process holds it."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        except FileNotFoundError:
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
