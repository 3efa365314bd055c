"""Every experiment runs in its small version; what its tables rest on is checked by hand."""

import importlib
import sys

import numpy as np
import pytest
import torch

from constants import PROJECT_DIR
from data import Split, make_splits
from data_utils import load_config
from experiments import baselines, common, faithfulness, transfer
from model import AttentionClassifier, Trainer

NAMES = sorted(path.stem for path in (PROJECT_DIR / "experiments").glob("*.py") if path.stem != "common")
WITH_PICTURE = {"animation": "training.gif", "failures": "failures.png", "transfer": "transfer.png"}


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs(tmp_path, monkeypatch, capsys, name):
    options = ["--quick"]
    if name != "animation":
        options += ["--results", str(tmp_path)]
    if name in WITH_PICTURE:
        options += ["--output", str(tmp_path / WITH_PICTURE[name])]
    monkeypatch.setattr(sys, "argv", [name, *options])
    experiment = importlib.import_module(f"experiments.{name}")
    experiment.main()
    first = capsys.readouterr()
    if name in WITH_PICTURE:
        assert (tmp_path / WITH_PICTURE[name]).read_bytes()[:3] in (b"GIF", b"\x89PN")
    if name == "animation":
        return
    assert "[1/" in first.err
    table = first.out.split("\n\n")[0].splitlines()
    assert len(table) > 2 and len({line.count("|") for line in table}) == 1
    experiment.main()
    again = capsys.readouterr()
    assert again.out == first.out and again.err == ""  # nothing is measured twice


def test_finished_rows_are_kept_when_it_is_interrupted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["test", "--results", str(tmp_path)])
    args = common.parse_args("A test.")
    measured = []

    def measure(config):
        seed = config["training"]["seed"]
        measured.append(seed)
        if measured == [0, 1]:
            raise KeyboardInterrupt
        return {"value": seed}

    def rows(*overrides):
        return [common.Row("a", common.settings(seed, *overrides), measure) for seed in range(3)]

    with pytest.raises(KeyboardInterrupt):
        common.measure_rows("test", rows(), args)
    results = common.measure_rows("test", rows(), args)
    assert results == {"a": [{"value": 0}, {"value": 1}, {"value": 2}]}
    assert measured == [0, 1, 1, 2]
    common.measure_rows("test", rows("data.noise=0.1"), args)  # other settings are other rows
    assert measured == [0, 1, 1, 2, 0, 1, 2]
    assert common.mean_and_worst(results["a"], "value", 1) == "1.0 (0.0)"
    assert common.mean_and_worst(results["a"], "value", 1, max) == "1.0 (2.0)"


@pytest.mark.parametrize("method", [baselines.cnn, baselines.attention])
def test_ctrl_c_in_a_training_ends_the_experiment(monkeypatch, method):
    """The trainer ends such a training in good order, but it is no row of a table."""
    train_epoch, epochs = Trainer._train_epoch, []

    def interrupt_the_second(*args):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return train_epoch(*args)

    monkeypatch.setattr(Trainer, "_train_epoch", interrupt_the_second)
    config = common.settings(0, "data.dataset_size=100")
    with pytest.raises(KeyboardInterrupt):
        method(make_splits(config["data"]), config)
    assert len(epochs) == 2


def test_longest_runs_by_hand():
    series = np.array([[1, 1, 2, 2, 2], [1, 2, 3, 4, 5], [3, 3, 3, 3, 3], [0, 0, 1, 0, 0]])
    assert baselines.longest_runs(series).tolist() == [3, 1, 5, 2]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AttentionClassifier(**load_config()["model"] | {"zero_init_classifier": False})


@pytest.fixture
def series():
    return np.sin(np.linspace(0, 12, 1000)).reshape(2, 500).astype(np.float32)


def test_removed_tokens_do_not_count(model, series):
    nothing = np.zeros((2, 50), dtype=bool)
    logits, attention = model(torch.from_numpy(series))
    np.testing.assert_allclose(
        faithfulness.logits_without(model, series, nothing), logits.detach(), atol=1e-6
    )
    # With one token left, its state alone is classified.
    only = ~nothing
    only[:, 7] = False
    states, _ = model.lstm(model.tokenize(torch.from_numpy(series)))
    expected = model.classifier(states[:, 7]).squeeze(1).detach()
    np.testing.assert_allclose(faithfulness.logits_without(model, series, only), expected, atol=1e-6)


def test_changed_data_keep_their_flat_segments():
    mask = np.zeros((2, 100), dtype=bool)
    mask[1, 20:50] = True
    waves = np.sin(np.linspace(0, 9, 100)) * np.ones((2, 1))
    waves[1, 20:50] = waves[1, 20]
    test = Split(waves.astype(np.float32), np.array([0, 1]), mask)
    drifted = transfer.drifting(test, np.random.default_rng(0))
    assert np.ptp(drifted.series[1, 20:50]) == 0
    trend = drifted.series[0] - test.series[0]
    np.testing.assert_allclose(np.diff(trend), trend[-1] / 99, atol=1e-6)
    assert 0 < abs(trend[-1]) <= 2
    twice = transfer.with_second_segment(test, np.random.default_rng(1))
    np.testing.assert_array_equal(twice.series[0], test.series[0])
    added = twice.flat_mask[1] & ~mask[1]
    assert 0 < added.sum() <= 10 and twice.flat_mask[1, 20:50].all()
    assert len(np.unique(twice.series[1, added])) == 1
