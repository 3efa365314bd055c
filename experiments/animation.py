"""Watch the attention find the flat segment: four fixed series as training goes on, as a GIF."""

import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from constants import ANOMALOUS, LABEL_NAMES, LINE_COLORS, NORMAL
from data import make_splits, shade_flat
from data_utils import run_script, write_file
from experiments.common import parse_args, settings
from model import AttentionClassifier
from train import train

# Few series make short epochs, and so many snapshots. Nothing happens before the 3rd or after the 12th.
SHORT_EPOCHS = ("data.dataset_size=1000", "training.max_epochs=40", "training.patience=40")
FIRST, LAST, FRAMES_PER_SECOND = 2, 12, 2


def chosen_series(test):
    """The indices of one normal series and of three anomalous ones, flat early, midway and late."""
    anomalous = np.flatnonzero(test.labels == ANOMALOUS)
    by_place = anomalous[test.flat_mask[anomalous].argmax(axis=1).argsort()]
    places = (len(by_place) * np.array([0.1, 0.5, 0.9])).astype(int)
    return [np.flatnonzero(test.labels == NORMAL)[0], *by_place[places]]


def animate(series, labels, flat_mask, snapshots):
    """An animation with a frame for each (probability, attention): each series, its attention below."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(4, 2, sharex=True, height_ratios=(3, 2, 3, 2))
    signals, strips = axes[::2].ravel(), axes[1::2].ravel()
    highest = max(attention.max() for _, attention in snapshots)
    for row, (signal, strip) in enumerate(zip(signals, strips)):
        signal.plot(series[row], color="black", lw=1)
        strip.plot(np.zeros(len(series[row])), color=LINE_COLORS[0])
        strip.set(ylim=(0, 1.05 * highest), ylabel="attention", yticks=())
        strip.yaxis.label.set_size(12)
        shade_flat(signal, flat_mask[row])
        shade_flat(strip, flat_mask[row])
    figure.supxlabel("time step", fontsize=12)

    def draw(frame):
        figure.suptitle(f"attention after {FIRST + frame} epochs of 700 series; flat segments shaded")
        for row, (probability, attention) in enumerate(zip(*snapshots[frame])):
            name = LABEL_NAMES[labels[row]]
            signals[row].set_title(f"truly {name}, p(anomalous) = {probability:.2f}", size=12)
            strips[row].lines[0].set_ydata(attention)

    hold = [len(snapshots) - 1] * 3 * FRAMES_PER_SECOND  # the last frame stays for three seconds more
    return FuncAnimation(figure, draw, frames=[*range(len(snapshots)), *hold])


def main():
    args = parse_args(__doc__, image="training.gif")
    config = settings(args, 0, *SHORT_EPOCHS)
    splits = make_splits(config["data"])
    chosen = chosen_series(splits.test)
    series, labels, flat_mask = (part[chosen] for part in splits.test)
    torch.manual_seed(config["training"]["seed"])
    model, snapshots = AttentionClassifier(**config["model"]), []
    train(
        config,
        splits,
        lambda *_: snapshots.append(model.predict(series)),
        network=lambda **_: model,
    )
    animation = animate(series, labels, flat_mask, snapshots[FIRST - 1 : LAST] or snapshots)
    writer = PillowWriter(fps=FRAMES_PER_SECOND)
    write_file(args.output, lambda path: animation.save(path, writer=writer, dpi=80))
    print(f"the picture is {args.output}")


if __name__ == "__main__":
    run_script(main)
