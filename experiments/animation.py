"""Watch the attention find the flat segment: four fixed series as training goes on, as a GIF."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from constants import ANOMALOUS, LABEL_NAMES, LINE_COLORS, NORMAL
from data import make_splits, shade_flat
from data_utils import run_script, write_files
from experiments.common import not_interrupted, parse_args, settings
from model import AttentionClassifier
from train import fit

# Few series make short epochs: forty glimpses of 440 steps, where the default training takes 550.
SHORT_EPOCHS = ("data.dataset_size=1000", "training.max_epochs=40", "training.patience=40")
FRAMES_PER_SECOND = 5


def chosen_series(test):
    """The numbers of one normal series and of three anomalous ones, flat early, midway and late."""
    anomalous = np.flatnonzero(test.labels == ANOMALOUS)
    by_place = anomalous[test.flat_mask[anomalous].argmax(axis=1).argsort()]
    places = (len(by_place) * np.array([0.1, 0.5, 0.9])).astype(int)
    return [np.flatnonzero(test.labels == NORMAL)[0], *by_place[places]]


def snapshots(config, splits, series):
    """The (probability, attention) of the series before the training and after each epoch."""
    torch.manual_seed(config["training"]["seed"])
    model = AttentionClassifier(**config["model"])
    taken = [model.predict(series)]
    not_interrupted(
        fit(model, config, splits, lambda *_, **figures: taken.append(model.predict(series)))
    )
    return taken


def animate(series, labels, flat_mask, taken):
    """An animation of one frame per snapshot: each series above, its attention below."""
    count, num_points = series.shape
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(4, 2, sharex=True, height_ratios=(2, 1, 2, 1))
    columns = [axes[:2, 0], axes[:2, 1], axes[2:, 0], axes[2:, 1]]
    steps = np.arange(num_points)
    titles, lines = [], []
    for number, (signal, below) in enumerate(columns):
        signal.plot(series[number], color="black", lw=1)
        lines += below.plot(steps, np.zeros(num_points), color=LINE_COLORS[0])
        titles.append(signal.set_title("", fontsize=10))
        below.set(ylim=(0, 1.05 * max(attention.max() for _, attention in taken)), yticks=[])
        below.set_ylabel("attention", fontsize=8)
        for axis in (signal, below):
            shade_flat(axis, flat_mask[number])
    for axis in axes[-1]:
        axis.set_xlabel("time step")

    def draw(epoch):
        probability, attention = taken[epoch]
        figure.suptitle(
            f"attention after {epoch} of {len(taken) - 1} short epochs; flat segments shaded"
        )
        for number in range(count):
            titles[number].set_text(
                f"truly {LABEL_NAMES[labels[number]]}, probability of anomalous {probability[number]:.2f}"
            )
            lines[number].set_ydata(attention[number])

    frames = [*range(len(taken)), *[len(taken) - 1] * 2 * FRAMES_PER_SECOND]  # the last, held
    return FuncAnimation(figure, draw, frames=frames)


def main():
    args = parse_args(__doc__, image="training.gif")
    config = settings(0, *SHORT_EPOCHS, quick=args.quick)
    splits = make_splits(config["data"])
    chosen = chosen_series(splits.test)
    series = splits.test.series[chosen]
    animation = animate(
        series,
        splits.test.labels[chosen],
        splits.test.flat_mask[chosen],
        snapshots(config, splits, series),
    )
    with tempfile.TemporaryDirectory() as folder:  # the writer takes a path, write_files the bytes
        path = Path(folder) / args.output.name
        animation.save(path, writer=PillowWriter(fps=FRAMES_PER_SECOND), dpi=80)
        write_files(args.output.parent, {args.output.name: path.read_bytes()})


if __name__ == "__main__":
    run_script(main)
