"""Where the groups of a sweep run: in this process, in others beside it, on a Ray cluster, under Slurm, on many hosts.

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

import jax
import numpy as np

from optlab.app import build
from optlab.app.bad_input import BadInput
from optlab.app.execute import Outcome, Study, execute, first_line
from optlab.app.plan import Group, pieces


def local(groups: Sequence[Group], study: Study) -> Outcome:
    """All in this process, on all its cores."""
    return execute(groups, study)


def processes(groups: Sequence[Group], study: Study, *, workers: int = 2, retries: int = 2) -> Outcome:
    """Worker processes on this machine, each with its share of the cores.

    What a worker had that was killed is done again by a fresh one, `retries` times.
    """
    _positive("workers", workers)
    left = tasks(pieces(groups, workers), study, cores=max(1, (os.cpu_count() or 1) // workers))
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
    try:
        executor = submitit.AutoExecutor(folder=study.folder / ".submitit", cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise BadInput(f"no jobs can be submitted to '{cluster}': {error}; engine.cluster=local needs none") from error
    asked: dict[str, Any] = {"timeout_min": minutes, "cpus_per_task": cpus, "gpus_per_node": gpus}
    if cluster == "slurm":
        asked |= {"slurm_array_parallelism": at_once} | ({"slurm_partition": partition} if partition else {})
    executor.update_parameters(**asked)
    outcome = Outcome(Counter(), 0, [])
    for job in executor.map_array(work, tasks(groups, study, cores=cpus)):
        outcome = joined(outcome, job.result(), study)
    return outcome


def hosts(
    groups: Sequence[Group],
    study: Study,
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
) -> Outcome:
    """This same command on several machines at once: each does its share, then what others have left.

    `jax.distributed` says which of the `processes` this one is: `coordinator` is the ADDRESS:PORT of `process` 0. Under
    Slurm, Open MPI, Kubernetes and on TPUs it knows by itself. See `begin`, which has been called before.
    """
    del coordinator, processes, process
    mine, count = jax.process_index(), jax.process_count()
    parts = pieces(groups, count)
    others = [part for k, part in enumerate(parts) if k % count != mine]
    return execute([*parts[mine::count], *reversed(others)], study)


def begin(engine: Mapping[str, Any]) -> None:
    """What an engine needs before JAX computes anything: under `hosts` the processes count themselves.

    Then they leave each other alone. Runs need no word from another process, and who is not connected is not drawn
    along when another is lost.
    """
    if _name(engine) != "hosts" or jax.distributed.is_initialized():
        return
    coordinator, processes, process = (engine.get(key) for key in ("coordinator", "processes", "process"))
    if coordinator is not None:
        if not (isinstance(coordinator, str) and coordinator.rpartition(":")[2].isdigit()):
            raise BadInput(f"engine.coordinator must be ADDRESS:PORT, not {coordinator!r}")
        _positive("processes", processes)
        if isinstance(process, bool) or not isinstance(process, int) or not 0 <= process < (processes or 0):
            raise BadInput(f"engine.process must be a whole number from 0 to {(processes or 1) - 1}, not {process!r}")
    try:
        jax.distributed.initialize(coordinator, processes, process)
        jax.process_index()  # the backend keeps what it is told now
        jax.distributed.shutdown()
    except (ValueError, RuntimeError) as error:
        raise BadInput(
            f"the processes cannot find each other: {first_line(error)} (state engine.coordinator=ADDRESS:PORT "
            "engine.processes=N engine.process=K)"
        ) from error


ENGINES: dict[str, Callable[..., Outcome]] = {
    "local": local, "processes": processes, "ray": ray, "slurm": slurm, "hosts": hosts,
}  # fmt: skip


def _name(engine: Mapping[str, Any]) -> str:
    return str(engine["_target_"]).rpartition(".")[2]


def run_on(engine: Mapping[str, Any], groups: Sequence[Group], study: Study) -> Outcome:
    """All groups on the engine that a configuration names, with its settings."""
    settings = {key: value for key, value in engine.items() if key != "_target_"}
    return ENGINES[_name(engine)](groups, study, **settings)


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
