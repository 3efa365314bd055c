"""The pictures that only explain: some series, what the network sees, same verdict for other reasons."""

import numpy as np
import torch
from matplotlib.figure import Figure

from constants import ANOMALOUS, LABEL_NAMES, LINE_COLORS, NORMAL
from data import make_splits, shade_flat
from data_utils import run_script
from experiments.ablation import NETWORKS, SHOWN
from experiments.common import parse_args, save_picture, settings
from experiments.labelled import bumps, make_labelled_splits
from plot_attention import plot_attention
from train import train

NOISE = "data.noise=0.05"


def plot_samples(splits, per_class=2):
    """A figure with a row for each of {name: split}: its first series of each class."""
    figure = Figure(figsize=(10, 2.2 * len(splits)), layout="constrained")
    axes = figure.subplots(len(splits), 2 * per_class, sharex=True, sharey="col", squeeze=False)
    for row, (name, split) in zip(axes, splits.items()):
        shown = [np.flatnonzero(split.labels == label)[:per_class] for label in (NORMAL, ANOMALOUS)]
        for index, axis in zip(np.concatenate(shown), row):
            axis.plot(split.series[index], color=LINE_COLORS[split.labels[index]], lw=1)
            shade_flat(axis, split.flat_mask[index])
            axis.set_title(LABEL_NAMES[split.labels[index]])
        row[0].set_ylabel(f"{name}\nvalue")
    for axis in axes[-1]:
        axis.set_xlabel("time step")
    return figure


def plot_tokens(model, series, flat_mask):
    """One series as the network gets it, values and changes, and its attention per step."""
    length = model.patch_length
    tokens = model.tokenize(torch.from_numpy(series[None]))[0]  # (P, F)
    values, changes = tokens.reshape(len(series), 2).T
    attention = model.predict(series)[1][0]
    figure = Figure(figsize=(9, 6), layout="constrained")
    signal, change, below = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    signal.plot(values, color="black")
    for boundary in range(0, len(series) + 1, length):
        signal.axvline(boundary - 0.5, color="grey", lw=0.5)
    signal.set_title(f"One series, cut into {len(tokens)} tokens of {length} steps")
    signal.set_ylabel("value")
    change.plot(changes, color=LINE_COLORS[0])
    change.set_ylabel("change\n(log scale)")
    below.fill_between(np.arange(len(series)), attention, step="mid", color=LINE_COLORS[0])
    below.axhline(1 / len(series), color="black", ls=":", label="uniform attention")
    below.set(ylabel="attention", xlabel="time step")
    below.legend(loc="upper right")
    for axis in (signal, change, below):
        shade_flat(axis, flat_mask)
    return figure


def plot_reasons(models, test):
    """The attention of two networks over the first series whose flat segment runs to its end."""
    row = np.flatnonzero(test.flat_mask[:, -1])[0]
    series, flat_mask = test.series[row], test.flat_mask[row]
    predictions = [model.predict(series) for model in models.values()]
    probability, attention = map(np.concatenate, zip(*predictions))
    truth = [ANOMALOUS] * 2, np.tile(flat_mask, (2, 1))
    figure = plot_attention(list(models), np.tile(series, (2, 1)), probability, attention, *truth)
    for name, value, axis in zip(models, probability, figure.axes):
        axis.set_title(f"{name}\nprobability of anomalous {value:.3f}")
    return figure


def plot_bump(args):
    """A series of each class of the labelled example, with the attention over it."""
    config, splits = make_labelled_splits(args, 0, bumps)
    rows = [np.flatnonzero(splits.test.labels == label)[0] for label in (NORMAL, ANOMALOUS)]
    series, labels, mask = (part[rows] for part in splits.test)
    model, _ = train(config, splits)
    return plot_attention(rows, series, *model.predict(series), labels, mask, event="bump")


def main():
    args = parse_args(__doc__, image="reasons.png")
    config = settings(args, 0)
    splits, noisy = make_splits(config["data"]), make_splits(settings(args, 0, NOISE)["data"])
    default, _ = train(config, splits)
    network, *overrides = NETWORKS["... short memory"]
    misled, _ = train(settings(args, 0, *overrides), splits, network=network)
    shown = splits.test.series[SHOWN], splits.test.flat_mask[SHOWN]
    figures = {
        "reasons": plot_reasons({"our network": default, "another network": misled}, splits.test),
        "tokens": plot_tokens(default, *shown),
        "bump": plot_bump(args),
        "samples": plot_samples({"no noise": splits.train, "5 % noise": noisy.train}),
    }
    for name, figure in figures.items():
        args.output = args.output.with_stem(name)
        save_picture(args, figure)


if __name__ == "__main__":
    run_script(main)
