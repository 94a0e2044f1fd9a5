"""Results and configurations are data: whoever has written them, reading them runs nothing and writes nowhere else."""

import ast
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from test_data import cifar_files
from test_training import TINY

import optlab
from optlab import table
from optlab.app import build, catalogue
from optlab.app.bad_input import BadInput
from optlab.plots import style
from optlab.workloads import data_files

ROOT = Path(__file__).parents[1]

#: Modules that run what they read, and calls that do unless told otherwise.
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "torch", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "extractall", "unpack_archive", "read_pickle", "to_pickle", "system"}


def risks(source):
    """What of a source may run what it reads: a name and a line each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((name, node.lineno) for name in names if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        whose = ast.unparse(node.func)
        name = whose.rpartition(".")[2]
        if whose in ("eval", "exec", "compile", "__import__") or (name in CALLS and "." in whose and name != "compile"):
            yield whose, node.lineno
        told = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if whose in ("np.load", "numpy.load") and told.get("allow_pickle") is not False:
            yield whose, node.lineno
        if whose in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all") or told.get("shell"):
            yield whose, node.lineno
        if told.get("allow_pickle"):
            yield whose, node.lineno


def test_nothing_in_the_product_runs_what_it_reads():
    files = [*ROOT.glob("optlab/**/*.py"), *ROOT.glob("hydra_plugins/**/*.py")]
    assert len(files) > 100
    assert not {str(path.relative_to(ROOT)): found for path in files if (found := list(risks(path.read_text())))}


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "np.load(p)", "np.load(p, allow_pickle=True)", "yaml.load(t)",
     "eval(t)", "pd.read_pickle(p)", "tar.extractall(p)", "os.system(t)", "subprocess.run(t, shell=True)",
     "def f():\n  import torch"],
)  # fmt: skip
def test_what_would_run_what_it_reads_is_found(source):
    assert list(risks(source))


# Configurations


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A catalogue with a stranger's files in it: (group, text) -> None. What they run would leave `pwned`."""
    import shutil

    folder = tmp_path / "conf"
    shutil.copytree(catalogue.conf_dir(), folder)
    monkeypatch.setattr("optlab.app.main.conf_dir", lambda: folder)
    monkeypatch.setattr("optlab.app.catalogue.conf_dir", lambda: folder)
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.chdir(tmp_path)
    yield lambda group, text: (folder / group / "theirs.yaml").write_text(text)
    assert not list(tmp_path.rglob("*pwned*"))


RUN = "{_target_: os.mkdir, path: pwned}"
BARE = "_target_: optlab.surfaces.beale\n"
GLOBAL = "# @package _global_\n"


@pytest.mark.parametrize(
    ("group", "text", "said"),
    [
        ("problem", "_target_: os.mkdir\npath: pwned", "_target_ 'os.mkdir' is not within"),
        ("optimizer", f"_target_: optax.chain\nlearning_rate: {RUN}", "there is no optimizer parameter"),
        ("optimizer", f"_target_: optax.adam\nlearning_rate: {RUN}", "'os.mkdir' is not within"),
        ("optimizer", f"_target_: optax.adam\nmask: {{a: {RUN}}}", "there is no optimizer parameter"),
        ("problem", f"_target_: optlab.workloads.training\nnetwork: {RUN}\ndata: 1", "'os.mkdir' is not within"),
        ("problem", f"_target_: optlab.workloads.training\ndata: {{_target_: optlab.workloads.digits, seed: {RUN}}}",
         "is not within"),
        ("problem", "_target_: ${oc.select:nothing,os.mkdir}\npath: pwned", "_target_ 'os.mkdir' is not within"),
        ("problem", "_target_: optlab.workloads.os.mkdir\npath: pwned", "names no function"),
        ("problem", f"{BARE}angle: {RUN}", "'os.mkdir' is not within"),
        ("optimizer", "_target_: !!python/object/apply:os.mkdir [pwned]", "is no YAML"),
        ("optimizer", "_target_: optax.adam\nlearning_rate: ${oc.env:SECRET}", "cannot read the environment variable"),
        ("experiment", f"{GLOBAL}name: ${{oc.env:SECRET}}", "cannot read the environment variable SECRET"),
        ("experiment", f"{GLOBAL}name: ../pwned", "name must be a name within the results folder"),
        ("experiment", f"{GLOBAL}probe: {{x: os.mkdir}}", "'os.mkdir' is not within"),
        ("experiment", f"{GLOBAL}engine: {RUN}", "there is no engine"),
        ("experiment", f"{GLOBAL}hydra: {{callbacks: {{x: {RUN}}}}}", "hydra.callbacks cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{launcher: {RUN}}}", "Key 'path' not in 'BasicLauncherConf'"),
        ("experiment", f"{GLOBAL}hydra: {{launcher: {{_target_: os.mkdir}}}}", "hydra.launcher._target_ cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{sweeper: {{_target_: os.mkdir}}}}", "hydra"),
        ("experiment", f"{GLOBAL}hydra: {{job_logging: {{version: 1, handlers: {{x: {{(): os.mkdir, path: pwned}}}}, "
         "root: {handlers: [x]}}}", "hydra.job_logging cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{hydra_logging: {{handlers: {{x: {{(): os.mkdir, path: pwned}}}}}}}}",
         "hydra.hydra_logging cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{output_subdir: pwned}}", "hydra.output_subdir cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{run: {{dir: pwned}}}}", "hydra.run.dir cannot be set"),
        ("experiment", f"{GLOBAL}hydra: {{job: {{env_set: {{PATH: /x}}}}}}", "hydra.job.env_set cannot be set"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["one", "sweep"])
def test_a_strangers_file_runs_nothing(stranger, optlab_command, tmp_path, multirun, group, text, said):
    stranger(group, text)
    others = {"problem": "problem=beale", "optimizer": "optimizer=adam"}
    words = [f"{group}=theirs", *(word for key, word in others.items() if key != group), "steps=2"]
    code, output, errors = optlab_command(*multirun, *words)
    assert code in (1, 2) and said in errors and "Traceback" not in errors
    assert "hunter2" not in output + errors
    assert not [path for path in tmp_path.rglob("*") if "hunter2" in path.name]


def test_a_list_is_data_whatever_stands_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = {"a": [{"_target_": "os.mkdir", "path": "pwned"}]}
    assert build.make(node) == node and not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("prefix", ["os.", "optlab_elsewhere."])
def test_only_the_command_line_allows_more(prefix, monkeypatch):
    with pytest.raises(BadInput, match="is not within"):
        build.resolve(f"{prefix}getcwd")
    monkeypatch.setattr(build, "extra_allowed", ["posix."])
    assert build.resolve("posix.getcwd")() == str(Path.cwd())


# Tables and what is kept of runs


def test_ids_and_names_in_tables_do_not_lead_out_of_the_folder(optlab_command, tmp_path, monkeypatch):
    words = ("problem=beale", "optimizer=adam", "steps=3", "save=path")
    assert optlab_command(*words)[0] == 0
    study = tmp_path / "study"
    (study / "paths" / "x").mkdir()
    (part,) = (study / "runs").glob("*.parquet")
    frame = pd.read_parquet(part).assign(run_id="../../secret")
    np.savez(tmp_path / "secret.npz", steps=np.zeros(1), params=np.zeros((1, 2)))
    table.write_part(study, "runs", part.stem, pa.Table.from_pandas(frame, preserve_index=False))
    code, output, errors = optlab_command("landscape", "motion", str(study))
    assert code == 2 and "secret.npz" not in output + errors


def test_a_figures_file_stays_in_its_folder(tmp_path):
    from matplotlib.figure import Figure

    (path,) = style.save(Figure(figsize=(1, 1)), tmp_path / "figures", "motion_../../../pwned", ["svg"])
    assert path.parent == tmp_path / "figures" and path.exists()


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


@pytest.mark.parametrize("how", ["pickle", "object array", "no archive", "truncated"])
def test_a_kept_path_that_is_none_is_one_sentence_and_is_not_unpickled(optlab_command, tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    assert optlab_command("problem=beale", "optimizer=adam", "steps=3", "save=path")[0] == 0
    (path,) = (tmp_path / "study" / "paths").glob("*.npz")
    content = io.BytesIO()
    if how == "object array":
        np.savez(content, steps=np.array([Bomb()], dtype=object), params=np.array([[Bomb()]], dtype=object))
    path.write_bytes({"pickle": pickle.dumps(Bomb()), "no archive": b"hello", "truncated": path.read_bytes()[:90]}.get(
        how, content.getvalue()
    ))  # fmt: skip
    code, _, errors = optlab_command("landscape", "motion", str(tmp_path / "study"))
    assert code == 2 and f"{path.name} cannot be read" in errors and errors.count("\n") == 1
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"choices": {}}', '{"problem": {"_target_": "os.mkdir", "path": "pwned"}}']
)
def test_a_kept_configuration_that_is_none_is_one_sentence(optlab_command, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert optlab_command("problem=beale", "optimizer=adam", "steps=3", "save=path")[0] == 0
    (path,) = (tmp_path / "study" / "configurations").glob("*.json")
    whole = yaml.safe_load(path.read_text())
    path.write_text(text)
    assert optlab_command("landscape", "motion", str(tmp_path / "study"))[0] == 2
    path.write_text(json.dumps(whole | {"problem": {"_target_": "os.mkdir", "path": "pwned"}}))
    code, _, errors = optlab_command("landscape", "motion", str(tmp_path / "study"))
    assert code == 2 and "'os.mkdir' is not within" in errors and not (tmp_path / "pwned").exists()


# Archives


def odd_archive(path, files, inner, *more):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inner}{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, kind, target in more:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)


@pytest.mark.parametrize("inner", ["../../", "{elsewhere}/", "a/../../"])
def test_an_archive_is_never_written_out(tmp_path, monkeypatch, inner):
    data_files._cifar.cache_clear()
    folder = tmp_path / "here" / "data"
    folder.mkdir(parents=True)
    elsewhere = tmp_path / "absolute"
    odd_archive(folder / "cifar-10-binary.tar.gz", cifar_files(10), inner.format(elsewhere=elsewhere))
    before = sorted(tmp_path.rglob("*"))
    assert len(data_files.cifar10(folder=str(folder), check=False).train.inputs)
    assert sorted(tmp_path.rglob("*")) == before and not elsewhere.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_an_archive_are_not_followed(tmp_path, kind):
    data_files._cifar.cache_clear()
    files = cifar_files(10)
    del files["test_batch.bin"]
    odd_archive(tmp_path / "cifar-10-binary.tar.gz", files, "", ("test_batch.bin", kind, "/etc/passwd"))
    with pytest.raises(ValueError, match=r"lacks test_batch\.bin"):
        data_files.cifar10(folder=str(tmp_path), check=False)


def test_a_file_of_another_checksum_is_not_read(tmp_path):
    data_files._cifar.cache_clear()
    odd_archive(tmp_path / "cifar-10-binary.tar.gz", cifar_files(10), "cifar-10-batches-bin/")
    with pytest.raises(ValueError, match="its MD5 is .* and should be c32a1d4ab5d03f1284b67883e8d87530"):
        data_files.cifar10(folder=str(tmp_path))


@pytest.mark.parametrize("how", ["truncated", "flipped", "gone"])
def test_saved_parameters_that_are_damaged_are_one_sentence(optlab_command, tmp_path, how):
    folder = tmp_path / "saved"
    optlab.workloads.save_parameters(folder, {"dense1": {"kernel": np.ones((3, 4), np.float32)}})
    assert optlab.workloads.load_parameters(folder)["dense1"]["kernel"].shape == (3, 4)
    victim = max(
        (p for p in folder.rglob("*") if p.is_file() and p.name != "digests.json"), key=lambda p: p.stat().st_size
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        victim.unlink()
    else:
        victim.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    code, _, errors = optlab_command(*TINY, "steps=2", f"problem.parameters={folder}")
    assert code == 2 and "is damaged" in errors and errors.count("\n") == 1
