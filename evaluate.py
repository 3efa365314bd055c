"""How well the trained model classifies, and whether it looks at the flat segment: python evaluate.py"""

import numpy as np
from sklearn import metrics as sk

from constants import ANOMALOUS, CHECKPOINT_NAME, LABEL_NAMES, METRICS_NAME
from data import make_splits
from data_utils import UserError, check_labels, make_parser, override_config, run_script, save_json
from model import load_checkpoint


def classification_metrics(labels, probability):
    """Scores of the probabilities (N,) of being anomalous against the labels (N,)."""
    predicted = probability > 0.5
    return {
        "accuracy": sk.accuracy_score(labels, predicted),
        "precision": sk.precision_score(labels, predicted, zero_division=0),
        "recall": sk.recall_score(labels, predicted, zero_division=0),
        "f1": sk.f1_score(labels, predicted, zero_division=0),
        "roc_auc": sk.roc_auc_score(labels, probability),
        "confusion_matrix": sk.confusion_matrix(labels, predicted).tolist(),
    }


def attention_metrics(attention, flat_mask):
    """Does the attention (N, T) lie on the flat steps, where flat_mask, bool (N, T), is True?

    Means over the series: `mass`, the attention on flat steps; `pointing`, whether the largest weight
    lies on one (Zhang et al. 2018; steps that share it count in proportion); `auc`, the ROC AUC of the
    weights against the mask. Each series needs flat and other steps.
    """
    largest = attention == attention.max(axis=1, keepdims=True)
    return {
        "mass": float((attention * flat_mask).sum(axis=1).mean()),
        "pointing": float(((largest & flat_mask).sum(axis=1) / largest.sum(axis=1)).mean()),
        "auc": float(np.mean([step_auc(*row) for row in zip(attention, flat_mask)])),
    }


def step_auc(weights, flat):
    """ROC AUC within one series (T,): how often a flat step outweighs a non-flat one, ties count half.

    It is scikit-learn's `roc_auc_score`, without the checks that take most of its time here. A flat step
    that outweighs 3 of 4 others, and ties with none, counts 3/4: (3 + 3) / (2 * 4).
    """
    others = np.sort(weights[~flat])
    lower = np.searchsorted(others, weights[flat], side="left")
    lower_or_equal = np.searchsorted(others, weights[flat], side="right")
    return (lower + lower_or_equal).mean() / (2 * len(others))


def evaluate(test, probability, attention):
    """All metrics of the predictions for a split: of the attention only where flat_mask is known."""
    labels = check_labels(test.labels, len(probability))
    metrics = classification_metrics(labels, probability)
    if test.flat_mask is None:
        return metrics
    flat_mask = np.asarray(test.flat_mask, dtype=bool)[labels == ANOMALOUS]
    uniform = np.full(flat_mask.shape, 1 / flat_mask.shape[1])
    return metrics | {
        "attention": attention_metrics(attention[labels == ANOMALOUS], flat_mask),
        "uniform_attention": attention_metrics(uniform, flat_mask),
    }


def print_report(test, probability, metrics):
    """Print scikit-learn's report, then all that was measured."""
    predicted = probability > 0.5
    print(sk.classification_report(test.labels, predicted, target_names=LABEL_NAMES, zero_division=0))
    for name, value in metrics.items():
        if not isinstance(value, dict):
            print(f"{name:18}{value:.4f}" if np.isscalar(value) else f"{name:18}{value}")
    print(f"\n{'attention':18}{'this model':>10}{'uniform':>10}")
    for name, value in metrics.get("attention", {}).items():
        print(f"{name:18}{value:10.4f}{metrics['uniform_attention'][name]:10.4f}")


def main():
    args = make_parser("Evaluate the trained model on test series.", overrides=True).parse_args()
    model, config = load_checkpoint(args.artifacts / CHECKPOINT_NAME)
    if not all(override.startswith("data.") for override in args.set):
        raise UserError("--set can only change settings of the data here: the model is trained already")
    data_config = override_config(config, args.set)["data"]
    is_own = data_config == config["data"]
    # With the same seed and, say, another test_fraction, series of the training would be tested.
    if not is_own and data_config["seed"] == config["data"]["seed"]:
        raise UserError("other data need another seed, as in --set data.seed=1")
    test = make_splits(data_config).test
    print(f"tested on {len(test.labels)} generated sine waves\n")
    probability, attention = model.predict(test.series)
    metrics = evaluate(test, probability, attention)
    print_report(test, probability, metrics)
    if is_own:
        save_json(args.artifacts / METRICS_NAME, metrics | {"data": data_config})
        print(f"\nthese numbers are in {args.artifacts / METRICS_NAME}")


if __name__ == "__main__":
    run_script(main)
