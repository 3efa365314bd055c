"""Where does it fail? Test series at 5 % noise that are misjudged, or looked at in the wrong place."""

import numpy as np

from constants import ANOMALOUS
from data import make_splits
from data_utils import run_script
from experiments.common import measure, parse_args, print_table, save_picture, settings
from plot_attention import plot_attention
from train import train

GROUPS = ("false alarm", "miss", "found, most attention elsewhere", "found, most attention on it")


def predict_test(args, seed):
    """A test split, its predictions and, for each series, the index of its group, or -1."""
    config = settings(args, seed, "data.noise=0.05")
    splits = make_splits(config["data"])
    probability, attention = train(config, splits)[0].predict(splits.test.series)
    called, truly = probability > 0.5, splits.test.labels == ANOMALOUS
    on_it = (attention * splits.test.flat_mask).sum(axis=1) > 0.5
    conditions = [~truly & called, truly & ~called, truly & ~on_it, truly]  # the first that holds
    return splits.test, probability, attention, np.select(conditions, range(4), -1)


def length_and_height(test):
    """Of each flat segment: its steps, and its mean as a share of the largest value of the series."""
    steps = test.flat_mask.sum(axis=1)
    mean = (test.series * test.flat_mask).sum(axis=1) / steps.clip(min=1)
    return steps, np.abs(mean) / np.abs(test.series).max(axis=1)


def plot_failures(test, probability, attention, groups):
    """The worst false alarm and the worst miss, where there are any."""
    wrong = np.abs(probability - test.labels)
    chosen = [np.argmax(wrong * (groups == group)) for group in (0, 1) if np.any(groups == group)]
    series, labels, flat_mask = (part[chosen] for part in test)
    figure = plot_attention(chosen, series, probability[chosen], attention[chosen], labels, flat_mask)
    for index, axis in zip(chosen, figure.axes):
        axis.set_title(f"{GROUPS[groups[index]]}, probability of anomalous {probability[index]:.3f}")
        axis.collections[0].set_linewidth(1.5)
    return figure


def main():
    args = parse_args(__doc__, image="failures.png")
    by_seed = measure("5 % noise", args, predict_test)
    groups = np.concatenate([groups for *_, groups in by_seed])
    steps, height = map(np.concatenate, zip(*(length_and_height(test) for test, *_ in by_seed)))
    rows = []
    for group, name in enumerate(GROUPS):
        there = groups == group
        medians = ["", ""]
        if steps[there].any():
            medians = [f"{np.median(steps[there]):.0f}", f"{np.median(height[there]):.2f}"]
        rows.append([name, str(there.sum()), *medians])
    print_table(["test series of all seeds", "number", "flat steps, median", "height, median"], rows)

    misjudged = [prediction for prediction in by_seed if np.isin(prediction[-1], (0, 1)).any()]
    if misjudged:
        save_picture(args, plot_failures(*misjudged[0]))


if __name__ == "__main__":
    run_script(main)
