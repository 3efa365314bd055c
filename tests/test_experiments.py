"""Every experiment runs in its small version; what its tables rest on is checked by hand."""

import importlib
import sys

import numpy as np
import pytest
import torch

from constants import PROJECT_DIR
from data import Split, Splits, make_splits
from data_utils import UserError, load_config
from experiments import baselines, common, failures, faithfulness, transfer
from model import AttentionClassifier, Trainer

NAMES = sorted(path.stem for path in (PROJECT_DIR / "experiments").glob("*.py") if path.stem != "common")
WITH_PICTURE = {"animation": "training.gif", "failures": "failures.png", "transfer": "transfer.png"}


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--artifacts", str(tmp_path)])
    experiment = importlib.import_module(f"experiments.{name}")
    experiment.main()
    first = capsys.readouterr()
    if name in WITH_PICTURE:
        assert (tmp_path / "experiments" / WITH_PICTURE[name]).read_bytes()[:3] in (b"GIF", b"\x89PN")
    if name == "animation":
        return
    assert "[1/" in first.err
    table = first.out.split("\n\n")[0].splitlines()
    assert len(table) > 2 and len({line.count("|") for line in table}) == 1
    experiment.main()
    again = capsys.readouterr()
    assert again.out == first.out and again.err == ""  # nothing is measured twice


def test_finished_rows_are_kept_when_it_is_interrupted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["test", "--artifacts", str(tmp_path)])
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


@pytest.mark.parametrize("content", [b"", b'{"a', b"[]x", b"\xff"])
def test_damaged_rows_are_named(tmp_path, monkeypatch, content):
    monkeypatch.setattr(sys, "argv", ["test", "--artifacts", str(tmp_path)])
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "test.json").write_bytes(content)
    with pytest.raises(UserError, match="test.json: delete the file"):
        common.measure_rows("test", [common.Row("a", common.settings(0), None)], common.parse_args("A."))


@pytest.mark.parametrize("options", [["--output", "no/such.txt"], ["--output", "."], ["--quik"]])
def test_wrong_options_are_found_before_the_work(tmp_path, monkeypatch, options):
    monkeypatch.setattr(sys, "argv", ["test", "--artifacts", str(tmp_path), *options])
    with pytest.raises(UserError, match=options[0]):
        common.parse_args("A test.", image="test.png")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_an_mlp_ends_the_experiment(monkeypatch):
    def press_ctrl_c(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(baselines.MLPClassifier, "_update_no_improvement_count", press_ctrl_c)
    config = common.settings(0, "data.dataset_size=100")
    with pytest.raises(KeyboardInterrupt):
        baselines.mlp(make_splits(config["data"]), config)


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
    np.testing.assert_array_equal(twice.series[1, 20:50], test.series[1, 20:50])
    added = np.flatnonzero(twice.flat_mask[1] & ~mask[1])
    assert len(added) == 10 and np.ptp(added) == 9  # one stretch, and not beside the other
    assert added[0] > 50 or added[-1] < 19
    assert len(np.unique(twice.series[1, added])) == 1


def test_the_rule_learns_its_threshold_on_the_training_series():
    def split(lengths, labels):  # series of ten steps that begin with so many equal values
        series = [[1.0] * n + list(range(2, 12 - n)) for n in lengths]
        return Split(np.array(series), np.array(labels), None)

    splits = Splits(split([1, 2, 5, 6], [0, 0, 1, 1]), None, split([4, 5, 9, 3], [1, 1, 0, 0]))
    assert baselines.rule(splits, None).tolist() == [False, True, True, False]


class PerfectModel:
    """Sees nothing but the flat steps."""

    patch_length = 5

    def predict(self, series):
        flat = np.diff(series, axis=1, append=np.nan) == 0
        flat[:, 1:] |= flat[:, :-1]
        return np.ones(len(series)), flat / flat.sum(axis=1, keepdims=True)


def test_attention_that_moves_with_the_segment_is_perfect():
    figures = faithfulness.moved_stretch(PerfectModel(), load_config()["data"], count=20)
    assert figures["correlation"] == pytest.approx(1)
    assert figures["error"] == pytest.approx(0, abs=1e-6)
    assert figures["moved_mass"] == pytest.approx(1)


def test_deletion_of_what_the_logit_rests_on(monkeypatch):
    """The logit counts the tokens left among the first two of ten: by hand, 2 falls to 0."""
    monkeypatch.setattr(
        faithfulness, "logits_without", lambda model, series, removed: (~removed[:, :2]).sum(axis=1)
    )

    class Model:
        patch_length = 1

        def predict(self, series):
            return None, np.tile([0.4, 0.3, *[0.0375] * 8], (100, 1))

    falls = faithfulness.deletion(Model(), np.zeros((100, 10)), seed=0)
    assert falls["attention"] == pytest.approx((1 + 2 * 8) / 9)  # shares 0.1; 0.2 to 0.9
    assert falls["random"] == pytest.approx(1.0, abs=0.03)  # 2 * 0.1, 2 * 0.2, ... in the mean


def test_failures_are_sorted_into_their_groups(monkeypatch):
    mask = np.array([[False] * 4, [False] * 4, *[[True, True, False, False]] * 3])
    test = Split(np.ones((5, 4)), np.array([0, 0, 1, 1, 1]), mask)
    attention = np.array([[0.25] * 4] * 3 + [[0.1, 0.1, 0.4, 0.4], [0.4, 0.4, 0.1, 0.1]])

    class Model:
        def predict(self, series):
            return np.array([0.1, 0.9, 0.2, 0.9, 0.9]), attention

    monkeypatch.setattr(failures, "make_splits", lambda config: Splits(None, None, test))
    monkeypatch.setattr(failures, "trained", lambda config, splits: (Model(), None))
    assert failures.examine({"data": None})[-1].tolist() == [-1, 0, 1, 2, 3]


def test_figures_are_of_the_test_split(monkeypatch):
    config = common.settings(0, "data.dataset_size=100", "training.max_epochs=1")
    figures = common.train_and_evaluate(config)
    assert np.sum(figures["confusion_matrix"]) == 20 and figures["epochs"] == 1
