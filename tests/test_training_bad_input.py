"""What training refuses, in one sentence, before anything is written."""

import gzip

import pytest
from test_data import mnist_files, write
from test_training import TINY, tiny

import optlab
from optlab import workloads
from optlab.workloads import mlp


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["problem.data={_target_: optlab.workloads.cifar10, folder: /nowhere}"], "there is no folder '/nowhere' to"),
        (["problem.batch_size=65"], "batch_size must be from 1 to 64, the training examples, or 0 for all, not 65"),
        (["problem.batch_size=-1"], "batch_size must be from 1 to 64"),
        (["problem.frozen=[dense9]"], "there is no layer 'dense9' to freeze; the layers are dense1, head"),
        (["problem.frozen=[dense1,head]"], "all layers are frozen: nothing is left to train"),
        (["problem.trainable_layers=3"], "trainable_layers must be from 0 (all) to 2, not 3"),
        (["problem.parameters=/nowhere"], "there are no saved parameters in /nowhere; a run leaves them"),
        (["problem.redrawn=[head]"], "redrawn names layers that saved parameters would else set: state parameters too"),
        (["problem.init=glorott"], "init must be one of zeros, constant"),
        (["problem.compute=float8"], "compute must be one of same, bfloat16, float16, float32, not 'float8'"),
        (["problem.network.widht=2"], "there is no problem.network parameter 'widht'; did you mean width?"),
        (["problem.network.norm=layer"], "norm must be one of group, batch, none, not 'layer'"),
        (["problem.data.cuont=2"], "there is no problem.data parameter 'cuont'; did you mean count?"),
        (["problem.network.classes=100"], "the data has 10; state problem.network.classes=10"),
        (["problem=detector_shapes", "problem.task.size=64", "problem.data.count=64"], "state problem.task.size=32"),
        (["problem.augment.crp=4"], "there is no augmentation 'crp'; there are crop, shift"),
        (["schedule=cosin"], "there is no schedule 'cosin'; did you mean cosine?"),
        (["schedule=cosine", "schedule.warmip=0.1"], "there is no schedule parameter 'warmip'; did you mean warmup?"),
        (["problem.augment.crop=-1"], "crop must be a number of at least 0, not -1"),
        (["problem.target=high"], "problem.target must be a number, not 'high'"),
        (["optimizer.accumulate=0"], "accumulate must be a whole number of at least 1, not 0"),
        (["optimizer.cycle_momentum=[0.85,0.95]"], "cycle_momentum follows a schedule inversely: state a schedule too"),
        (["optimizer=adagrad", "schedule=cosine", "optimizer.cycle_momentum=[0.85,0.95]"], "this optimizer has none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_bad_input_is_one_sentence_and_code_2(words, sentence, optlab_command, tmp_path):
    refused(
        optlab_command,
        tmp_path,
        [word for word in TINY if "data" not in word or "problem.data=" not in words[0]] + words,
        sentence,
    )


def refused(command, results, words, sentence):
    code, _, errors = command(*{word.partition("=")[0]: word for word in words}.values(), f"results={results}")
    assert code == 2, errors
    assert sentence in errors
    assert errors.startswith("optlab: ") and errors.count("\n") == 1
    assert not list(results.glob("**/*.parquet"))


def test_files_with_another_checksum_or_cut_short_are_refused(optlab_command, tmp_path):
    folder = tmp_path / "files"
    write(folder, mnist_files(), packed=True)
    words = ["problem=lenet_mnist", f"problem.data.folder={folder}"]
    refused(optlab_command, tmp_path, words, "is not MNIST's file or is damaged: its MD5 is")
    file = folder / "train-images-idx3-ubyte.gz"
    whole = gzip.decompress(file.read_bytes())
    file.write_bytes(file.read_bytes()[:-100])
    refused(optlab_command, tmp_path, [*words, "problem.data.check=false"], "is truncated or no gzip file")
    file.write_bytes(gzip.compress(whole[:-1]))
    refused(optlab_command, tmp_path, [*words, "problem.data.check=false"], "is truncated: it has")


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (
            {"data": workloads.shapes_masks(count=8)},
            "10 classes apart and the data has 6; state problem.network.classes=6",
        ),
        (
            {"data": workloads.shapes_masks(count=8), "network": mlp(classes=6)},
            r"at places \(\) of .* data at \(32, 32\)",
        ),
        (
            {"network": workloads.detector(classes=10), "task": workloads.detection()},
            "the data has none; take shapes_boxes",
        ),
        (
            {"data": workloads.shapes_boxes(count=8), "network": workloads.detector(classes=5, shapes=4)},
            "256 anchors are not those of any stride on 32 pixels a side",
        ),
    ],
    ids=["classes", "places", "boxes", "anchors"],
)
def test_outputs_that_do_not_fit_the_data_are_refused(choices, sentence):
    task = {"task": workloads.detection()} if "boxes" in sentence or "anchors" in sentence else {}
    task = {"task": workloads.segmentation()} if "places" in sentence else task
    with pytest.raises(ValueError, match=sentence):
        tiny(batch_size=2, **task | choices)


def test_saved_parameters_of_another_network_are_refused(optlab_command, tmp_path):
    assert optlab_command(*TINY, "steps=1", "save=true", f"results={tmp_path / 'narrow'}")[0] == 0
    (run_id,) = optlab.load(tmp_path / "narrow").runs.run_id
    saved = f"problem.parameters={tmp_path}/narrow/study/parameters/{run_id}"
    words = [*TINY, saved, "problem.network.width=0.04"]
    refused(optlab_command, tmp_path / "wide", words, "do not fit this network: its dense1/")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(optlab_command, tmp_path / "wide", [*TINY, f"problem.parameters={empty}"], "no parameters that can be read")
