"""Every experiment runs in its small version; what its tables rest on is checked by hand."""

import importlib
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import published_by

from constants import PROJECT_DIR
from data import LabelledSeries, Splits, make_splits
from data_utils import UserError, load_config
from experiments import (
    ablation,
    article,
    baselines,
    common,
    explanations,
    faithfulness,
    labelled,
    pictures,
    recording,
    robustness,
)
from model import AttentionClassifier

NAMES = sorted(
    path.stem
    for path in (PROJECT_DIR / "experiments").glob("*.py")
    if path.stem not in ("common", "__init__")
)
QUICK = SimpleNamespace(quick=True, seeds=range(1))


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs(tmp_path, monkeypatch, capsys, name):
    options = ["--quick"]
    if name == "article":  # the parameters of a network like the published one, under its names
        network = AttentionClassifier(**load_config(article.ARTICLE)["model"])
        torch.save(published_by(network), tmp_path / "theirs.pth")
        options += ["--parameters", str(tmp_path / "theirs.pth")]
    monkeypatch.setattr(sys, "argv", [name, *options])
    monkeypatch.setattr(explanations, "POINTS", explanations.POINTS[:9])
    monkeypatch.chdir(tmp_path)
    importlib.import_module(f"experiments.{name}").main()
    out = capsys.readouterr().out
    assert out.startswith("a smoke test: these numbers mean nothing\n")
    pictures = re.findall("the picture is (.*)", out)
    assert len(pictures) == {"pictures": 4, "ablation": 2, "animation": 1, "recording": 1}.get(name, 0)
    assert all((tmp_path / picture).read_bytes()[:3] in (b"GIF", b"\x89PN") for picture in pictures)
    if name not in ("animation", "pictures"):
        table = out.split("\n\n")[1].splitlines()
        assert len(table) > 2 and len({line.count("|") for line in table}) == 1


def test_mean_and_worst_over_the_seeds():
    args = SimpleNamespace(seeds=range(3))
    results = common.measure("a row", args, lambda args, seed, x: {"v": x * seed}, 2)
    assert common.mean_and_worst(results, "v", 1) == "2.0 (0.0)"
    assert common.mean_and_worst(results, "v", 2, max) == "2.00 (4.00)"


# ---------------------------------------------------------------- ablation


class Mix(torch.nn.Module):
    """State i is the sum of the tokens j, weighed by row i of a matrix."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = torch.tensor(matrix)

    def forward(self, tokens):
        return torch.einsum("ij,bjf->bif", self.matrix, tokens), None


def test_shares_locality_and_tracing_worked_out_by_hand():
    model = AttentionClassifier(**load_config()["model"])
    model.lstm = Mix([[1.0, 0, 0, 3], [0, 2, 2, -4], [1, 1, 1, 1], [0, 0, 0, -5]])
    shares = ablation.token_shares(model, torch.randn(3, 4, 20))
    by_hand = [[1 / 4, 0, 0, 3 / 4], [0, 1 / 4, 1 / 4, 1 / 2], [1 / 4] * 4, [0, 0, 0, 1]]
    np.testing.assert_allclose(shares, [by_hand] * 3, atol=1e-6)
    # Near the first state lies 1/4, near the second 1/2, near the third 3/4, near the last all.
    assert ablation.locality(shares) == pytest.approx((1 / 4 + 1 / 2 + 3 / 4 + 1) / 4)
    traced = ablation.trace(torch.tensor([[0.4, 0, 0, 0.6]] * 3), shares)
    expected = [0.4 / 4, 0, 0, 0.4 * 3 / 4 + 0.6]
    np.testing.assert_allclose(traced, [expected] * 3, atol=1e-6)


def test_traced_attention_is_of_the_steps_of_the_series():
    torch.manual_seed(0)
    model, series = AttentionClassifier(**load_config()["model"]), np.random.rand(2, 100)
    traced = ablation.trace_attention(model, series)
    assert traced.shape == (2, 100)
    np.testing.assert_allclose(traced.sum(axis=1), 1, atol=1e-5)
    assert np.all(traced == traced[:, ::10].repeat(10, axis=1))
    shares = ablation.token_shares(model, model.tokenize(torch.from_numpy(series)))
    equal = ablation.trace_steps(np.full((2, 100), 0.01, dtype=np.float32), shares)
    np.testing.assert_allclose(equal[:, ::10], shares.mean(dim=1) / 10, atol=1e-6)


def test_each_network_sees_as_far_as_its_row_says():
    torch.manual_seed(0)
    series = np.random.default_rng(0).normal(size=(2, 500)).astype(np.float32)
    reach = {}
    for label, (build, *overrides) in ablation.NETWORKS.items():
        model = build(**load_config(overrides=overrides)["model"])
        seen = ablation.token_shares(model, model.tokenize(torch.from_numpy(series)))[0, 25].nonzero()
        reach[label] = int((seen - 25).abs().max())
    assert reach["no context"] == 0
    assert reach["... at most 1 token away"] == 1
    assert reach["... at most 3 tokens away"] == 3
    assert reach["Transformer"] == reach["... of two layers"] == 25


# ---------------------------------------------------------------- explanations


class Sum(torch.nn.Module):
    """Its logit is the weighted mean of w · token, plus a bias: every explanation is known."""

    def __init__(self):
        super().__init__()
        self.classifier = torch.nn.Linear(3, 1)
        self.lstm = lambda tokens: (tokens, None)

    def pool(self, states):
        weights = torch.tensor([0.5, 0.3, 0.2]).expand(len(states), 3)
        return (weights.unsqueeze(2) * states).sum(dim=1), weights


def test_explanations_of_a_linear_network_are_known():
    torch.manual_seed(0)
    model, tokens, normal = Sum(), torch.randn(2, 3, 3), torch.zeros(4, 3, 3)
    weights, w = torch.tensor([0.5, 0.3, 0.2]), model.classifier.weight[0].detach()
    parts = weights * (tokens @ w)  # (2, 3): what each token adds to the logit
    results = {
        name: method(model, tokens, normal).detach()
        for name, (method, _) in explanations.EXPLANATIONS.items()
    }
    for name in ("attention", "attention, traced"):  # each state is its own token
        torch.testing.assert_close(results[name], weights.expand(2, 3))
    torch.testing.assert_close(results["evidence"], parts + weights * model.classifier.bias.detach())
    total = explanations.logits_of(model, tokens).detach()
    torch.testing.assert_close(results["evidence"].sum(dim=1), total)
    torch.testing.assert_close(results["size of the gradient"], (weights * w.norm()).expand(2, 3))
    for name in list(results)[4:]:  # from zeros, and the normal series are zeros too
        torch.testing.assert_close(results[name], parts, msg=name)
    error = explanations.sum_error(model, tokens, 1.25 * parts, [torch.zeros_like(tokens)])
    assert error == pytest.approx(0.25, rel=1e-4)


# ---------------------------------------------------------------- the others


def test_a_recording_of_ones_own(tmp_path, monkeypatch, capsys):
    steps = np.arange(4000)
    (tmp_path / "mine.csv").write_text("\ufeff" + "\n".join(map(str, steps)), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["recording", "--quick", "--recording", str(tmp_path / "mine.csv")])
    monkeypatch.chdir(tmp_path)
    recording.main()
    assert "its first half, tested on its last quarter" in capsys.readouterr().out


@pytest.mark.parametrize(
    "values, said",
    [
        (np.arange(3999), "holds 3999 numbers, at least 4000 are needed"),
        (np.ones((3, 4000)), r"one row or one column of numbers, got \(3, 4000\)"),
        ([1.0, np.nan] * 2000, "series 0 holds NaN"),
    ],
)
def test_what_is_no_recording(values, said):
    with pytest.raises(UserError, match=said):
        recording.make_recording_splits(values, load_config())


def test_a_recording_may_be_a_row_a_column_or_a_list():
    for same in ([1, 2, 3], [[1, 2, 3]], np.array([[1], [2], [3]])):
        assert recording.check_recording(same, 3).tolist() == [1, 2, 3]


def test_noise_is_added_to_the_flat_segments_and_the_ratio_is_kept():
    values = np.random.default_rng(0).normal(size=5000).cumsum()
    config = load_config(overrides=["data.noise=0.05", "data.normal_ratio=0.7"])
    quiet = load_config(overrides=["data.normal_ratio=0.7"])
    noisy, clean = (recording.make_recording_splits(values, c).train for c in (config, quiet))
    assert (clean.labels == 0).mean() == 0.7
    untouched = clean.labels == 0
    assert np.array_equal(noisy.series[untouched], clean.series[untouched])
    held = noisy.series[-1, noisy.flat_mask[-1]]
    assert held.std() == pytest.approx(0.05 * values.std(), rel=0.5)


def test_flat_stretches_of_the_recording_are_reported(capsys):
    values = np.random.default_rng(0).normal(size=5000)
    values[100:160] = values[300:350] = values[4000:4100] = 1
    recording.make_recording_splits(values, load_config())
    assert "the recording holds 3 stretches of 50 or more equal values" in capsys.readouterr().out


def test_the_rule_takes_its_number_from_validation_windows():
    def split(runs, labels):  # windows of ten steps that begin with so many equal values
        rows = [[1.0] * n + list(range(2, 12 - n)) for n in runs]
        return LabelledSeries(np.array(rows), np.array(labels), None)

    splits = Splits(None, split([1, 2, 5, 6], [0, 0, 1, 1]), split([4, 5, 9, 3, 1], [1, 1, 0, 0, 0]))
    assert recording.longest_run(splits) == 4 / 5  # at least 3.5: one, nine equal values, is no event


def test_places_are_found_to_the_last_step():
    """By a network that sees exactly where a window is constant."""

    def predict(windows):
        flat = np.diff(windows, axis=1, append=np.nan) == 0
        weights = flat / flat.sum(axis=1, keepdims=True).clip(min=1)
        return np.where(flat.sum(axis=1) > 20, 0.9, 0.1), weights

    values = np.random.default_rng(0).normal(size=1234)
    values[400:470] = values[1160:] = 1
    places = recording.find_places(SimpleNamespace(predict=predict, lag=0), values, 100)
    assert [(start, stop) for start, stop, _ in places] == [(400, 469), (1160, 1233)]
    assert all(probability == 0.9 for *_, probability in places)


def test_the_flattest_window_and_its_place():
    rng = np.random.default_rng(0)
    series, labels = rng.normal(size=(60, 100)), np.arange(60) % 2
    series[labels == 1, 40:70] *= 0.01
    split = LabelledSeries(series, labels, None)
    predicted, place = baselines.flattest_window(Splits(split, split, split), None)
    assert np.array_equal(predicted, labels)
    np.testing.assert_allclose(place.sum(axis=1), 1)
    assert place[labels == 1, 40:70].sum() == pytest.approx(30)


def test_the_events_lie_where_their_masks_say():
    rng = np.random.default_rng(0)
    series, labels, mask = labelled.bumps(rng)
    assert np.array_equal(mask.sum(axis=1), 12 * labels)
    assert series[mask].mean() == pytest.approx(2, abs=0.1)
    assert abs(series[~mask].mean()) < 0.05
    series, labels, mask = labelled.chirps(rng)
    assert np.array_equal(mask.sum(axis=1), 24 * labels)
    assert series[mask].std() > 2 * series[~mask].std()
    series, labels, mask = labelled.beats(rng)
    assert np.array_equal(mask.sum(axis=1), 28 * labels)
    beats = (series > 0.5).sum(axis=1)
    assert beats[labels == 0].mean() - beats[labels == 1].mean() == pytest.approx(3, abs=0.5)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AttentionClassifier(**load_config()["model"])


def test_removed_tokens_do_not_count(model):
    """With one token left, its state alone is classified."""
    states, weights = torch.randn(2, 50, 32), torch.rand(2, 50)
    removed = np.ones((2, 50), dtype=bool)
    removed[:, 7] = False
    expected = model.classifier(states[:, 7]).squeeze(1)
    torch.testing.assert_close(faithfulness.logits_without(model, states, weights, removed), expected)


def test_deletion_of_what_the_logit_rests_on():
    """The states of two of ten tokens are 1, the others 0, and so is the logit's fall by hand."""
    weights, states = torch.tensor([[0.4, 0.3, *[0.0375] * 8]] * 300), torch.zeros(300, 10, 1)
    states[:, :2] = 1

    class Stub(torch.nn.Module):
        patch_length = 1
        tokenize = classifier = staticmethod(lambda x: x)
        lstm = staticmethod(lambda x: (states, None))

        def forward(self, series):
            return None, weights

    falls = faithfulness.deletion(Stub(), np.zeros((300, 10), dtype=np.float32), seed=0)
    # 0.7 of the weight rests on the two; without the first 0.3 of 0.6, without both nothing.
    assert falls["attended"] == pytest.approx((0.7 - 0.3 / 0.6 + 8 * 0.7) / 9)
    assert 0 < falls["random"] < 0.3


def test_attention_that_moves_with_the_segment_is_perfect():
    def predict(series):
        flat = np.diff(series, axis=1, append=np.nan) == 0
        flat[:, 1:] |= flat[:, :-1]
        return np.ones(len(series)), flat / flat.sum(axis=1, keepdims=True)

    data_config = load_config()["data"]
    results = faithfulness.moved_segment(SimpleNamespace(predict=predict), data_config, count=20)
    assert results == pytest.approx({"distance": 0, "moved_mass": 1}, abs=1e-6)


def test_changed_data_keep_their_flat_segments():
    mask = np.zeros((2, 100), dtype=bool)
    mask[1, 20:50] = True
    waves = np.sin(np.linspace(0, 9, 100)) * np.ones((2, 1))
    waves[1, 20:50] = waves[1, 20]
    test = LabelledSeries(waves.astype(np.float32), np.array([0, 1]), mask)
    changed = robustness.add_trend(test, np.random.default_rng(0))
    assert np.ptp(changed.series[1, 20:50]) == 0
    trend = changed.series[0] - test.series[0]
    np.testing.assert_allclose(np.diff(trend), trend[-1] / 99, atol=1e-6)
    assert 0 < abs(trend[-1]) <= 2
    twice = robustness.add_second_segment(test, np.random.default_rng(1))
    np.testing.assert_array_equal(twice.series[0], test.series[0])
    added = np.flatnonzero(twice.series[1] != test.series[1])
    assert len(added) and twice.flat_mask[1, added].all() and twice.flat_mask[1, 20:50].all()


def test_no_step_of_the_recording_is_in_two_splits():
    for parts in (recording.IN_TURN, recording.LATER):
        splits = recording.make_recording_splits(np.arange(12_000.0), load_config(), parts)
        used = [set(np.unique(split.series).astype(int)) for split in splits]
        assert not (used[0] & used[1] or used[0] & used[2] or used[1] & used[2])
        assert np.array_equal(splits.test.flat_mask.any(axis=1), splits.test.labels == 1)
        normal = splits.test.series[splits.test.labels == 0]
        assert np.all(np.diff(normal, axis=1) == 1)  # windows of steps in a row
    assert min(used[2]) >= 8000 > max(used[0] | used[1])  # the later part


def test_rates_are_of_each_class():
    labels = np.array([0, 1] * 4)
    series, mask = np.random.default_rng(0).normal(size=(8, 100)), np.outer(labels, np.arange(100) < 30)
    split = LabelledSeries(series, labels, mask.astype(bool))
    probability = np.array([0.9, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9])
    stub = SimpleNamespace(predict=lambda series: (probability, np.full((8, 100), 0.01)))
    results = recording.rates(stub, Splits(split, split, split))
    assert (results["false alarms"], results["misses"], results["accuracy"]) == (0.25, 0.25, 0.75)


def test_samples_picture_shades_the_anomalous_series_only():
    splits = make_splits(load_config(overrides=["data.dataset_size=100"])["data"])
    figure = pictures.plot_samples({"train": splits.train, "val": splits.val})
    assert [len(axis.patches) for axis in figure.axes] == [0, 0, 1, 1] * 2
