"""How well the trained model classifies, and whether it looks at the flat segment: python evaluate.py"""

import numpy as np
from sklearn import metrics as sk

from constants import CHECKPOINT_NAME, LABEL_NAMES, METRICS_NAME
from data import check_mask, generated_test_split
from data_utils import UserError, check_labels, make_parser, override_config, run_script, save_json
from model import load_checkpoint


def predicted_labels(probability):
    """Labels (N,) by the probabilities, (N,) of being anomalous or (N, K) of each class."""
    return probability.argmax(axis=1) if probability.ndim == 2 else probability > 0.5


def count_classes(probability):
    """Of probabilities (N,): two; of (N, K): K."""
    return 2 if probability.ndim == 1 else probability.shape[1]


def classification_metrics(labels, probability):
    """Scores of the probabilities, (N,) of being anomalous or (N, K), against the labels (N,)."""
    predicted = predicted_labels(probability)
    classes = np.arange(count_classes(probability))
    metrics = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "confusion_matrix": sk.confusion_matrix(labels, predicted, labels=classes).tolist(),
    }
    if probability.ndim == 2:
        every = {"labels": classes, "zero_division": np.nan}  # NaN for a class that no label has
        return metrics | {
            "recall": sk.recall_score(labels, predicted, average=None, **every).tolist(),
            "macro_f1": sk.f1_score(labels, predicted, average="macro", **every),
        }
    return metrics | {
        "precision": sk.precision_score(labels, predicted, zero_division=0),
        "recall": sk.recall_score(labels, predicted, zero_division=0),
        "f1": sk.f1_score(labels, predicted, zero_division=0),
        "roc_auc": sk.roc_auc_score(labels, probability),
    }


def attention_metrics(attention, flat_mask):
    """Does the attention (N, T) lie on the flat steps, where flat_mask, bool (N, T), is True?

    Means over the series: `mass`, the attention on flat steps; `pointing`, whether the largest weight
    lies on one (Zhang et al. 2018; steps that share it count in proportion); `auc`, the ROC AUC of the
    weights against the mask. UserError: a series without flat steps, or without others.
    """
    flat_mask = np.asarray(flat_mask, dtype=bool)
    if not flat_mask.any(axis=1).all() or flat_mask.all(axis=1).any():
        raise UserError("attention is measured on series with flat and other steps: pass no normal ones")
    largest = attention == attention.max(axis=1, keepdims=True)
    return {
        "mass": float((attention * flat_mask).sum(axis=1).mean()),
        "pointing": float(((largest & flat_mask).sum(axis=1) / largest.sum(axis=1)).mean()),
        "auc": float(np.mean([step_auc(*row) for row in zip(attention, flat_mask)])),
    }


def step_auc(weights, flat):
    """ROC AUC within one series (T,): how often a flat step outweighs another one; ties count half.

    It is scikit-learn's `roc_auc_score`, without the checks that take most of its time here.
    """
    flat_weights = weights[flat][:, np.newaxis]  # a column: each is compared with all of the others
    others = weights[~flat]
    return (np.mean(flat_weights > others) + np.mean(flat_weights >= others)) / 2


def evaluate(test, probability, attention):
    """All metrics of the predictions for a split: of the attention only where flat_mask is known.

    The attention is measured on the anomalous series; of more classes, on those with a marked step.
    UserError: labels or a mask that do not fit, or not two classes in the split.
    """
    classes = count_classes(probability)
    labels = check_labels(test.labels, len(probability), classes)
    if labels.min() == labels.max():
        raise UserError(f"all {len(labels)} series have the label {labels[0]}: nothing to tell apart")
    metrics = classification_metrics(labels, probability)
    flat_mask = check_mask(test.flat_mask, labels, attention.shape[1], classes)
    if flat_mask is None or not flat_mask.any():
        return metrics
    if not np.allclose(attention.sum(axis=1), 1, atol=1e-3):
        raise UserError("attention must be weights whose sum is 1 in each series")
    marked = flat_mask.any(axis=1)
    flat_mask, attention = flat_mask[marked], attention[marked]
    uniform = np.full(flat_mask.shape, 1 / flat_mask.shape[1])
    return metrics | {
        "attention": attention_metrics(attention, flat_mask),
        "uniform_attention": attention_metrics(uniform, flat_mask),
    }


def print_report(test, probability, metrics):
    """Print scikit-learn's report, then all that was measured."""
    names = LABEL_NAMES if probability.ndim == 1 else None  # None: the numbers of the classes
    predicted = predicted_labels(probability)
    print(sk.classification_report(test.labels, predicted, target_names=names, zero_division=0))
    for name, value in metrics.items():
        if not isinstance(value, dict):
            print(f"{name:18}{value:.4f}" if np.isscalar(value) else f"{name:18}{value}")
    if "attention" in metrics:
        print(f"\n{'attention':18}{'this model':>10}{'uniform':>10}")
        for name, value in metrics["attention"].items():
            print(f"{name:18}{value:10.4f}{metrics['uniform_attention'][name]:10.4f}")


def main():
    args = make_parser("Evaluate the trained model on test series.", overrides=True).parse_args()
    model, config = load_checkpoint(args.artifacts / CHECKPOINT_NAME)
    if not all(override.startswith("data.") for override in args.set):
        raise UserError("--set can only change settings of the data here: the model is trained already")
    other = override_config(config, args.set)
    # With the seed of the run, other data may hold waves of its training, split in another way.
    if other != config and other["data"]["seed"] == config["data"]["seed"]:
        raise UserError("other data need another seed, as in --set data.seed=1")
    test = generated_test_split(other, args.artifacts)
    print(f"tested on {len(test.labels)} generated sine waves\n")
    probability, attention = model.predict(test.series)
    metrics = evaluate(test, probability, attention)
    print_report(test, probability, metrics)
    if other == config:  # metrics.json always speaks of the run's own data
        save_json(args.artifacts / METRICS_NAME, metrics | {"data": config["data"]})
        print(f"\nthese numbers are in {args.artifacts / METRICS_NAME}")


if __name__ == "__main__":
    run_script(main)
