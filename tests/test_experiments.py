"""The experiments: each runs, writes what it should, and its numbers are those that the text quotes."""

import importlib
import re
from argparse import Namespace

import matplotlib
import numpy as np
import pytest
import torch
from helpers import run

from constants import PROJECT_DIR
from data import make_splits
from data_utils import load_config
from experiments import common, explanations, kinds, rules, zoo
from model import AttentionClassifier
from train import train

matplotlib.use("agg")
RESULTS = PROJECT_DIR / "experiments" / "results"
HELPERS = {"__init__", "common", "kinds", "rules", "zoo"}
EXPERIMENTS = sorted({path.stem for path in (PROJECT_DIR / "experiments").glob("*.py")} - HELPERS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_smoke_run_prints_a_table_and_keeps_the_results(name, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in RESULTS.iterdir()}
    experiment = importlib.import_module(f"experiments.{name}")
    if name == "pictures":
        monkeypatch.setattr(experiment, "ARTIFACTS_DIR", tmp_path)
    run(monkeypatch, experiment, "--quick", "--jobs", 1)
    out = capsys.readouterr().out
    assert "| --- |" in out or (tmp_path / "first.png").is_file()
    assert {path: path.read_bytes() for path in RESULTS.iterdir()} == before


def test_seeds_side_by_side_give_the_same_numbers():
    rows = {"tiny": ("data.dataset_size=100", "data.num_points=50", "model.patch_length=5")}
    results = []
    for jobs in (1, 2):
        args = Namespace(quick=True, jobs=jobs, seeds=range(2))
        results.append(common.measure(args, train_tiny, rows))
    assert results[0] == results[1] and results[0]["tiny"][0] != results[0]["tiny"][1]


def train_tiny(args, seed, *overrides):
    config = common.settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    return train(config, splits)[1]["val_loss"]


def test_mean_and_worst_by_hand():
    by_seed = [{"a": 0.5, "b": 2.0}, {"a": 1.0, "b": -0.004}]
    assert common.mean_and_worst(by_seed, "a") == "0.750 (0.500)"
    assert common.mean_and_worst(by_seed, "b", 2, max) == "1.00 (2.00)"
    assert common.mean_and_worst(by_seed[1:], "b", 2) == "0.00 (0.00)"


# ---------------------------------------------------------------- what is quoted


def cells(text):
    """{first cell: the other cells} of every table row."""
    rows = re.findall(r"^\| (.*) \|$", text, flags=re.MULTILINE)
    return {row.split(" | ")[0]: row.split(" | ")[1:] for row in rows}


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.md")), ids=lambda path: path.stem)
def test_results_name_their_command_and_are_linked(path):
    text, page = path.read_text("utf-8"), (PROJECT_DIR / "experiments" / "README.md").read_text("utf-8")
    (name,) = re.findall(r"`python -m experiments\.(\w+)", text)
    assert name in EXPERIMENTS and f"(results/{path.name})" in page


def test_the_table_of_the_readme_quotes_the_results():
    readme = cells((PROJECT_DIR / "README.md").read_text("utf-8"))
    text = (RESULTS / "networks.md").read_text("utf-8")
    table, _ = text.split("\n| mass, fall, random |")  # not those by seed
    results = cells(table)
    quoted = [name for name in readme if name in results and name != "network"]
    assert len(quoted) >= 4
    for name in quoted:
        accuracy, mass, _, attended, random = results[name]
        for cell, full in zip(readme[name], (accuracy, mass, attended, random), strict=True):
            if cell == "–":  # equal weights have no highest one
                continue
            numbers = [re.findall(r"-?[\d.]+", part) for part in (cell, full)]
            assert len(numbers[0]) == len(numbers[1]) == 2
            for short, long in zip(*numbers):
                digits = len(short.partition(".")[2])
                assert abs(float(short) - float(long)) <= 0.5001 * 10**-digits, (name, cell, full)


# ---------------------------------------------------------------- what experiments are made of


def test_integrated_gradients_add_up_to_the_change_of_the_logit():
    torch.manual_seed(0)
    model = AttentionClassifier("ab", (60, 1), **load_config()["model"] | {"patch_length": 5}).eval()
    tokens, baselines = torch.randn(3, 12, 10), torch.randn(3, 12, 10)
    values = explanations.integrated_gradients(model, tokens, baselines[None])
    with torch.no_grad():
        change = model.classify(tokens)[0][:, 1] - model.classify(baselines)[0][:, 1]
    torch.testing.assert_close(values.sum(dim=(1, 2)), change, rtol=0.01, atol=0.001)


def test_own_unit_leaks_an_event_into_all_tokens_and_the_default_does_not():
    settings = load_config()["model"]
    wave = np.sin(np.linspace(0, 20, 500))
    flat = np.where(np.arange(500) > 300, wave[300], wave)
    pair = torch.from_numpy(np.stack([wave, flat]))[:, :, None]
    for network, leaks in ((AttentionClassifier, False), (zoo.OwnUnit, True)):
        model = network("ab", (500, 1), **settings | {"standardize": "none"})
        first, other = model.tokenize(pair)[:, :20]  # long before the segment
        assert (first - other).abs().max().item() > 0.01 if leaks else torch.equal(first, other)


@pytest.mark.parametrize("network", [zoo.Transformer, zoo.LastState])
def test_networks_of_the_zoo_are_classifiers(network):
    model = network("abc", (60, 2), **load_config()["model"] | {"patch_length": 5})
    probability, attention = model.predict(np.random.default_rng(0).normal(size=(4, 60, 2)))
    assert probability.shape == (4, 3) and attention.shape == (4, 60)
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_the_smallest_rolling_variance_is_that_of_numpy():
    series = np.random.default_rng(0).normal(size=(3, 40))
    windows = np.lib.stride_tricks.sliding_window_view(series, 7, axis=1)
    np.testing.assert_allclose(rules.rolling_variance(series, 7), windows.var(axis=2), atol=1e-9)


@pytest.mark.parametrize(
    "make", [kinds.bumps, kinds.chirps, kinds.beats], ids=lambda make: make.__name__
)
def test_a_kind_has_its_event_where_the_mask_is(make):
    series, labels, mask, *_ = make(np.random.default_rng(0))
    assert np.array_equal(mask.any(axis=1), np.asarray(labels) == np.max(labels))
    squares = np.where(mask, series, np.nan) ** 2
    assert series.shape == mask.shape == (300, series.shape[1])
    assert np.nanmean(squares[mask.any(axis=1)]) != pytest.approx(np.mean(series[~mask] ** 2), rel=0.2)
