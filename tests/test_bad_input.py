"""Whatever is wrong: one line that names it, exit code 2, and no file is touched."""

import copy
import io
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

import data
import evaluate
import plot_attention
import train
from data_utils import UserError, load_config, run_script
from model import AttentionClassifier, checkpoint_bytes, load_checkpoint

CONFIG = load_config(
    overrides=[
        "data.dataset_size=100",
        "data.num_points=50",
        "data.flat_location=[0, 0.8]",
        "model.patch_length=5",
        "model.hidden_size=3",
    ]
)
MODEL = AttentionClassifier(**CONFIG["model"])
CHECKPOINT = checkpoint_bytes(MODEL, CONFIG)


# Each of these makes one row: it prepares a folder and returns what to call with which arguments.


def settings(*overrides):
    return lambda folder: (train.main, [word for text in overrides for word in ("--set", text)])


def config_file(content):
    def prepare(folder):
        (folder / "config.json").write_bytes(content if type(content) is bytes else content.encode())
        return train.main, ["--config", "config.json"]

    return prepare


def config_with(section, key, value):
    """The config with one more key."""
    config = copy.deepcopy(CONFIG)
    (config[section] if section else config)[key] = value
    return config_file(json.dumps(config))


def config_without(section, key):
    config = copy.deepcopy(CONFIG)
    del (config[section] if section else config)[key]
    return config_file(json.dumps(config))


def options(script, *arguments):
    return lambda folder: (script.main, arguments)


def checkpoint(content, script=evaluate):
    def prepare(folder):
        (folder / "model.pt").write_bytes(content)
        return script.main, ["--artifacts", "."]

    return prepare


def saved(**changes):
    """A checkpoint file with other contents."""
    content = {"config": CONFIG, "weights": MODEL.state_dict()} | changes
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return checkpoint(buffer.getvalue())


def changed(section, **changes):
    return CONFIG | {section: CONFIG[section] | changes}


def flipped_bit():
    position = CHECKPOINT.index(MODEL.classifier.weight.detach().numpy().tobytes()[:24])
    return CHECKPOINT[:position] + b"\x01" + CHECKPOINT[position + 1 :]


def zip_of(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "3")
    return buffer.getvalue()


def series_file(text):
    def prepare(folder):
        (folder / "series.csv").write_text(text)
        return plot_attention.main, ["--artifacts", "run", "--series", "series.csv"]

    return prepare


def blocked(name):
    """A folder stands where the script would write its file."""

    def prepare(folder):
        (folder / name).mkdir()
        if name in ("model.pt", "history.json"):
            return train.main, ["--artifacts", "."]
        (folder / "model.pt").write_bytes(CHECKPOINT)
        return (evaluate if name == "metrics.json" else plot_attention).main, ["--artifacts", "."]

    return prepare


def array(series, model=MODEL, batch_size=256):
    def predict():
        try:
            model.predict(series, batch_size)
        except ValueError as error:
            raise UserError(str(error)) from error

    return lambda folder: (predict, [])


def with_value(value):
    series = np.zeros((3, 50))
    series[1, 7] = value
    return series


RAW = AttentionClassifier(**CONFIG["model"] | {"standardize": False})
PLAIN = AttentionClassifier(**CONFIG["model"] | {"standardize": False, "difference_channel": False})
DEEP = 100_000 * "["

ROWS = {
    # ------------------------------------------------ the config file
    "no file": (options(train, "--config", "none.json"), ["none.json", "No such file"]),
    "a folder": (options(train, "--config", "."), ["cannot read", "directory"]),
    "empty": (config_file(""), ["config.json is not JSON", "line 1 column 1"]),
    "not JSON": (config_file('{"data": \n 1,}'), ["config.json is not JSON", "line 2 column 4"]),
    "not text": (config_file(b"\xff\xfe\x00"), ["cannot read", "config.json", "utf-8"]),
    "a list": (config_file("[]"), ["the config", "object", "got []"]),
    "a list and --set": (
        lambda folder: (train.main, [*config_file("[]")(folder)[1], "--set", "data.noise=0"]),
        ["object", "got []"],
    ),
    "a number for a section and --set": (
        lambda folder: (
            train.main,
            [*config_with(None, "data", 3)(folder)[1], "--set", "data.noise=0"],
        ),
        ['"data"', "object", "got 3"],
    ),
    "null": (config_file("null"), ["object", "got null"]),
    "deep": (config_file(DEEP), ["brackets"]),
    "a huge number": (config_file('{"data": 1%s}' % (5000 * "0")), ["config.json", "limit"]),
    "a section that is no object": (config_with(None, "data", 3), ['"data"', "object", "got 3"]),
    "a section twice": (config_file('{"data": {}, "data": {}}'), ['"data"', "twice"]),
    "a key twice": (config_file('{"data": {"seed": 1, "seed": 2}}'), ['"seed"', "twice"]),
    "no section": (config_without(None, "model"), ["the config", "lacks", '"model"']),
    "no key": (config_without("data", "noise"), ['"data"', "lacks", '"noise"']),
    "a section too many": (config_with(None, "modle", {}), ['"modle"', 'did you mean "model"']),
    "a key too many": (config_with("training", "epochs", 3), ['"epochs"', 'did you mean "max_epochs"']),
    "a long key": (config_with("data", 10_000 * "x", 3), ["unknown key", "xxx..."]),
    # ------------------------------------------------ values
    "a text": (settings('data.dataset_size="many"'), ["data.dataset_size", "integer", '"many"']),
    "true": (settings("data.noise=true"), ["data.noise", "number", "got true"]),
    "true for an integer": (settings("training.patience=true"), ["training.patience", "got true"]),
    "null for a number": (settings("data.noise=null"), ["data.noise", "got null"]),
    "an object": (settings("model.hidden_size={}"), ["model.hidden_size", "got {}"]),
    "a range for a number": (settings("data.noise=[0, 1]"), ["data.noise", "got [0, 1]"]),
    "a number for a range": (settings("data.frequency=2"), ["data.frequency", "[min, max]", "got 2"]),
    "a range of one": (settings("data.frequency=[4]"), ["data.frequency", "got [4]"]),
    "a range of three": (settings("data.phase=[1, 2, 3]"), ["data.phase", "got [1, 2, 3]"]),
    "a range upside down": (settings("data.frequency=[4, 1]"), ["data.frequency", "got [4, 1]"]),
    "a range of texts": (settings('data.amplitude=["a", "b"]'), ["data.amplitude", '["a", "b"]']),
    "a range of NaN": (settings("data.amplitude=[NaN, 1]"), ["data.amplitude", "got [NaN, 1]"]),
    "a wave of no height": (settings("data.amplitude=[0, 0]"), ["data.amplitude", "got [0, 0]"]),
    "a wave of no cycles": (settings("data.frequency=[0, 1]"), ["data.frequency", "got [0, 1]"]),
    "NaN": (settings("data.noise=NaN"), ["data.noise", "got NaN"]),
    "infinity": (settings("training.learning_rate=Infinity"), ["learning_rate", "got Infinity"]),
    "1e400": (settings("data.noise=1e400"), ["data.noise", "got Infinity"]),
    "a negative number": (settings("data.noise=-1"), ["data.noise", "from 0", "got -1"]),
    "a negative seed": (settings("data.seed=-1"), ["data.seed", "at least 0", "got -1"]),
    "a fractional seed": (settings("training.seed=1.0"), ["training.seed", "integer", "got 1.0"]),
    "no series": (settings("data.dataset_size=0"), ["data.dataset_size", "at least 1", "got 0"]),
    "no epochs": (settings("training.max_epochs=0"), ["training.max_epochs", "at least 1"]),
    "no patience": (settings("training.patience=0"), ["training.patience", "at least 1"]),
    "an empty batch": (settings("training.batch_size=0"), ["training.batch_size", "at least 1"]),
    "no rate": (settings("training.learning_rate=0"), ["learning_rate", "above 0", "got 0"]),
    "no clip": (settings("model.difference_clip=0"), ["model.difference_clip", "above 0"]),
    "all normal": (settings("data.normal_ratio=1"), ["data.normal_ratio", "between 0 and 1"]),
    "no validation": (settings("data.val_fraction=0"), ["data.val_fraction", "between 0 and 1"]),
    "a patch of no length": (settings("model.patch_length=0"), ["model.patch_length", "at least 1"]),
    "no units": (settings("model.hidden_size=0"), ["model.hidden_size", "at least 1", "got 0"]),
    "no units for scores": (settings("model.attention_size=0"), ["model.attention_size", "at least 1"]),
    "one point": (settings("data.num_points=1"), ["data.num_points", "at least 2", "got 1"]),
    "a start before the series": (
        settings("data.flat_location=[-0.5, 0.5]"),
        ["data.flat_location must be", "got [-0.5, 0.5]"],
    ),
    "longer than the series": (
        settings("data.flat_length=[0.1, 1.5]", "data.flat_location=[0.1, 0.9]"),
        ["data.flat_length must be", "got [0.1, 1.5]"],
    ),
    **{
        f"{name} too large": (settings(f"{name}={value}"), [f"{name} must be", "1e+06", "got"])
        for name, value in {
            "data.noise": "1e300",
            "data.frequency": "[1, 1e300]",
            "data.amplitude": "[1, 1e300]",
            "data.phase": "[0, 1e300]",
            "model.difference_clip": "1e300",
            "training.learning_rate": "1e300",
        }.items()
    },
    "a forget bias too large": (settings("model.forget_bias=1e300"), ["model.forget_bias must be"]),
    "1 for true": (settings("model.standardize=1"), ["model.standardize", "false, true", "got 1"]),
    "a choice": (
        settings('model.scores_from="tokens"'),
        ["scores_from", '"token_and_state"', '"tokens"'],
    ),
    "a choice of lists": (settings("training.schedule=[]"), ["training.schedule", "got []"]),
    "a long value": (settings(f"data.noise=[{9999 * '1, '}1]"), ["data.noise", "1, 1, "]),
    # ------------------------------------------------ values that do not go together
    "a patch that leaves a rest": (
        settings("model.patch_length=7"),
        ["model.patch_length", "500", "got 7"],
    ),
    "one patch": (settings("model.patch_length=500"), ["model.patch_length", "two or more", "got 500"]),
    "no flat step left at the end": (
        settings("data.flat_location=[0, 1]"),
        ["flat_location [0, 1]", "at least 2"],
    ),
    "one flat step left": (settings("data.flat_location=[0, 0.998]"), ["1 flat steps of 500"]),
    "one flat step long": (settings("data.flat_length=[0.002, 0.5]"), ["flat_length", "1 flat steps"]),
    "a whole series flat": (settings("data.flat_length=[0.1, 1]"), ["flat_length", "whole series flat"]),
    "too few series": (settings("data.dataset_size=5"), ["data.dataset_size 5", "needs both"]),
    "no training series": (
        settings("data.val_fraction=0.5", "data.test_fraction=0.5"),
        ["data.val_fraction 0.5", "data.test_fraction 0.5"],
    ),
    "more than all": (settings("data.val_fraction=0.9"), ["data.val_fraction 0.9", "needs both"]),
    "no validation series": (settings("data.val_fraction=1e-6"), ["data.val_fraction 1e-06"]),
    "no normal test series": (settings("data.normal_ratio=0.0002"), ["data.normal_ratio 0.0002"]),
    "series beyond memory": (
        settings("data.dataset_size=1000000000"),
        ["dataset_size 1000000000", "GiB"],
    ),
    "points beyond memory": (settings("data.num_points=1000000000"), ["num_points 1000000000", "GiB"]),
    "the largest integer": (settings(f"data.dataset_size={2**63 - 1}"), ["data.dataset_size", "GiB"]),
    "larger still": (settings(f"data.dataset_size={2**63}"), ["data.dataset_size", "integer"]),
    "units beyond memory": (settings("model.hidden_size=1000000"), ["model.hidden_size 1000000", "GiB"]),
    "scores beyond memory": (
        settings("model.attention_size=1000000000"),
        ["attention_size 1000000000", "GiB"],
    ),
    "a batch beyond memory": (
        settings("training.batch_size=10000", "model.patch_length=1", "model.hidden_size=200"),
        ["training.batch_size 10000", "GiB"],
    ),
    "patches beyond memory": (
        settings(
            "data.num_points=2000000",
            "data.dataset_size=30",
            "model.patch_length=1000000",
            "model.hidden_size=5000",
        ),
        ["model.hidden_size 5000", "GiB"],
    ),
    "scores of many states beyond memory": (
        settings("model.attention_size=10000000", "model.hidden_size=1000", "training.batch_size=1"),
        ["attention_size 10000000", "GiB"],
    ),
    "scores of many tokens beyond memory": (
        settings("model.attention_size=1000000", "model.hidden_size=1", "training.batch_size=10000"),
        ["attention_size 1000000", "GiB"],
    ),
    "an evaluation beyond memory": (
        settings(
            "data.num_points=100000",
            "model.patch_length=1",
            "model.hidden_size=200",
            "data.dataset_size=400",
            "training.batch_size=1",
        ),
        ["data.num_points 100000", "GiB"],
    ),
    "many short series beyond memory": (
        settings(
            "data.num_points=20",
            "model.patch_length=10",
            "data.dataset_size=100000000",
            "training.batch_size=100000000",
            "model.hidden_size=1",
            "model.attention_size=1",
        ),
        ["training.batch_size 100000000", "GiB"],
    ),
    # ------------------------------------------------ options
    "--set alone": (options(train, "--set"), ["--set", "expected one argument"]),
    "--set without =": (settings("data.noise"), ["--set", "section.key=value", '"data.noise"']),
    "--set without a section": (settings("noise=1"), ["--set", "section.key=value", '"noise=1"']),
    "--set no such key": (settings("data.nois=1"), ['"nois"', 'did you mean "noise"']),
    "--set no such section": (settings("dat.noise=1"), ['"dat"', 'did you mean "data"']),
    "--set no JSON": (settings("data.noise=much"), ['--set "data.noise=much"', "not JSON"]),
    "--set nothing": (settings("data.noise="), ['--set "data.noise="', "not JSON"]),
    "--set deep": (settings(f"data.noise={DEEP}"), ["brackets"]),
    "no such option": (options(train, "--epochs", "3"), ["--epochs", "--help"]),
    "--index a text": (options(plot_attention, "--index", "last"), ["--index", "'last'"]),
    "--index too large": (
        options(plot_attention, "--artifacts", "run", "--index", "20"),
        ["--index", "0 .. 19", "got 20"],
    ),
    "--index negative": (
        options(plot_attention, "--artifacts", "run", "--index=-1"),
        ["--index", "0 .. 19", "got -1"],
    ),
    "--output no picture": (
        options(plot_attention, "--artifacts", "run", "--output", "a.txt"),
        ["--output", ".png", "a.txt"],
    ),
    "--output no ending": (
        options(plot_attention, "--artifacts", "run", "--output", "a"),
        ["--output", ".png", "got a"],
    ),
    "--output no folder": (
        options(plot_attention, "--artifacts", "run", "--output", "none/a.png"),
        ["--output", "folder", "none/a.png"],
    ),
    "--artifacts a file": (
        options(train, "--artifacts", "run/model.pt"),
        ["--artifacts", "run/model.pt"],
    ),
    "--artifacts in a file": (
        options(data, "--artifacts", "run/model.pt/x"),
        ["--artifacts", "run/model.pt/x"],
    ),
    "--artifacts of no file": (
        options(evaluate, "--artifacts", "run/model.pt"),
        ["cannot read", "run/model.pt/model.pt"],
    ),
    "--artifacts a link to nowhere": (
        lambda folder: (
            (folder / "link").symlink_to("nowhere/at/all") or (train.main, ["--artifacts", "link"])
        ),
        ["--artifacts", "link/model.pt"],
    ),
    "--artifacts with a file in the way": (
        lambda folder: (folder / ".ready").write_text("?") and (train.main, ["--artifacts", "."]),
        ["--artifacts", "model.pt", "Not a directory"],
    ),
    "a run with a file in the way": (
        lambda folder: (
            (folder / "run" / ".ready").write_text("?") and (evaluate.main, ["--artifacts", "run"])
        ),
        ["run/model.pt", "Not a directory"],
    ),
    "--artifacts not writable": (
        options(train, "--artifacts", "/dev/null/run"),
        ["--artifacts", "/dev/null/run"],
    ),
    "--artifacts too long": (options(train, "--artifacts", 300 * "x"), ["--artifacts", "too long"]),
    "a folder for model.pt": (blocked("model.pt"), ["model.pt", "directory"]),
    "a folder for history.json": (blocked("history.json"), ["history.json", "directory"]),
    "a folder for metrics.json": (blocked("metrics.json"), ["metrics.json", "directory"]),
    "a folder for attention.png": (blocked("attention.png"), ["attention.png", "directory"]),
    "evaluate an empty config name": (
        options(evaluate, "--artifacts", "run", "--config", ""),
        ["cannot read"],
    ),
    "evaluate no such config": (
        options(evaluate, "--artifacts", "run", "--config", "none.json"),
        ["none.json"],
    ),
    "a folder for metrics.json of a training": (
        lambda folder: (folder / "metrics.json").mkdir() or (train.main, ["--artifacts", "."]),
        ["metrics.json", "directory"],
    ),
    "--output a folder": (
        lambda folder: (
            (folder / "a.png").mkdir()
            or (plot_attention.main, ["--artifacts", "run", "--output", "a.png"])
        ),
        ["a.png", "directory", "another --output"],
    ),
    # ------------------------------------------------ a file of series
    "no series file": (
        options(plot_attention, "--artifacts", "run", "--series", "none.csv"),
        ["cannot read", "none.csv", "No such file"],
    ),
    "an empty series file": (series_file(""), ["series.csv", "one per row"]),
    "a file of blanks": (series_file(" \n \n"), ["series.csv", "no series"]),
    "a gap in the first series": (series_file("1,,3\n4,5,6\n"), ["line 1, column 2", '""']),
    "only a header": (series_file("a,b,c\n"), ["line 1, column 1", '"a"']),
    "a text among the series": (series_file("1,2\n3,x\n"), ["series.csv", "line 2, column 2", '"x"']),
    "a gap in the series": (series_file("a,b\n1,2\n\n3,\n"), ["line 4, column 2", '""']),
    "NaN in the series": (series_file("1,2\nnan,3\n"), ["line 2, column 1", '"nan"']),
    "an index of names": (series_file("a,1,2\nb,1,2\n"), ["line 1, column 1", '"a"', "index"]),
    "an index of numbers": (
        series_file("".join(f"{i},7,8\n" for i in range(10))),
        ["first column", "index"],
    ),
    "series of unequal length": (series_file("1,2,3\n1,2\n"), ["line 2", "2 values", "3"]),
    "semicolons": (series_file("1;2;3\n"), ["series.csv", "line 1, column 1", '"1;2;3"', "commas"]),
    "series of a length of no patches": (
        series_file("1,2,3\n"),
        ["series.csv", "model.patch_length", "3 points", "index"],
    ),
    "--index beyond the series file": (
        lambda folder: (
            plot_attention.main,
            [*series_file("\n".join(3 * [",".join(50 * ["1.5"])]))(folder)[1], "--index", "3"],
        ),
        ["--index", "0 .. 2", "got 3"],
    ),
    # ------------------------------------------------ the checkpoint
    "no checkpoint": (options(evaluate, "--artifacts", "none"), ["none/model.pt", "run train.py first"]),
    "nothing to plot": (
        options(plot_attention, "--artifacts", "none"),
        ["none/model.pt", "run train.py first"],
    ),
    "an empty checkpoint": (checkpoint(b""), ["model.pt", "damaged", "train.py"]),
    "random bytes": (checkpoint(np.random.default_rng(0).bytes(5000)), ["model.pt", "damaged"]),
    "a flipped bit": (checkpoint(flipped_bit()), ["model.pt", "damaged"]),
    "a flipped bit to plot": (checkpoint(flipped_bit(), plot_attention), ["model.pt", "damaged"]),
    "a plain pickle": (checkpoint(pickle.dumps({"config": CONFIG})), ["model.pt", "damaged"]),
    "another zip file": (checkpoint(zip_of("readme.txt")), ["model.pt", "not of this project"]),
    "a scripted module": (
        checkpoint(zip_of("a/constants.pkl", "a/data.pkl", "a/version")),
        ["model.pt", "not of this project"],
    ),
    "only weights": (checkpoint(checkpoint_bytes(MODEL, None)), ["model.pt", "settings", "got null"]),
    "other settings": (
        saved(config=changed("training", patience=-1)),
        ["model.pt", "training.patience", "got -1"],
    ),
    "a setting of no JSON": (
        saved(config=changed("training", patience=torch.zeros(2))),
        ["model.pt", "training.patience", "tensor"],
    ),
    "settings of no JSON": (saved(config={1: torch.zeros(2)}), ["model.pt", "unknown key 1"]),
    "weights of another size": (
        saved(config=changed("model", hidden_size=4)),
        ["model.pt", "weights", "do not fit"],
    ),
    "weights of another kind": (saved(weights={1: 2}), ["model.pt", "weights", "do not fit"]),
    "weights of no kind": (saved(weights=[1]), ["model.pt", "weights", "do not fit"]),
    "NaN weights": (
        saved(weights=MODEL.state_dict() | {"classifier.bias": torch.tensor([np.nan])}),
        ["model.pt", "weights", "finite"],
    ),
    # ------------------------------------------------ arrays
    "three dimensions": (array(np.zeros((2, 3, 50))), ["shape", "(2, 3, 50)"]),
    "no rows": (array(np.zeros((0, 50))), ["shape", "(0, 50)"]),
    "an empty list": (array([]), ["shape", "(1, 0)"]),
    "one number": (array(3.0), ["model.patch_length", "1 points"]),
    "a rest of a patch": (array(np.zeros(52)), ["model.patch_length", "52", "got 5"]),
    "a single patch": (array(np.zeros(5)), ["two or more"]),
    "rows of unequal length": (array([50 * [1.0], 40 * [1.0]]), ["inhomogeneous"]),
    "texts": (array(50 * ["a"]), ["real numbers", "<U1"]),
    "objects": (array(np.array(50 * [object()])), ["real numbers", "object"]),
    "complex numbers": (array(np.zeros(50, dtype=complex)), ["real numbers", "complex"]),
    "dates": (array(np.zeros(50, dtype="M8[s]")), ["real numbers", "datetime"]),
    "a NaN": (array(with_value(np.nan)), ["series 1", "NaN"]),
    "an infinity": (array(with_value(-np.inf)), ["series 1", "infinity"]),
    "a masked value": (array(np.ma.masked_equal(with_value(1), 1)), ["masked"]),
    "beyond single precision, as it is": (array(with_value(1e300), RAW), ["series 1", "too large"]),
    "a batch of none": (array(np.zeros(50), batch_size=0), ["batch_size", "got 0"]),
    "a batch of fewer": (array(np.zeros(50), batch_size=-1), ["batch_size", "got -1"]),
    "truth values": (array(np.zeros(50, dtype=bool)), ["real numbers", "bool"]),
    "too large for single precision": (array(with_value(1e300), PLAIN), ["series 1", "too large"]),
    "an infinity, as it is": (array(with_value(np.inf), PLAIN), ["series 1", "infinity"]),
}


def snapshot(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("prepare, words", ROWS.values(), ids=ROWS)
def test_bad_input(tmp_path, monkeypatch, capsys, recwarn, prepare, words):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.pt").write_bytes(CHECKPOINT)
    monkeypatch.chdir(tmp_path)
    main, arguments = prepare(tmp_path)
    before = snapshot(tmp_path)
    monkeypatch.setattr(sys, "argv", ["script.py", *arguments])
    monkeypatch.setattr(train.Trainer, "fit", None)  # to be found before the work
    recwarn.clear()
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and len(error) < 500
    assert [word for word in words if word not in error] == [], error
    assert snapshot(tmp_path) == before
    assert not recwarn.list  # a warning would be a second line


@pytest.mark.parametrize("error", [AttributeError, ValueError])
def test_where_the_system_does_not_tell_its_memory_16_gib_are_the_limit(monkeypatch, error):
    def sysconf(name):
        raise error

    monkeypatch.setattr("os.sysconf", sysconf, raising=False)
    with pytest.raises(ValueError, match="about 23.3 GiB of memory; this machine has 16.0"):
        load_config(overrides=["data.dataset_size=2000000"])  # 10^9 points of 25 bytes


def test_a_checkpoint_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    for length in range(0, len(CHECKPOINT), 97):
        path.write_bytes(CHECKPOINT[:length])
        with pytest.raises(ValueError, match="damaged"):
            load_checkpoint(path)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    buffer = io.BytesIO()
    torch.save({"config": Malicious(), "weights": {}}, buffer)
    for content in (buffer.getvalue(), pickle.dumps(Malicious())):
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(ValueError, match="damaged, or not of this project"):
            load_checkpoint(tmp_path / "model.pt")
        assert not (tmp_path / "ran").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "ran").exists()  # so it was able to
