"""From the settings to series, labels and flat masks, split three ways.

`python data.py` counts the series of each split and draws a few of them.
"""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
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
    labels: np.ndarray  # (N,) int64: 0 normal, 1 anomalous; or 0 .. K-1
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
    # With a range of one value, all waves are equal: these copies are no leak.
    return split_series(series, labels, flat_mask, data_config, may_hold_copies=True)


def split_series(series, labels, flat_mask, data_config, groups=None, may_hold_copies=False):
    """Split series of any origin (N, T) or (N, T, C) at random, with equal shares of each class.

    `flat_mask`, bool (N, T), marks the event of the anomalous series; it may be None where it is not
    known. `groups`, array-like (N,): series of the same group, as of one person, stay in one split; the
    shares are then as equal as whole groups allow. `data_config` holds `seed`, `val_fraction` and
    `test_fraction`, both of all the series. UserError: no such arrays, a split without each class, or,
    unless they are allowed, copies of a series in two splits.
    """
    series = check_series(series)
    labels = check_labels(labels, len(series))
    flat_mask = check_mask(flat_mask, labels, series.shape[1])
    seed, count = data_config["seed"], len(labels)
    val_fraction, test_fraction = data_config["val_fraction"], data_config["test_fraction"]
    if val_fraction + test_fraction >= 1:
        raise UserError("data.val_fraction + data.test_fraction must be below 1")
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
        if groups.shape != (count,):
            raise UserError(f"{count} series need groups of the shape ({count},), got {groups.shape}")
    try:
        rest, test = take_rows(np.arange(count), round(test_fraction * count), labels, groups, seed)
        train, val = take_rows(rest, round(val_fraction * count), labels, groups, seed)
    except ValueError as error:
        raise UserError(f"{count} series cannot be split as asked: {error}") from error
    splits = []
    for name, rows in zip(Splits._fields, (train, val, test)):
        if not np.array_equal(np.unique(labels[rows]), np.unique(labels)):
            raise UserError(f"the {name} split of {len(rows)} series would lack a class: too few in all")
        mask = None if flat_mask is None else flat_mask[rows]
        splits.append(LabelledSeries(series[rows], labels[rows], mask))
    distinct = [{row.tobytes() for row in split.series} for split in splits]
    if not may_hold_copies and sum(map(len, distinct)) > len(set.union(*distinct)):
        raise UserError(
            "copies of the same series would be in two splits: give copies, and all that belongs "
            "together, the same number in groups"
        )
    return Splits(*splits)


def check_mask(flat_mask, labels, num_points):
    """A bool array (N, T) that marks some steps of what is anomalous, or None. UserError: another."""
    if flat_mask is None:
        return None
    flat_mask, shape = np.asarray(flat_mask), (len(labels), num_points)
    if flat_mask.shape != shape or not np.isin(flat_mask, (False, True)).all():
        raise UserError(f"flat_mask must be bool of the shape {shape}")
    flat_mask = flat_mask.astype(bool)
    wrong = flat_mask.all(axis=1)
    if labels.max() <= ANOMALOUS:  # with more classes, each may have an event or none
        wrong |= flat_mask.any(axis=1) != (labels == ANOMALOUS)
    if wrong.any():
        raise UserError(
            "flat_mask must mark some, but not all, steps of each anomalous series, and none of a normal "
            f"one: series {wrong.argmax()} is otherwise"
        )
    return flat_mask


def take_rows(rows, size, labels, groups, seed):
    """The rows without `size` of them, and these; of whole groups, about as many."""
    if groups is None:
        return train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)
    folds = max(2, min(round(len(rows) / max(size, 1)), len(np.unique(groups[rows]))))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    rest, taken = next(splitter.split(rows, labels[rows], groups[rows]))
    return rows[rest], rows[taken]


def test_series(config):
    """The generated test series of a run. UserError: its network is for other series than sine waves."""
    model = config["model"]
    if (model["channels"], model["classes"]) != (1, 2):
        held = f"{model['channels']} channels and {model['classes']} classes"
        raise UserError(f"the network is for series of your own, with {held}: evaluate it in Python")
    return make_splits(config["data"]).test


class SineWaveTorchDataset(TensorDataset):
    """Series (N, T) and labels (N,) as tensors: item i is (series (T,) float64, label () int64)."""

    def __init__(self, series, labels):
        series = check_series(series)  # float64: float32 would lose a small wave on a large offset
        labels = check_labels(labels, len(series))
        super().__init__(torch.from_numpy(series), torch.from_numpy(labels))


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
