"""How well does the network classify, and what is its attention worth? python evaluate.py"""

import json

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn import metrics as sk

from constants import CHECKPOINT_NAME, METRICS_NAME
from data import make_splits, test_split_of
from data_utils import UserError, make_parser, override_config, run_script, write_file
from model import load_checkpoint, one_thread


def evaluate(model, split):
    """All metrics of a network on a split, as a dict; without flat_mask, nothing on plausibility."""
    probability, attention = model.predict(split.series)
    predicted, names = probability.argmax(axis=1), [str(name) for name in model.classes]
    metrics = classification_metrics(names, split.labels, probability)
    falls = [exchange(model, split.series, predicted, k) for k in range(len(names))]
    metrics["exchange"] = dict(zip(names, falls))
    if split.flat_mask is None:
        return metrics
    rows = split.flat_mask.any(axis=1) & ~split.flat_mask.all(axis=1)  # with marked steps, and others
    metrics["marked"] = {name: int(rows[split.labels == k].sum()) for k, name in enumerate(names)}
    if rows.any():
        attention, flat_mask = attention[rows], split.flat_mask[rows]
        # Blind attention never looks at a series, but knows where the events of this split tend to be.
        blind = flat_mask.mean(axis=0)
        blind = np.tile(blind / blind.sum(), (len(flat_mask), 1))
        metrics["attention"] = attention_metrics(attention, flat_mask)
        metrics["blind_attention"] = attention_metrics(blind, flat_mask)
    return metrics


def classification_metrics(names, labels, probability):
    """Scores of the probabilities (N, K) of the K classes against the labels (N,)."""
    predicted = probability.argmax(axis=1)
    options = {"labels": range(len(names)), "zero_division": np.nan}
    report = sk.classification_report(labels, predicted, output_dict=True, **options)
    by_class = {name: report[str(k)] for k, name in enumerate(names)}
    metrics = {
        # scikit-learn counts the series in floats.
        "classes": {name: row | {"support": int(row["support"])} for name, row in by_class.items()},
        "confusion_matrix": sk.confusion_matrix(labels, predicted, labels=options["labels"]).tolist(),
        "accuracy": sk.accuracy_score(labels, predicted),
    }
    if len(names) == 2 and len(np.unique(labels)) == 2:
        metrics["roc_auc"] = sk.roc_auc_score(labels, probability[:, 1])
    return metrics


def attention_metrics(attention, flat_mask):
    """Is it plausible? How far the attention (N, T) lies on the marked steps, flat_mask, bool (N, T).

    Each series has marked steps and others. Means over the series: `mass`, the attention on marked steps
    (Arras et al. 2022); `pointing`, whether the largest weight lies on one (Zhang et al. 2018; steps that
    share it count in proportion); `auc`, how often a marked step outweighs another one, ties count half.
    """
    largest = attention == attention.max(axis=1, keepdims=True)
    marked, others = flat_mask.sum(axis=1), (~flat_mask).sum(axis=1)
    ranks = (rankdata(attention, axis=1) * flat_mask).sum(axis=1)
    wins = ranks - marked * (marked + 1) / 2  # Mann & Whitney's U: pairs that the marked step wins
    return {
        "mass": float((attention * flat_mask).sum(axis=1).mean()),
        "pointing": float(((largest & flat_mask).sum(axis=1) / largest.sum(axis=1)).mean()),
        "auc": float((wins / (marked * others)).mean()),
    }


EXCHANGED_SERIES = 200  # of each class, at most
DONORS = 4  # for each of them, the number of replacements that are tried


@one_thread()
@torch.inference_mode()
def exchange(model, series, predicted, label):
    """Is it faithful? How far a prediction falls if the most attended tokens are exchanged, or random ones.

    Takes the series (N, T, C) that are predicted (N,) as the class `label`. In each, the tenth of its
    tokens with the most attention, at least one, is replaced by the tokens at the same places of a series
    that is predicted as another class. Returns the mean fall of the log-odds, {"attended", "random"}; None
    if no series, or every one, is predicted as this class. It is comprehensiveness (DeYoung et al. 2020).
    """
    rng = np.random.default_rng(0)
    others = np.flatnonzero(predicted != label)
    rows = np.flatnonzero(predicted == label)[:EXCHANGED_SERIES].repeat(DONORS)
    if len(rows) == 0 or len(others) == 0:
        return None
    chosen = series[rows], series[rng.choice(others, len(rows))]
    tokens, donors = (model.tokenize(torch.from_numpy(part)) for part in chosen)  # (n, P, F) each
    logits, weights = model.classify(tokens)  # (n, K), (n, P)
    chance = torch.from_numpy(rng.random(weights.shape))
    falls = {}
    orders = {"attended": weights + 1e-12 * chance, "random": chance}  # ties by chance
    for kind, order in orders.items():
        exchanged = highest_tenth(order).unsqueeze(2)
        mixed_logits, _ = model.classify(torch.where(exchanged, donors, tokens))
        falls[kind] = (log_odds(logits, label) - log_odds(mixed_logits, label)).mean().item()
    return falls


def highest_tenth(order):
    """True at the tenth of the places, at least one, where order (B, P) is highest: bool (B, P)."""
    places = order.topk(max(1, order.shape[1] // 10)).indices
    return torch.zeros_like(order, dtype=torch.bool).scatter(1, places, True)


def log_odds(logits, label):
    """log(p / (1 - p)) for the probability p of the class `label`, by logits (B, K)."""
    others = [other for other in range(logits.shape[1]) if other != label]
    return logits[:, label] - logits[:, others].logsumexp(dim=1)


def print_report(metrics):
    """Print all that `evaluate` measured."""
    print_rows("class", metrics["classes"])
    if min(row["support"] for row in metrics["classes"].values()) < 10:
        print("fewer than ten series of a class: these numbers are luck")
    print()
    for name, value in metrics.items():  # single numbers, and the confusion matrix
        if not isinstance(value, dict):
            print(f"{name:18}{value:.4f}" if np.isscalar(value) else f"{name:18}{value}")
    if "attention" in metrics:
        marked = ", ".join(f"{count} {name}" for name, count in metrics["marked"].items())
        print(
            f"\nPlausible: is the attention on the marked steps? Series with such steps, and others: {marked}"
        )
        blind = metrics["blind_attention"]
        both = {name: {"network": v, "blind": blind[name]} for name, v in metrics["attention"].items()}
        print_rows("attention", both)
    print("\nFaithful: how far do the log-odds fall when tokens are exchanged?")
    print_rows("predicted", metrics["exchange"])


def print_rows(title, rows):
    """A table of {name: {column: number}}; a row without numbers is None."""
    columns = next((row for row in rows.values() if row), {})
    print(f"{title:18}" + "".join(f"{column:>11}" for column in columns))
    for name, row in rows.items():
        values = (row or {}).values()
        cells = [f"{v:11}" if isinstance(v, int) else f"{v:11.4f}" for v in values]
        print(f"{name:18}" + ("".join(cells) or "  nothing to exchange with"))


def main():
    parser = make_parser("Evaluate the trained network on test series.")
    options = {"action": "append", "default": [], "metavar": "data.KEY=VALUE"}
    parser.add_argument("--set", **options, help="other data; may be repeated")
    args = parser.parse_args()
    model, run = load_checkpoint(args.artifacts / CHECKPOINT_NAME)
    test = test_split_of(run)
    if args.set:
        other = override_config({"data": run["data"]}, args.set)["data"]
        # The same seed could draw the training waves of the run again, and put them into the test.
        if other["seed"] == run["data"]["seed"]:
            raise UserError("other data need another seed, as in --set data.seed=1")
        test = make_splits(other).test
    print(f"tested on {len(test.labels)} generated sine waves\n")
    metrics = evaluate(model, test)
    print_report(metrics)
    if not args.set:  # metrics.json always speaks of the run's own data
        path = args.artifacts / METRICS_NAME
        write_file(path, lambda temporary: temporary.write_text(json.dumps(metrics, indent=2) + "\n"))
        print(f"\nthese numbers are in {path}")


if __name__ == "__main__":
    run_script(main)
