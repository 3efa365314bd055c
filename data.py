"""From the settings to series, labels and flat masks, split three ways.

`python data.py` counts the series of each split and draws a few of them.
"""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.model_selection import train_test_split
from torch.utils.data import Dataset

from constants import ANOMALOUS, FLAT_COLOR, LABEL_NAMES, LINE_COLORS, NORMAL, SAMPLES_PLOT_NAME
from data_utils import generate_series, load_config, make_parser, run_script, save_plot


class Split(NamedTuple):
    """One part of the data set; row i of each array is the same series."""

    series: np.ndarray  # (N, T) float32
    labels: np.ndarray  # (N,) int64: 0 normal, 1 anomalous
    flat_mask: np.ndarray  # (N, T) bool: True on the flat segment


class Splits(NamedTuple):
    train: Split
    val: Split
    test: Split


def make_splits(data_config):
    """Generate the series of the section `data` of a config, split with equal shares of each class."""
    size, seed = data_config["dataset_size"], data_config["seed"]
    labels = np.full(size, ANOMALOUS)
    labels[: round(data_config["normal_ratio"] * size)] = NORMAL
    series, flat_mask = generate_series(data_config, labels)

    def split(rows, fraction):
        count = round(fraction * size)
        return train_test_split(rows, test_size=count, stratify=labels[rows], random_state=seed)

    rest, test = split(np.arange(size), data_config["test_fraction"])
    train, val = split(rest, data_config["val_fraction"])
    return Splits(*(Split(series[rows], labels[rows], flat_mask[rows]) for rows in (train, val, test)))


class SineWaveTorchDataset(Dataset):
    """Series and labels as tensors: item i is (series (T,) float32, label () float32)."""

    def __init__(self, series, labels):
        self.series = torch.as_tensor(series, dtype=torch.float32)
        self.labels = torch.as_tensor(labels, dtype=torch.float32)
        if len(self.series) != len(self.labels):
            raise ValueError(f"{len(self.series)} series but {len(self.labels)} labels")

    def __len__(self):
        return len(self.series)

    def __getitem__(self, index):
        return self.series[index], self.labels[index]


def plot_samples(splits, per_class=2):
    """A figure with a row for each split: its first series of each class, the flat segments shaded."""
    figure = Figure(figsize=(10, 2.2 * len(splits)), layout="constrained")
    axes = figure.subplots(len(splits), 2 * per_class, sharex=True, sharey="col", squeeze=False)
    for row, split in zip(axes, splits):
        shown = [np.flatnonzero(split.labels == label)[:per_class] for label in (NORMAL, ANOMALOUS)]
        for index, axis in zip(np.concatenate(shown), row):
            axis.plot(split.series[index], color=LINE_COLORS[split.labels[index]], lw=1)
            shade_flat(axis, split.flat_mask[index])
            axis.set_title(LABEL_NAMES[split.labels[index]])
        row[0].set_ylabel("value")
    for axis in axes[-1]:
        axis.set_xlabel("time step")
    return figure


def shade_flat(axis, flat_mask):
    """Shade the flat segment of one series (T,), if there is one; the legend then names it."""
    steps = np.flatnonzero(flat_mask)
    if len(steps):
        axis.axvspan(
            steps[0], steps[-1], color=FLAT_COLOR, alpha=0.3, lw=0, zorder=0, label="flat segment"
        )


def main():
    args = make_parser("Count and draw the series.", config=True, overrides=True).parse_args()
    config = load_config(args.config, args.set)
    splits = make_splits(config["data"])
    for name, split in zip(Splits._fields, splits):
        normal, anomalous = np.bincount(split.labels)
        print(f"{name:6} {normal:6} normal, {anomalous:6} anomalous series")
    picture = args.artifacts / SAMPLES_PLOT_NAME
    save_plot(picture, plot_samples([splits.train]))
    print(f"some training series are drawn in {picture}")


if __name__ == "__main__":
    run_script(main)
