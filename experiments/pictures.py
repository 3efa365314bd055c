"""The pictures that only explain: some series, what the network sees, same verdict for other reasons."""

import numpy as np
import torch
from matplotlib.figure import Figure

from constants import ANOMALOUS, LINE_COLORS
from data import make_splits, plot_samples, shade_flat
from data_utils import run_script
from experiments.ablation import SHOWN
from experiments.common import parse_args, save_picture, settings
from plot_attention import plot_attention
from train import train

NOISE = "data.noise=0.05"


def plot_tokens(model, series, flat_mask):
    """One series as the network gets it: values, differences, roughness; and its attention weights."""
    length = model.patch_length
    tokens = model.tokenize(torch.from_numpy(series[None]))[0]  # (P, F)
    values, differences = tokens[:, :length].flatten(), tokens[:, length : 2 * length].flatten()
    weights = model.predict(series)[1][0, ::length] * length
    middle_steps = np.arange(length / 2, len(series), length)
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    signal, change, rough, below = figure.subplots(4, 1, sharex=True, height_ratios=(3, 2, 2, 2))
    signal.plot(values, color="black")
    for boundary in range(0, len(series) + 1, length):
        signal.axvline(boundary - 0.5, color="grey", lw=0.5)
    signal.set_title(f"One series, cut into {len(weights)} tokens of {length} steps")
    signal.set_ylabel("value")
    change.plot(differences, color=LINE_COLORS[0])
    change.set_ylabel("differences")
    for column, marker, label in ((-2, "o", "over 1 step"), (-1, "x", f"over {length} steps")):
        rough.plot(middle_steps, tokens[:, column], marker, ms=4, label=label)
    rough.set(ylabel="roughness", ylim=(-0.1, 2.3))
    rough.legend(loc="upper right", ncols=2)
    below.bar(middle_steps, weights, width=0.8 * length, color=LINE_COLORS[0])
    below.set(ylabel="attention weights", xlabel="time step")
    for axis in (signal, change, rough, below):
        shade_flat(axis, flat_mask)
    return figure


def plot_reasons(models, series, flat_mask):
    """The attention of two networks over the same series."""
    predictions = [model.predict(series) for model in models.values()]
    probability, attention = map(np.concatenate, zip(*predictions))
    truth = [ANOMALOUS] * 2, np.tile(flat_mask, (2, 1))
    figure = plot_attention(list(models), np.tile(series, (2, 1)), probability, attention, *truth)
    for name, value, axis in zip(models, probability, figure.axes):
        axis.set_title(f"{name}\nprobability of anomalous {value:.3f}")
    return figure


def main():
    args = parse_args(__doc__, image="reasons.png")
    config = settings(args, 0)
    splits, noisy = make_splits(config["data"]), make_splits(settings(args, 0, NOISE)["data"])
    default, _ = train(config, splits)
    unclipped, _ = train(settings(args, 0, "model.difference_clip=null"), splits)
    shown = splits.test.series[SHOWN], splits.test.flat_mask[SHOWN]
    figures = {
        "reasons": plot_reasons({"default network": default, "not clipped": unclipped}, *shown),
        "tokens": plot_tokens(default, *shown),
        "samples": plot_samples({"no noise": splits.train, "5 % noise": noisy.train}),
    }
    for name, figure in figures.items():
        args.output = args.output.with_stem(name)
        save_picture(args, figure)


if __name__ == "__main__":
    run_script(main)
