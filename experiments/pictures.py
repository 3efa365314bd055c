"""The README's pictures, into images/; those of a smoke test, --quick, into artifacts/."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import animation, cbook

from constants import ARTIFACTS_DIR, CLASSES, LINE_COLORS, PROJECT_DIR
from data import make_splits, split_series
from data_utils import run_script, write_file
from experiments import common, zoo
from model import AttentionClassifier
from own_data.recording import make_recording_splits
from plot_attention import plot_attention, prediction, shade
from train import train

CASES = {  # networks: the class, and the settings that differ
    "plausible and faithful": (AttentionClassifier,),
    "faithful only: a shortcut": (zoo.OwnUnit, "model.forget_bias=-8", "training.max_epochs=10"),
    "neither": (
        zoo.Transformer,
        *zoo.FAIR_TRAINING,
        "training.seed=3",
    ),  # so is seed 2, of the seeds 0 to 4
}


def plot_samples(splits):
    """The first two series of each class, in a row of axes for each of {name: split}."""
    figure, axes = plt.subplots(2, 4, sharex=True, sharey=True, figsize=(10, 4), layout="constrained")
    for of_a_split, (name, split) in zip(axes, splits.items()):
        for axis, row in zip(of_a_split, split.labels.argsort(kind="stable")[[0, 1, -2, -1]]):
            axis.plot(split.series[row], color=LINE_COLORS[split.labels[row]], lw=1)
            axis.set(title=CLASSES[split.labels[row]], xlabel="time step", ylabel=f"{name}\nvalue")
            axis.label_outer()
            shade(axis, split.flat_mask[row])
    return figure


def plot_column(axes, model, split, row):
    """One series in the first of two axes, the attention over it in the second."""
    (probability,), (attention,) = model.predict(split.series[[row]])
    axes[0].plot(split.series[row], color="black", lw=1)
    axes[0].set(title=prediction(model, probability), ylabel="value")
    axes[1].fill_between(np.arange(len(attention)), attention, step="mid", color=LINE_COLORS[0])
    axes[1].axhline(1 / len(attention), color="black", ls=":", label="uniform attention")
    axes[1].set(xlabel="time step", ylabel="attention")
    for axis in axes:
        axis.label_outer()
        shade(axis, split.flat_mask[row])


def plot_tokens(model, split, row):
    """One series cut into tokens, its changes, and the attention over it."""
    figure, axes = plt.subplots(3, sharex=True, figsize=(10, 6), layout="constrained")
    plot_column(axes[[0, 2]], model, split, row)
    changes = model.tokenize(torch.from_numpy(split.series[[row]])).reshape(-1, 2)[:, 1]
    axes[1].plot(changes, color="black", lw=1)
    axes[1].set_ylabel("change\n(log scale)")
    shade(axes[1], split.flat_mask[row])
    axes[0].set_title(f"One series, cut into tokens of {model.patch_length} steps")
    axes[0].set_xticks(np.arange(0, len(changes) + 1, model.patch_length) - 0.5, minor=True)
    axes[0].grid(axis="x", which="minor")
    return figure


def plot_cases(networks, test, row):
    """One series, the attention of each of {case: network} over it, and what is measured over all."""
    figure, axes = plt.subplots(2, 3, sharex=True, sharey="row", figsize=(10, 5), layout="constrained")
    for column, (case, model) in zip(axes.T, networks.items()):
        plot_column(column, model, test, row)
        text = "time step\n\n{}\nmass {mass:.2f}, fall {attended:z.1f} (random {random:z.1f})"
        column[1].set_xlabel(text.format(case, **common.scores(model, test)))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def animate(args, path):
    """Save a GIF of the attention over three series, by networks trained for 1 to 12 short epochs."""
    figure, writer = plt.figure(figsize=(10, 4), layout="constrained"), animation.PillowWriter(fps=2)
    with writer.saving(figure, path, dpi=80):
        last = 2 if args.quick else 12
        for epochs in [*range(1, last + 1), *[last] * 6]:  # the last frame stays for three seconds more
            config = common.settings(args, 0, "data.dataset_size=400", f"training.max_epochs={epochs}")
            splits = make_splits(config["data"])
            model, _ = train(config, splits)
            figure.clear()
            figure.suptitle(f"epochs of training on {len(splits.train.labels)} series: {epochs}")
            axes = figure.subplots(2, 3, sharex=True, sharey="row")
            for column, row in zip(axes.T, (3, 15, 19)):  # a normal series, one flat early, one late
                plot_column(column, model, splits.test, row)
            axes[1, 0].set_ylim(0, 0.02)
            writer.grab_frame()


def plot_trained(config, splits, event="flat segment"):
    """The first test series of each class, by a network trained on the splits."""
    model, _ = train(config, splits)
    _, rows = np.unique(splits.test.labels, return_index=True)
    return plot_attention(model, splits.test, rows, event)


def bumps(config):
    """The labelled series of the README, bumps of 12 steps, by the same random numbers."""
    rng, y = np.random.default_rng(0), np.where(np.arange(300) % 2, "spell", "calm")
    X, event = rng.normal(size=(300, 120)), np.zeros((300, 120), dtype=bool)
    event[y == "spell"] = np.abs(np.arange(120) - rng.integers(120 - 12, size=(150, 1)) - 5.5) < 6
    X[event] += 2
    return split_series(X, y, event, config["data"])


def main():
    args = common.parse_args(__doc__)
    config, labelled = common.settings(args, 0), common.settings(args, 0, path=common.RECIPE)
    splits, noisy = make_splits(config["data"]), make_splits(config["data"] | {"noise": 0.05})
    networks = {}
    for case, (network, *overrides) in CASES.items():
        networks[case], _ = train(common.settings(args, 0, *overrides), splits, network=network)
    membrane = np.fromfile(cbook.get_sample_data("membrane.dat", asfileobj=False), dtype=np.float32)
    figures = {
        "first": plot_cases(networks, splits.test, 0),  # a series that is flat to its end
        "samples": plot_samples({"no noise": splits.train, "5 % noise": noisy.train}),
        "tokens": plot_tokens(networks["plausible and faithful"], splits.test, 14),
        "bump": plot_trained(labelled, bumps(labelled), "bump"),
        "recording": plot_trained(config, make_recording_splits(membrane, config)),
    }
    folder = PROJECT_DIR / "images" if args.is_full else ARTIFACTS_DIR
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    write_file(folder / "training.gif", lambda path: animate(args, path))


if __name__ == "__main__":
    run_script(main)
