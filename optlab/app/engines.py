"""Where the groups of a sweep run: in this process, in others beside it, on a Ray cluster, or under Slurm.

An engine is a function (groups, study, its settings) -> Outcome. One that reaches further hands groups to workers as
texts, one group a task, with the scheduler and the retries that it has. A worker does what this process would do, in
the same folder, which all must see: it writes parts, and locks keep two from doing the same. So what a worker has
written stays, whatever becomes of the others, and the tables are the same with every engine.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from optlab.app import build
from optlab.app.bad_input import BadInput
from optlab.app.execute import Outcome, Study, execute
from optlab.app.plan import Group


def local(groups: Sequence[Group], study: Study) -> Outcome:
    """All in this process, on all its cores."""
    return execute(groups, study)


def processes(groups: Sequence[Group], study: Study, *, workers: int = 2, retries: int = 2) -> Outcome:
    """Worker processes on this machine, each with its share of the cores.

    What a worker had that was killed is done again by a fresh one, `retries` times.
    """
    _positive("workers", workers)
    left = tasks(groups, study, cores=max(1, (os.cpu_count() or 1) // workers))
    outcome = Outcome(Counter(), 0, [])
    for attempt in range(retries + 1):
        # Not forked: JAX has threads
        with ProcessPoolExecutor(min(workers, len(left)), mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(work, text): text for text in left}
            try:
                for future in as_completed(futures):
                    outcome = joined(outcome, future.result(), study)
                    left.remove(futures[future])
            except BrokenProcessPool:
                if attempt == retries:
                    raise BadInput(f"a worker has died {attempt + 1} times; the same command tries again") from None
                continue
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        break
    return outcome


def ray(
    groups: Sequence[Group],
    study: Study,
    *,
    address: str | None = None,
    retries: int = 3,
    cpus: float = 1,
    gpus: float = 0,
) -> Outcome:
    """Tasks on a Ray cluster: `address` as `ray.init` takes it (``auto`` for one that runs), without one it starts one
    here.

    A task asks for `cpus` and `gpus`, and is done again `retries` times where its worker or node is lost.
    """
    cluster = _extra("ray")
    begun = not cluster.is_initialized()
    if begun:
        cluster.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        task = cluster.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(work)
        waiting = [task.remote(text) for text in tasks(groups, study, cores=max(1, int(cpus)))]
        outcome = Outcome(Counter(), 0, [])
        while waiting:
            (first, *_), waiting = cluster.wait(waiting)
            outcome = joined(outcome, cluster.get(first), study)
        return outcome
    finally:
        if begun:
            cluster.shutdown()


def slurm(
    groups: Sequence[Group], study: Study, *, cluster: str = "slurm", partition: str | None = None,
    minutes: int = 240, cpus: int = 2, gpus: int = 0, at_once: int = 256,
) -> Outcome:  # fmt: skip
    """A job array under Slurm, by submitit; ``cluster: local`` runs the jobs as processes here.

    A job asks for `cpus`, `gpus` and `minutes`; `at_once` of them run together. submitit's logs are in
    ``<study>/.submitit``.
    """
    submitit = _extra("submitit")
    executor = submitit.AutoExecutor(folder=study.folder / ".submitit", cluster=cluster)
    asked: dict[str, Any] = {"timeout_min": minutes, "cpus_per_task": cpus, "gpus_per_node": gpus}
    if cluster == "slurm":
        asked |= {"slurm_array_parallelism": at_once} | ({"slurm_partition": partition} if partition else {})
    executor.update_parameters(**asked)
    outcome = Outcome(Counter(), 0, [])
    for job in executor.map_array(work, tasks(groups, study, cores=cpus)):
        outcome = joined(outcome, job.result(), study)
    return outcome


ENGINES: dict[str, Callable[..., Outcome]] = {"local": local, "processes": processes, "ray": ray, "slurm": slurm}


def run_on(engine: Mapping[str, Any], groups: Sequence[Group], study: Study) -> Outcome:
    """All groups on the engine that a configuration names, with its settings."""
    settings = {key: value for key, value in engine.items() if key != "_target_"}
    return ENGINES[str(engine["_target_"]).rpartition(".")[2]](groups, study, **settings)


def tasks(groups: Sequence[Group], study: Study, cores: int) -> list[str]:
    """Each group as a text that a worker understands: numbers are written so that they come back exactly."""
    about = {
        "folder": str(study.folder.absolute()), "name": study.name, "cores": cores, "allowed": build.extra_allowed,
    }  # fmt: skip
    return [json.dumps(about | _written(group)) for group in groups]


def _written(group: Group) -> dict[str, Any]:
    columns = {key: [column.dtype.str, column.tolist()] for key, column in group.columns.items()}
    return {"config": group.config, "columns": columns, "seeds": group.seeds.tolist()}


def _read(asked: Mapping[str, Any]) -> Group:
    columns = {key: np.array(values, np.dtype(kind)) for key, (kind, values) in asked["columns"].items()}
    return Group(asked["config"], columns, np.array(asked["seeds"]))


def work(text: str) -> str:
    """What a worker does with one task: runs what is missing of it, and says how that went, as a text too."""
    from optlab import table
    from optlab.app import compilation_cache, environment

    asked = json.loads(text)
    os.environ["OPTLAB_CORES"] = str(asked["cores"])
    build.extra_allowed[:] = asked["allowed"]
    compilation_cache.turn_on()
    folder, row = Path(asked["folder"]), environment.describe()
    table.write_once(folder, "environments", row["environment_id"], {key: [value] for key, value in row.items()})
    outcome = execute([_read(asked)], Study(folder, asked["name"], row["environment_id"], lambda count: None))
    return json.dumps([dict(outcome.statuses), outcome.skipped, outcome.errors])


def joined(outcome: Outcome, text: str, study: Study) -> Outcome:
    """The outcome with that of one more task."""
    statuses, skipped, errors = json.loads(text)
    study.progress(sum(statuses.values()) + skipped)
    errors = list(dict.fromkeys([*outcome.errors, *errors]))
    return Outcome(outcome.statuses + Counter(statuses), outcome.skipped + skipped, errors)


def _positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInput(f"engine.{name} must be a whole number of at least 1, not {value!r}")


def _extra(package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        extra = {"submitit": "slurm"}.get(package, package)
        raise BadInput(f"this engine needs {package}: pip install 'optlab[{extra}]'") from None
