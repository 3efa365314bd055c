"""The gate for series; labelled series, generated or of one's own, split three ways."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.utils import shuffle
from torch.utils.data import TensorDataset

from constants import ANOMALOUS, CLASSES, NORMAL
from data_utils import UserError, generate_series

# An outlier is farther from the median than this many times the width of the middle 98 % of the values.
# In 22 real data sets the largest is 19, from counts of infections; a -999 among temperatures has 46.
OUTLYING = 25


class LabelledSeries(NamedTuple):
    """Row i of each array is the same series: N series of T time steps, with C channels."""

    series: np.ndarray  # (N, T, C) float64
    labels: np.ndarray  # (N,) int64: label k is classes[k]
    flat_mask: np.ndarray | None  # (N, T) bool: True on the flat segment; None where it is not known

    def take(self, rows):
        """Some of the series."""
        return LabelledSeries(*(None if part is None else part[rows] for part in self))


class Splits(NamedTuple):
    train: LabelledSeries
    val: LabelledSeries
    test: LabelledSeries
    classes: tuple  # the names of the K classes


def check_series(series):
    """Array-like of numbers (N, T, C), (N, T) for one channel, or (T,) -> float64 copy (N, T, C).

    UserError: no such array, or a value that is no number or too large.
    """
    try:
        # "same_kind" refuses texts and objects; masked values become NaN.
        array = np.ma.asarray(series).astype(np.float64, casting="same_kind").filled(np.nan)
    except (ValueError, TypeError, RuntimeError) as error:  # unequal lists; tensors with a gradient
        wanted = "series must be an array of numbers; from pandas, pass .to_numpy(float)"
        raise UserError(f"{wanted}: {error}") from error
    array = array[np.newaxis] if array.ndim == 1 else array
    array = array[:, :, np.newaxis] if array.ndim == 2 else array
    if array.ndim != 3 or array.size == 0:
        raise UserError(f"series must have the shape (N, T, C), (N, T) or (T,), got {np.shape(series)}")
    wrong = ~(np.abs(array) < 1e150)  # so that squares stay finite; of NaN, nothing is true
    if wrong.any():
        row, step, _ = np.argwhere(wrong)[0]
        fault = "NaN, infinity, a masked value or one beyond 1e150"
        raise UserError(f"series {row} holds {fault} at step {step}: fill it, or leave the series out")
    return array


def number_classes(values, count):
    """Labels or groups (N,), numbers or texts -> the K different ones, sorted; the numbers (N,)."""
    try:
        values = list(values)
        (_,) = set(map(type, values))  # ValueError if of several types, as None or NaN among texts
        classes, numbers = np.unique(np.asarray(values), return_inverse=True)
        kind = classes.dtype.kind  # a date would not come back from a checkpoint
        missing = kind == "f" and np.isnan(classes).any()
        if missing or kind not in "biufUS" or numbers.shape != (count,) or len(classes) < 2:
            raise ValueError
    except (TypeError, ValueError) as error:
        wanted = "numbers or texts, all of one type, none missing, at least two different ones"
        raise UserError(f"{count} series need {count} labels (or groups): {wanted}") from error
    return tuple(classes.tolist()), numbers  # plain Python values


def make_splits(data_config):
    """Generate the series of the section `data` of a config, and split them."""
    labels = np.full(data_config["dataset_size"], ANOMALOUS)
    labels[: round(data_config["normal_ratio"] * len(labels))] = NORMAL
    series, flat_mask = generate_series(data_config, labels)
    generated = LabelledSeries(series[:, :, np.newaxis], labels, flat_mask)
    return Splits(*map(generated.take, split_rows(labels, data_config)), CLASSES)


def split_series(series, labels, flat_mask, data_config, groups=None):
    """Split series of any origin, see `check_series`, at random, with equal shares of each class.

    labels: (N,) of any kind; `classes` of the result names them, sorted. flat_mask: bool (N, T), True on
    the steps of an event, flat or otherwise; None if they are not known. groups: (N,) of any kind; series
    of one group, such as one person's, stay in one split. data_config: its seed and fractions count.
    UserError: no such arrays, a split without each of the classes, or copies of a series in two splits.
    """
    series = check_series(series)
    classes, labels = number_classes(labels, len(series))
    if flat_mask is not None:
        flat_mask = np.asarray(flat_mask)
        if flat_mask.shape != series.shape[:2] or not np.isin(flat_mask, (False, True)).all():
            raise UserError(f"flat_mask must be bool of the shape (N, T), here {series.shape[:2]}")
        flat_mask = flat_mask.astype(bool)
    if groups is not None:
        _, groups = number_classes(groups, len(series))
    report_outliers(series)
    parts = split_rows(labels, data_config, groups)
    seen = {}  # bytes of a series -> the split and the row where it came first
    for part, rows in enumerate(parts):
        for row in rows:
            other_part, other_row = seen.setdefault(series[row].tobytes(), (part, row))
            if other_part != part:
                equal = f"series {other_row} and {row} are equal, and would be in two splits"
                raise UserError(f"{equal}: leave one out, or give them one number in groups")
    splits = Splits(*map(LabelledSeries(series, labels, flat_mask).take, parts), classes)
    print_counts(splits)
    return splits


def report_outliers(series):
    """Print the outliers in series (N, T, C); it does not see them if more than a hundredth are such."""
    low, median, high = np.quantile(series, (0.01, 0.5, 0.99), axis=(0, 1))  # of each channel
    places = np.argwhere((np.abs(series - median) > OUTLYING * (high - low)) & (high > low))
    if len(places):
        row, step, channel = places[0]
        first = f"series {row} holds {series[row, step, channel]:g} at step {step}"
        print(
            f"{len(places)} values stand far outside: {first}. Fill wrong ones, which ruin the training."
        )


def print_counts(splits):
    """Print how many series of each class each split has."""
    for name, split in zip(Splits._fields, splits[:3]):
        counts = np.bincount(split.labels, minlength=len(splits.classes))
        held = ", ".join(f"{count} {of_class}" for count, of_class in zip(counts, splits.classes))
        print(f"{name}: {held}{'; fewer than ten: what they show is luck' if counts.min() < 10 else ''}")


def split_rows(labels, data_config, groups=None):
    """The rows of the training, the validation and the test split. UserError: one would lack a class."""
    count, seed = len(labels), data_config["seed"]
    val_size, test_size = (round(data_config[f"{part}_fraction"] * count) for part in ("val", "test"))
    try:
        rest, test = draw_rows(np.arange(count), test_size, labels, groups, seed)
        train, val = draw_rows(rest, val_size, labels, groups, seed)
        count_of_classes = max(2, labels.max() + 1)  # generated ones could all be normal
        if any(len(np.unique(labels[rows])) < count_of_classes for rows in (train, val, test)):
            raise ValueError("each split needs a series of each class, or a group that has one")
    except ValueError as error:  # mostly scikit-learn's
        hint = "change data.val_fraction, data.test_fraction or data.seed"
        raise UserError(f"{count} series cannot be split: {error}; {hint}") from error
    return train, val, test


def draw_rows(rows, size, labels, groups, seed):
    """Draw `size` of the rows: (the others, the drawn ones). Groups are drawn whole."""
    if groups is None:
        return train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)
    rows = shuffle(rows, random_state=seed)  # the rows of a person often stand together
    held = np.bincount(labels[rows])  # series of each class

    def imbalance(draw):  # series too many or too few, over all classes
        drawn = np.bincount(labels[draw[1]], minlength=len(held))
        has_all = ((0 < drawn) & (drawn < held)).all()  # each class on both sides
        return np.abs(drawn - held * size / len(rows)).sum() if has_all else np.inf

    splitter = GroupShuffleSplit(100, test_size=size / len(rows), random_state=seed)
    draws = [(rows[others], rows[drawn]) for others, drawn in splitter.split(rows, groups=groups[rows])]
    # Not the nearest, if others will do: it would be nearly the same for every seed.
    near = (draw for draw in draws if imbalance(draw) <= size / 2)
    return next(near, min(draws, key=imbalance))


def test_split_of(run):
    """The test series of a run, see `load_checkpoint`. UserError: there is no run."""
    if run is None:
        raise UserError("this network was trained on series of your own: evaluate it in Python")
    return make_splits(run["data"]).test


class SineWaveTorchDataset(TensorDataset):
    """Series, as `check_series` takes them, and labels 0 .. K-1: item i is (series (T, C), label ())."""

    def __init__(self, series, labels):
        labels = torch.as_tensor(labels, dtype=torch.int64)
        # float64: float32 would lose a small wave on a large offset.
        super().__init__(torch.from_numpy(check_series(series)), labels)
