import re

import numpy as np
import pytest
import torch
from helpers import QUARTERS, make_model
from sklearn.metrics import roc_auc_score

from data import LabelledSeries, split_series
from data_utils import load_config
from evaluate import attention_metrics, classification_metrics, evaluate, exchange, print_report
from plot_attention import plot_attention
from train import train


def test_classification_metrics_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    second = np.array([0.1, 0.2, 0.6, 0.9, 0.8, 0.7, 0.55, 0.3])
    metrics = classification_metrics(["a", "b"], labels, np.column_stack([1 - second, second]))
    assert metrics["confusion_matrix"] == [[2, 1], [1, 4]] and metrics["accuracy"] == 6 / 8
    expected = {"precision": 4 / 5, "recall": 4 / 5, "f1-score": 4 / 5, "support": 5}
    assert metrics["classes"]["b"] == pytest.approx(expected)
    # Of 15 pairs two are in the wrong order: (0.6, 0.55) and (0.6, 0.3).
    assert metrics["roc_auc"] == pytest.approx(13 / 15)
    labels, predicted = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1, 0])
    metrics = classification_metrics(["accuracy", "b", "c"], labels, np.eye(3)[predicted])
    assert metrics["confusion_matrix"] == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["classes"]["accuracy"]["f1-score"] == 6 / 8 and "roc_auc" not in metrics
    assert np.isnan(metrics["classes"]["c"]["recall"]) and metrics["classes"]["c"]["support"] == 0


def test_attention_metrics_worked_out_by_hand():
    attention = np.array([[0.1, 0.6, 0.2, 0.1], [0.5, 0.2, 0.2, 0.1], [0.4, 0.4, 0.1, 0.1]])
    mask = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 1]], dtype=bool)
    metrics = attention_metrics(attention, mask)
    # In the third series, a marked step and another one share the largest weight.
    assert metrics["mass"] == pytest.approx((0.8 + 0.4 + 0.6) / 3)
    assert metrics["pointing"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert metrics["auc"] == pytest.approx((1 + 0.5 + 0.5 / 3) / 3)
    rng = np.random.default_rng(0)
    for levels in (2, 5, 10_000):  # with many ties, and with none
        weights, mask = rng.integers(levels, size=(9, 60)) / levels, rng.random((9, 60)) < 0.3
        expected = np.mean([roc_auc_score(*pair) for pair in zip(mask, weights)])
        assert attention_metrics(weights, mask)["auc"] == pytest.approx(expected)


def test_masks_that_mark_all_or_no_steps_do_not_count_and_blind_attention_by_hand():
    model = make_model((4, 1), patch_length=2, hidden_size=2)
    mask = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0]], dtype=bool)
    split = LabelledSeries(np.random.default_rng(0).normal(size=(4, 4, 1)), np.array([0, 0, 1, 1]), mask)
    metrics = evaluate(model, split)
    assert metrics["marked"] == {"normal": 0, "anomalous": 2}
    _, attention = model.predict(split.series)
    mass = (attention[2, :2].sum() + attention[3, 1:3].sum()) / 2
    assert metrics["attention"]["mass"] == pytest.approx(mass)
    # Blind: 1, 2, 1, 0 fourths. The step 1 is marked in both; a tie of 0 and 2 in the one or the other.
    blind = {"mass": 3 / 4, "pointing": 1, "auc": ((1 + 1 + 0.5 + 1) / 4 + (1 + 1 + 0.5 + 1) / 4) / 2}
    assert metrics["blind_attention"] == pytest.approx(blind)
    for flat_mask in (mask[[0, 1, 0, 1]], None):
        metrics = evaluate(model, split._replace(flat_mask=flat_mask))
        assert not metrics.keys() & {"attention", "blind_attention"}


class OneToken:
    """Twenty tokens: x, the value of the token 7, has all attention, and 0, x and 2x are the logits."""

    def tokenize(self, series):
        return series

    def classify(self, tokens):
        return tokens[:, 7] * torch.arange(3), torch.eye(20)[[7] * len(tokens)]


def test_exchange_of_the_one_token_that_counts():
    predicted, series = np.arange(400) % 2 * 2, np.random.default_rng(0).normal(size=(400, 20, 1))
    series[:, 7, 0] = np.where(predicted == 0, -1.5, 1)
    first = lambda x: -np.log(np.exp(x) + np.exp(2 * x))  # log-odds: log(p / (1 - p))
    last = lambda x: np.log(np.exp(2 * x) / (1 + np.exp(x)))
    for label, fall in {0: first(-1.5) - first(1), 2: last(1) - last(-1.5)}.items():
        falls = exchange(OneToken(), series, predicted, label)
        assert falls["attended"] == pytest.approx(fall)
        assert falls["random"] == pytest.approx(fall * 2 / 20, abs=fall * 0.03)  # two are exchanged
    assert exchange(OneToken(), series, predicted, 1) is None  # none is predicted as this class
    assert exchange(OneToken(), series, predicted * 0, 0) is None  # or every one


def test_equal_weights_fall_as_random_tokens_do():
    model = make_model((60, 1), patch_length=3, attention=False)
    series, predicted = np.random.default_rng(0).normal(size=(40, 60, 1)), np.arange(40) % 2
    falls = exchange(model, series, predicted, 0)
    assert falls["attended"] == pytest.approx(falls["random"]) and abs(falls["random"]) > 1e-3


def test_three_classes_from_series_to_report_and_picture(capsys):
    names = np.repeat(["constant", "falling", "rising"], 60)
    slopes = np.repeat([0.0, -1, 1], 60)[:, None] * np.arange(20)
    series = slopes + 0.1 * np.random.default_rng(0).normal(size=(180, 20))
    sizes = ["model.patch_length=2", "training.batch_size=8", "training.max_epochs=5"]
    splits = split_series(series, names, np.arange(20) > slopes[:, :1] + 9, QUARTERS)
    model, _ = train(load_config(overrides=sizes), splits)
    metrics = evaluate(model, splits.test)
    assert metrics["accuracy"] == 1 and metrics["confusion_matrix"] == (15 * np.eye(3)).tolist()
    capsys.readouterr()
    print_report(metrics)
    print_report(metrics | {"exchange": {"falling": None}})
    out = capsys.readouterr().out
    for name in ("constant", "falling", "rising"):
        fall = metrics["exchange"][name]
        assert re.search(rf"{name} +1.0000 +1.0000 +1.0000 +15\n", out)
        assert re.search(rf"{name} +{fall['attended']:.4f} +{fall['random']:.4f}\n", out)
    mass, blind = metrics["attention"]["mass"], metrics["blind_attention"]["mass"]
    assert re.search(rf"mass +{mass:.4f} +{blind:.4f}\n", out) and "15 rising" in out
    assert out.endswith("falling             nothing to exchange with\n")
    rows = [np.flatnonzero(splits.test.labels == label)[0] for label in range(3)]
    figure = plot_attention(model, splits.test, rows, event="later part")
    for row, name, axis in zip(rows, splits.classes, figure.axes):
        assert axis.get_title().startswith(f"series {row}, truly {name}\npredicted {name}, p = ")
    assert "later part" in [text.get_text() for text in figure.legends[0].get_texts()]
