import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data import LabelledSeries
from data_utils import UserError
from evaluate import attention_metrics, classification_metrics, evaluate, print_report, step_auc


def test_classification_metrics_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    probability = np.array([0.1, 0.2, 0.6, 0.9, 0.8, 0.7, 0.55, 0.3])
    metrics = classification_metrics(labels, probability)
    # tn 2, fp 1, fn 1, tp 4
    assert metrics["confusion_matrix"] == [[2, 1], [1, 4]]
    assert metrics["accuracy"] == pytest.approx(6 / 8)
    assert metrics["precision"] == pytest.approx(4 / 5)
    assert metrics["recall"] == pytest.approx(4 / 5)
    assert metrics["f1"] == pytest.approx(4 / 5)
    # Of 15 pairs (normal, anomalous) two are in the wrong order: (0.6, 0.55) and (0.6, 0.3).
    assert metrics["roc_auc"] == pytest.approx(13 / 15)


def test_attention_metrics_worked_out_by_hand():
    attention = np.array([[0.1, 0.6, 0.2, 0.1], [0.5, 0.2, 0.2, 0.1]])
    mask = np.array([[False, True, True, False], [False, True, True, False]])
    metrics = attention_metrics(attention, mask)
    assert metrics["mass"] == pytest.approx((0.8 + 0.4) / 2)
    assert metrics["pointing"] == pytest.approx(0.5)
    # First row: flat above all others, 1. Second: flat beats 0.1 and loses to 0.5, 0.5.
    assert metrics["auc"] == pytest.approx(0.75)


def test_steps_that_share_the_largest_weight_count_in_proportion():
    metrics = attention_metrics(np.array([[0.4, 0.4, 0.1, 0.1]]), [[False, True, True, True]])
    assert metrics["pointing"] == pytest.approx(0.5)


def test_uniform_attention_scores_the_flat_share_and_one_half():
    mask = np.zeros((2, 10), dtype=bool)
    mask[0, 2:5] = mask[1, :5] = True
    metrics = attention_metrics(np.full((2, 10), 0.1), mask)
    assert [metrics[name] for name in ("mass", "pointing", "auc")] == pytest.approx([0.4, 0.4, 0.5])


def test_step_auc_is_scikit_learns_with_and_without_ties():
    rng = np.random.default_rng(0)
    for levels in (2, 5, 10_000):
        weights, flat = rng.integers(levels, size=60) / levels, rng.random(60) < 0.3
        assert step_auc(weights, flat) == pytest.approx(roc_auc_score(flat, weights))


def test_metrics_of_three_classes_worked_out_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 1, 0])
    metrics = classification_metrics(labels, np.eye(3)[predicted])
    assert metrics["confusion_matrix"] == [[3, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert metrics["accuracy"] == pytest.approx(5 / 7)
    assert metrics["recall"] == pytest.approx([3 / 4, 1, 0])
    # F1 = 2 tp / (2 tp + fp + fn): 6 / 8, 4 / 5, 0
    assert metrics["macro_f1"] == pytest.approx((6 / 8 + 4 / 5 + 0) / 3)


def test_evaluate_takes_masks_of_numbers_no_mask_and_no_other_labels():
    probability, attention = np.array([0.2, 0.9]), np.array([[0.5, 0.5, 0], [0.1, 0.6, 0.3]])
    mask = np.array([[0, 0, 0], [0, 1, 0]])
    test = LabelledSeries(None, [0, 1], mask)
    with pytest.raises(UserError, match="whose sum is 1"):
        evaluate(test, probability, attention * np.nan)
    assert attention_metrics(attention[1:], mask[1:])["auc"] == 1  # of 0 and 1, too
    with pytest.raises(UserError, match="pass no normal ones"):
        attention_metrics(attention, mask)
    metrics = evaluate(test, probability, attention)["attention"]
    assert (metrics["mass"], metrics["pointing"], metrics["auc"]) == (0.6, 1, 1)
    assert "attention" not in evaluate(test._replace(flat_mask=None), probability, attention)
    for wrong, said in (
        ({"labels": [2, 1]}, "got 1, 2"),
        ({"labels": [1, 1]}, "all 2 series have the label 1"),
        ({"labels": [1, 0]}, "none of a normal one: series 0"),
        ({"flat_mask": mask * 0}, "series 1"),
    ):
        with pytest.raises(UserError, match=said):
            evaluate(test._replace(**wrong), probability, attention)


def test_attention_of_many_classes_is_measured_on_marked_series():
    probability, attention = np.eye(3), np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    test = LabelledSeries(None, [0, 1, 2], np.array([[0, 0], [1, 0], [1, 0]]))
    assert evaluate(test, probability, attention)["attention"]["mass"] == pytest.approx(0.55)
    # Of series of two classes only, the same.
    test = LabelledSeries(None, [0, 2], np.array([[1, 0], [1, 0]]))
    metrics = evaluate(test, probability[[0, 2]], attention[[1, 2]])
    assert metrics["attention"]["mass"] == pytest.approx(0.55)
    np.testing.assert_array_equal(metrics["recall"], [1, np.nan, 1])  # by class, held or not
    assert np.shape(metrics["confusion_matrix"]) == (3, 3) and metrics["macro_f1"] == 1


def test_print_report_names_each_class(capsys):
    test = LabelledSeries(None, np.array([0, 1, 2]), None)
    probability = np.eye(3)
    print_report(test, probability, evaluate(test, probability, np.ones((3, 2)) / 2))
    out = capsys.readouterr().out
    assert "macro_f1          1.0000" in out and "recall            [1.0, 1.0, 1.0]" in out
    assert "uniform" not in out
