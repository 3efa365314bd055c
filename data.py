"""From the settings to series, labels and flat masks, split three ways; and series of one's own."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, train_test_split
from torch.utils.data import TensorDataset

from constants import ANOMALOUS, FLAT_COLOR, NORMAL
from data_utils import UserError, check_labels, check_series, generate_series, is_run


class LabelledSeries(NamedTuple):
    """Row i of each array is the same series."""

    series: np.ndarray  # (N, T) or (N, T, C) float64
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
    # With ranges of a single value, all waves are equal.
    return split_series(series, labels, flat_mask, data_config, may_hold_copies=True)


def split_series(series, labels, flat_mask, data_config, groups=None, may_hold_copies=False):
    """Split series of any origin, (N, T) or (N, T, C), at random, with equal shares of each class.

    `flat_mask`, bool (N, T), marks the anomalous steps, flat or otherwise; None if they are not known.
    `groups`, array-like (N,): series of one group, such as one person's, stay in one split, and the
    shares are only as equal as `take_rows` can make them. `data_config` holds `seed`, and `val_fraction`
    and `test_fraction` of all the series. UserError: no such arrays, a split without each of the
    classes, or copies of a series in two splits, unless `may_hold_copies`.
    """
    series = check_series(series)
    count, seed = len(series), data_config["seed"]
    labels = check_labels(labels, count)
    flat_mask = check_mask(flat_mask, labels, series.shape[1], classes=labels.max() + 1)
    if groups is not None:
        groups = np.array([str(group) for group in groups])  # also None, NaN, NaT, NA, masked ones
        missing = np.isin(groups, ("", "None", "nan", "NaN", "NaT", "<NA>", "--"))
        if groups.shape != (count,) or missing.any():
            raise UserError(f"{count} series need groups of the shape ({count},), with none missing")
    fractions = "data.val_fraction and data.test_fraction"
    if data_config["val_fraction"] + data_config["test_fraction"] >= 1:
        raise UserError(f"{fractions} must be less than 1 together")
    val_size, test_size = (round(data_config[f"{part}_fraction"] * count) for part in ("val", "test"))
    try:
        rest, test = take_rows(np.arange(count), test_size, labels, groups, seed)
        train, val = take_rows(rest, val_size, labels, groups, seed)
    except ValueError as error:
        raise UserError(f"{count} series cannot be split by {fractions}: {error}") from error
    splits = []
    for name, rows in zip(Splits._fields, (train, val, test)):
        if len(np.unique(labels[rows])) < len(np.unique(labels)):
            raise UserError(
                f"the {name} split of {len(rows)} series would lack a class: too few series, or groups"
            )
        mask = None if flat_mask is None else flat_mask[rows]
        splits.append(LabelledSeries(series[rows], labels[rows], mask))
    if not may_hold_copies:
        different = [{row.tobytes() for row in split.series} for split in splits]
        if len(set.union(*different)) < sum(map(len, different)):
            hint = "give them one number in groups, or pass may_hold_copies=True"
            raise UserError(f"copies of a series would be in two splits: {hint}")
    return Splits(*splits)


def take_rows(rows, size, labels, groups, seed):
    """Draw `size` of the rows: (the others, the drawn ones).

    With groups, draw one of k equal folds of whole groups, with the k that comes nearest to `size`.
    """
    if groups is None:
        return train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)
    most = max(2, len(np.unique(groups[rows])))  # folds; of a single group, scikit-learn refuses two
    k = min(range(2, most + 1), key=lambda k: abs(len(rows) / k - size))
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    others, drawn = next(splitter.split(rows, labels[rows], groups[rows]))  # one of the folds is drawn
    return rows[others], rows[drawn]


def check_mask(flat_mask, labels, num_points, classes):
    """A bool array (N, T) that marks what the labels say, or None. UserError: another one."""
    if flat_mask is None:
        return None
    flat_mask, shape = np.asarray(flat_mask), (len(labels), num_points)
    if flat_mask.shape != shape or not np.isin(flat_mask, (False, True)).all():
        raise UserError(f"flat_mask must be bool of the shape (N, T), here {shape}")
    flat_mask = flat_mask.astype(bool)
    wrong = flat_mask.all(axis=1)  # nothing is left to compare with
    if classes <= 2:  # with more than two classes, any series may have an event or none
        wrong |= flat_mask.any(axis=1) != (labels == ANOMALOUS)
    if wrong.any():
        rule = "not mark all steps; of two classes, some of an anomalous series, none of a normal one"
        raise UserError(f"flat_mask must {rule}: series {wrong.argmax()} is otherwise")
    return flat_mask


def generated_test_split(config, folder):
    """The test series that `config` generates, for the run in `folder`. UserError: no run of train.py."""
    if not is_run(folder):  # then the network may be one of other series
        raise UserError(f"{folder} holds no run of train.py: evaluate series of your own in Python")
    return make_splits(config["data"]).test


class SineWaveTorchDataset(TensorDataset):
    """Series and labels (N,) of any origin as tensors: item i is (series (T,) or (T, C), label ())."""

    def __init__(self, series, labels):
        series = check_series(series)  # float64: float32 would lose a small wave on a large offset
        labels = check_labels(labels, len(series))
        super().__init__(torch.from_numpy(series), torch.from_numpy(labels))


def stretches(mask):
    """The runs of True in a mask (T,), as a list of (first step, last step)."""
    steps = np.flatnonzero(mask)
    runs = np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs if len(run)]


def shade_flat(axis, flat_mask, label="flat segment"):
    """Shade the flat segments of one series (T,), if there are any; the label is for a legend."""
    for first, last in stretches(flat_mask):
        axis.axvspan(first - 0.5, last + 0.5, color=FLAT_COLOR, alpha=0.3, zorder=0, label=label)
        label = None  # one entry for all
