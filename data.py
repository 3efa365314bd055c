"""From the settings to series, labels and flat masks, split three ways.

`python data.py` counts the series of each split and draws a few of them.
"""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

from constants import ANOMALOUS, FLAT_COLOR, LABEL_NAMES, LINE_COLORS, NORMAL, SAMPLES_PLOT_NAME
from data_utils import (
    UserError,
    check_labels,
    check_series,
    generate_series,
    load_config,
    make_parser,
    run_script,
    save_plot,
)


class LabelledSeries(NamedTuple):
    """Row i of each array is the same series."""

    series: np.ndarray  # (N, T) float64
    labels: np.ndarray  # (N,) int64: 0 normal, 1 anomalous
    flat_mask: np.ndarray | None  # (N, T) bool: True on the flat segment; None where it is not known


class Splits(NamedTuple):
    train: LabelledSeries
    val: LabelledSeries
    test: LabelledSeries


def make_splits(data_config):
    """Generate the series of the section `data` of a config, and split them."""
    labels = np.full(data_config["dataset_size"], ANOMALOUS)
    labels[: round(data_config["normal_ratio"] * len(labels))] = NORMAL
    series, flat_mask = generate_series(data_config, labels)
    return split_series(series, labels, flat_mask, data_config)


def split_series(series, labels, flat_mask, data_config):
    """Split series of any origin (N, T) at random, with equal shares of each class.

    `flat_mask`, bool (N, T), may be None where it is not known. `data_config` holds `seed`,
    `val_fraction` and `test_fraction`, both of all the series. UserError: no such arrays, or fewer than
    2 series of a class in one of the splits.
    """
    series = check_series(series)
    labels = check_labels(labels, len(series))
    if flat_mask is not None:
        flat_mask = np.asarray(flat_mask)
        if flat_mask.dtype != bool or flat_mask.shape != series.shape[:2]:
            raise UserError(f"flat_mask must be bool of the shape {series.shape[:2]}")
    val_fraction, test_fraction = data_config["val_fraction"], data_config["test_fraction"]
    rarer = np.bincount(labels, minlength=2).min()  # an expected 2 leaves at least 1 after rounding
    if rarer * min(val_fraction, test_fraction, 1 - val_fraction - test_fraction) < 2:
        raise UserError(f"{rarer} series of a class are too few: each split must hold at least 2 of it")

    rows, seed = np.arange(len(labels)), data_config["seed"]
    val_size, test_size = round(val_fraction * len(rows)), round(test_fraction * len(rows))
    rest, test = train_test_split(rows, test_size=test_size, stratify=labels, random_state=seed)
    train, val = train_test_split(rest, test_size=val_size, stratify=labels[rest], random_state=seed)
    splits = []
    for rows in (train, val, test):
        mask = None if flat_mask is None else flat_mask[rows]
        splits.append(LabelledSeries(series[rows], labels[rows], mask))
    return Splits(*splits)


class SineWaveTorchDataset(TensorDataset):
    """Series (N, T) and labels (N,) as tensors: item i is (series (T,) float64, label () float32)."""

    def __init__(self, series, labels):
        series = check_series(series)  # float64: float32 would lose a small wave on a large offset
        labels = check_labels(labels, len(series))
        super().__init__(torch.from_numpy(series), torch.from_numpy(labels).float())


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


def shade_flat(axis, flat_mask):
    """Shade the flat segment of one series (T,), if there is one; the legend then names it."""
    steps = np.flatnonzero(flat_mask)
    if len(steps):
        axis.axvspan(steps[0], steps[-1], color=FLAT_COLOR, alpha=0.3, zorder=0, label="flat segment")


def main():
    args = make_parser("Count and draw the series.", config=True, overrides=True).parse_args()
    config = load_config(args.config, args.set)
    splits = make_splits(config["data"])
    for name, split in zip(Splits._fields, splits):
        normal, anomalous = np.bincount(split.labels)
        print(f"{name:6} {normal:6} normal, {anomalous:6} anomalous series")
    picture = args.artifacts / SAMPLES_PLOT_NAME
    save_plot(picture, plot_samples({"training": splits.train}))
    print(f"some training series are drawn in {picture}")


if __name__ == "__main__":
    run_script(main)
