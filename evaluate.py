"""How well the trained model classifies, and whether it looks at the flat segment: python evaluate.py"""

import numpy as np
import torch
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from constants import ANOMALOUS, LABEL_NAMES, METRICS_NAME, NUM_THREADS
from data import make_splits
from data_utils import (
    ScriptParser,
    UserError,
    check_output,
    json_bytes,
    load_config,
    run_script,
    write_files,
)
from model import load_run


def classification_metrics(labels, probability):
    """Scores of the probabilities (N,) of being anomalous against the labels (N,)."""
    predicted = probability > 0.5
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="binary", zero_division=0
    )
    return {
        "accuracy": accuracy_score(labels, predicted),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "roc_auc": roc_auc_score(labels, probability),
        "confusion_matrix": confusion_matrix(labels, predicted).tolist(),
    }


def attention_metrics(attention, flat_mask):
    """Does the attention lie on the flat segment? Averages over anomalous series.

    Parameters
    ----------
    attention : array (N, T), each row sums to 1.
    flat_mask : bool array (N, T), each row with flat and other steps.

    Returns
    -------
    dict : `mass`, the attention on flat steps; `pointing`, whether the largest weight lies on a
        flat step (Zhang et al. 2018; steps that share the largest weight count in proportion);
        `auc`, the ROC AUC of the weights against the mask.
    """
    largest = attention == attention.max(axis=1, keepdims=True)
    return {
        "mass": float((attention * flat_mask).sum(axis=1).mean()),
        "pointing": float(((largest & flat_mask).sum(axis=1) / largest.sum(axis=1)).mean()),
        "auc": float(np.mean([step_auc(*row) for row in zip(attention, flat_mask)])),
    }


def step_auc(weights, flat):
    """ROC AUC within one series (T,): how often a flat step outweighs another one, ties half.

    As scikit-learn's `roc_auc_score`, whose checks take 30 times as long on so short a series.
    """
    others = np.sort(weights[~flat])
    lower = np.searchsorted(others, weights[flat], side="left")
    lower_or_equal = np.searchsorted(others, weights[flat], side="right")
    return (lower + lower_or_equal).mean() / (2 * len(others))


def evaluate(test, probability, attention):
    """All metrics of the predictions for a test split."""
    anomalous = test.labels == ANOMALOUS
    metrics = classification_metrics(test.labels, probability)
    metrics["attention"] = attention_metrics(attention[anomalous], test.flat_mask[anomalous])
    return metrics


def check_no_leak(trained_on, tested_on):
    """Refuse data settings whose test split can hold waves that the model was trained on.

    One seed draws the same waves: then they must also be split in the same way.
    """
    for key in ("dataset_size", "normal_ratio", "val_fraction", "test_fraction"):
        if tested_on["seed"] == trained_on["seed"] and tested_on[key] != trained_on[key]:
            raise UserError(
                f"--config: with data.seed {tested_on['seed']} as in training, data.{key} must be"
                f" {trained_on[key]} as in training, got {tested_on[key]}; or take another seed"
            )


def print_report(test, probability, metrics):
    print(
        classification_report(
            test.labels, probability > 0.5, target_names=LABEL_NAMES, digits=4, zero_division=0
        )
    )
    print("confusion matrix" + "".join(f"{'predicted ' + name:>22}" for name in LABEL_NAMES))
    for name, row in zip(LABEL_NAMES, metrics["confusion_matrix"]):
        print(f"{'truly ' + name:16}" + "".join(f"{count:22}" for count in row))
    print()
    for name in ("accuracy", "precision", "recall", "f1", "roc_auc"):
        print(f"{name:10}{metrics[name]:.4f}")
    print(f"\nattention on the flat segment, over {test.labels.sum()} anomalous series")
    print(f"{'':10}{'model':>8}{'uniform attention':>20}")
    flat_share = test.flat_mask[test.labels == ANOMALOUS].mean()
    uniform = {"mass": flat_share, "pointing": flat_share, "auc": 0.5}
    for name, value in metrics["attention"].items():
        print(f"{name:10}{value:8.4f}{uniform[name]:20.4f}")


def main():
    parser = ScriptParser("Evaluate the trained model on its test split.")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="take the test split of these data settings instead; metrics.json then speaks of that",
    )
    args = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    model, config, loaded = load_run(args.artifacts)
    check_output(args.artifacts, METRICS_NAME)
    data_config = config["data"]
    if args.config is not None:
        data_config = load_config(args.config)["data"]
        check_no_leak(config["data"], data_config)
    test = make_splits(data_config).test

    probability, attention = model.predict(test.series)
    metrics = evaluate(test, probability, attention) | {"data": data_config}
    write_files(args.artifacts, {METRICS_NAME: json_bytes(metrics)}, beside=loaded)
    print(f"test split of {args.config or 'the run'}\n")
    print_report(test, probability, metrics)
    print(f"\nthe figures are in {args.artifacts / METRICS_NAME}")


if __name__ == "__main__":
    run_script(main)
