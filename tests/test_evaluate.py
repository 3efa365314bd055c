import re

import matplotlib
import numpy as np
import pytest
import torch
from helpers import QUARTERS, make_model, three_slopes
from sklearn.metrics import roc_auc_score

from data import LabelledSeries, split_series
from data_utils import load_config
from evaluate import attention_metrics, classification_metrics, evaluate, exchange, print_report
from plot_attention import plot_attention
from train import train

matplotlib.use("agg")


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
    metrics = classification_metrics(["a", "b", "c"], labels, np.eye(3)[predicted])
    assert metrics["confusion_matrix"] == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["classes"]["a"]["f1-score"] == pytest.approx(6 / 8) and "roc_auc" not in metrics
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


def test_masks_that_mark_all_or_no_steps_are_counted_apart_and_blind_attention_by_hand():
    model = make_model((4, 1), patch_length=2, hidden_size=2)
    mask = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0]], dtype=bool)
    split = LabelledSeries(np.random.default_rng(0).normal(size=(4, 4, 1)), np.array([0, 0, 1, 1]), mask)
    metrics = evaluate(model, split)
    assert metrics["marked"] == {"normal": 1, "anomalous": 2}
    _, attention = model.predict(split.series)
    mass = (attention[2, :2].sum() + attention[3, 1:3].sum()) / 2
    assert metrics["attention"]["mass"] == pytest.approx(mass)
    # Blind: 1, 2, 1, 0 fourths. The step 1 is marked in both; a tie of 0 and 2 in the one or the other.
    blind = {"mass": 3 / 4, "pointing": 1, "auc": ((1 + 1 + 0.5 + 1) / 4 + (1 + 1 + 0.5 + 1) / 4) / 2}
    assert metrics["blind_attention"] == pytest.approx(blind)
    for flat_mask in (mask[[0, 1, 0, 1]], None):
        assert (
            not {"attention", "blind_attention"}
            & evaluate(model, split._replace(flat_mask=flat_mask)).keys()
        )


def slow_exchange(model, series, predicted, label, donors):
    """The fall for the most attended tokens, one series and one donor at a time."""
    falls = []
    for row, donor in zip(np.flatnonzero(predicted == label).repeat(4), donors):
        one, other = (model.tokenize(torch.tensor(series[[index]])) for index in (row, donor))
        logits, weights = model.classify(one)
        mixed = one.clone()
        for place in weights[0].argsort(descending=True)[: weights.shape[1] // 10]:
            mixed[0, place] = other[0, place]
        p, q = (each[0].softmax(dim=0)[label].item() for each in (logits, model.classify(mixed)[0]))
        falls.append(np.log(p / (1 - p)) - np.log(q / (1 - q)))
    return np.mean(falls)


@torch.no_grad()
def test_exchange_equals_an_independent_slow_loop():
    model = make_model((60, 1), "abc", patch_length=3, hidden_size=3)
    series = np.random.default_rng(0).normal(size=(12, 60, 1))
    predicted = np.arange(12) % 3
    for label in range(3):
        # With a single series of another class, the drawn donors are known.
        keep = (predicted == label) | (np.arange(12) == (label + 1) % 3)
        donor = np.flatnonzero(np.flatnonzero(keep) == (label + 1) % 3)[0]
        expected = slow_exchange(model, series[keep], predicted[keep], label, [donor] * 16)
        falls = exchange(model, series[keep], predicted[keep], label)
        assert falls["attended"] == pytest.approx(expected, abs=1e-5) and abs(expected) > 1e-3
        assert falls["random"] != pytest.approx(expected, abs=1e-5)
    assert exchange(model, series, predicted * 0, 0) is exchange(model, series, predicted * 0, 2) is None


def test_equal_weights_fall_as_random_tokens_do():
    model = make_model((60, 1), patch_length=3, attention=False)
    series, predicted = np.random.default_rng(0).normal(size=(40, 60, 1)), np.arange(40) % 2
    falls = exchange(model, series, predicted, 0)
    assert falls["attended"] == pytest.approx(falls["random"]) and abs(falls["random"]) > 1e-3


def test_three_classes_from_series_to_report_and_picture(capsys):
    series, names = three_slopes()
    sizes = ["model.patch_length=2", "training.batch_size=8", "training.max_epochs=5"]
    config = load_config(overrides=sizes)
    splits = split_series(series, names, np.arange(20) > series[:, :1] + 9, QUARTERS)
    model, _ = train(config, splits)
    metrics = evaluate(model, splits.test)
    assert metrics["accuracy"] == 1 and metrics["confusion_matrix"] == (15 * np.eye(3)).tolist()
    capsys.readouterr()
    print_report(metrics)
    out = capsys.readouterr().out
    for name in ("constant", "falling", "rising"):
        fall = metrics["exchange"][name]
        assert re.search(rf"{name} +1.0000 +1.0000 +1.0000 +15\n", out)
        assert re.search(rf"{name} +{fall['attended']:.4f} +{fall['random']:.4f}\n", out)
    mass, blind = metrics["attention"]["mass"], metrics["blind_attention"]["mass"]
    assert re.search(rf"mass +{mass:.4f} +{blind:.4f}\n", out) and "15 rising" in out
    rows = [np.flatnonzero(splits.test.labels == label)[0] for label in range(3)]
    figure = plot_attention(model, splits.test, rows, event="later part")
    titles = [axis.get_title() for axis in figure.axes[:3]]
    for row, name, title in zip(rows, splits.classes, titles):
        assert title.startswith(f"series {row}, truly {name}\npredicted {name}, p = ")
    assert "later part" in [text.get_text() for text in figure.legends[0].get_texts()]
