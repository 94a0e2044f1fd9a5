"""``optlab status FOLDER``: what of the commands given there is done, failed and left, and how long it will take."""

import contextlib
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from optlab import table
from optlab.app.axes import Axis
from optlab.app.bad_input import BadInput

FOLDER = "commands"


def record(folder: Path, structures: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> None:
    """Keeps what a command asks for, so that `status` can count it; the same command again replaces it."""
    asked = {"structures": list(structures), "axes": [[list(axis.key), axis.values] for axis in axes]}
    content = asked | {"command": shlex.join(["optlab", *sys.argv[1:]]), "begun": time.time()}
    table.write_whole(folder / FOLDER / f"{table.digest(asked)}.json", json.dumps(content).encode())


def status(words: Sequence[str]) -> int:
    """``status FOLDER``: a line for each command given in it, then how its runs have ended."""
    if len(words) != 1 or "=" in words[0]:
        raise BadInput("status takes one folder of tables: optlab status results/study")
    folder = Path(words[0])
    try:
        runs = table.load(folder, ["runs"]).runs
    except (FileNotFoundError, table.ForeignFolder) as error:
        if not any(folder.glob(f"**/{FOLDER}/*.json")):
            raise BadInput(str(error)) from error
        runs = pd.DataFrame({"run_id": [], "status": []})  # it has begun, and nothing is done yet
    outcome = dict(zip(runs.run_id, runs.status, strict=True))
    for path in sorted(folder.glob(f"**/{FOLDER}/*.json"), key=lambda path: path.stat().st_mtime):
        print(_line(path, outcome))
    ended = Counter(runs.status)
    print(f"{len(runs):,} runs in {folder}" + ("".join(f", {n:,} {name}" for name, n in ended.most_common())))
    return 0


def _line(path: Path, outcome: Mapping[str, str]) -> str:
    try:
        asked = json.loads(path.read_text())
        ids = _ids(asked)
        command, begun = str(asked["command"]), float(asked["begun"])
    except (ValueError, KeyError, TypeError) as error:
        return f"{path}: not to be read ({type(error).__name__})"
    found = Counter("failed" if outcome.get(i) == "failed" else "done" if i in outcome else "left" for i in ids)
    words = [f"{found['done']:,} of {len(ids):,} done"]
    if found["failed"]:
        words.append(f"{found['failed']:,} failed (the same command tries them again)")
    if found["left"]:
        words.append(f"{found['left']:,} left{_estimate(path.parent.parent, begun, found['left'])}")
    return f"{command}\n  {', '.join(words)}"


def _ids(asked: Mapping[str, Any]) -> set[str]:
    """The runs that a command stands for, planned anew."""
    from optlab.app.plan import groups, run_ids

    axes = [Axis(tuple(key), [tuple(row) for row in values]) for key, values in asked["axes"]]
    planned, _ = groups(asked["structures"], axes)
    return {run_id for group in planned for run_id in run_ids(group)}


def _estimate(folder: Path, begun: float, left: int) -> str:
    """Time for what is left at the pace of what has been written since the command was last given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = {path: path.stat().st_mtime for path in (folder / "runs").glob("*.parquet")}
    since = {path: at for path, at in written.items() if at >= begun}
    if not since:
        return ""
    rows = 0
    for path in since:
        with contextlib.suppress(pa.ArrowException, OSError):  # it was warned of
            rows += pq.read_metadata(path).num_rows
    pace = rows / max(max(since.values()) - begun, 1e-3)
    clock = datetime.fromtimestamp(begun).strftime("%H:%M")
    return f", about {_duration(left / pace)} at the pace since {clock}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
