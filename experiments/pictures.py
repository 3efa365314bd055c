"""The pictures that only explain: some series, what the network sees, same verdict for other reasons."""

import numpy as np
import torch
from matplotlib.figure import Figure

from constants import ANOMALOUS, LINE_COLORS
from data import make_splits, plot_samples, shade_flat
from data_utils import run_script
from experiments.common import parse_args, save_picture, settings, trained
from model import clipped_difference, z_score
from plot_attention import plot_attention

NOISE = "data.noise=0.05"
SHOWN = 14  # this test series has a flat segment in its middle, with a jump at the end


def plot_tokens(model, series, flat_mask):
    """One series as the network gets it: its patches, its differences, its attention weights."""
    values = z_score(torch.from_numpy(series[None]))
    lag = model.patch_length
    raw, clipped = (clipped_difference(values, lag, clip)[0] for clip in (None, model.difference_clip))
    weights = model.predict(series)[1][0, ::lag] * lag
    figure = Figure(figsize=(9, 6), layout="constrained")
    signal, middle, below = figure.subplots(3, 1, sharex=True)
    signal.plot(values[0], color="black")
    for boundary in range(0, len(series) + 1, lag):
        signal.axvline(boundary - 0.5, color="grey", lw=0.5)
    signal.set_title(f"One series, cut into {len(weights)} tokens of {lag} steps")
    signal.set_ylabel("standardised value")
    middle.plot(raw, "--", color=LINE_COLORS[1], label="difference")
    middle.plot(clipped, color=LINE_COLORS[0], label="clipped, as the network gets it")
    middle.set_ylabel("difference")
    middle.legend(loc="lower left")
    below.bar(np.arange(lag / 2, len(series), lag), weights, width=0.8 * lag, color=LINE_COLORS[0])
    below.set(ylabel=f"{len(weights)} attention weights", xlabel="time step")
    for axis in (signal, middle, below):
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
    default, _ = trained(config, splits)
    unclipped, _ = trained(settings(args, 0, "model.difference_clip=null"), splits)
    shown = splits.test.series[SHOWN], splits.test.flat_mask[SHOWN]
    figures = {
        "reasons": plot_reasons(
            {"default network": default, "differences not clipped": unclipped}, *shown
        ),
        "tokens": plot_tokens(default, *shown),
        "samples": plot_samples([splits.train, noisy.train]),
    }
    for name, figure in figures.items():
        args.output = args.output.with_stem(name)
        save_picture(args, figure)


if __name__ == "__main__":
    run_script(main)
