"""From the settings to series, labels and flat masks, split three ways.

`python data.py` prints what the splits hold and draws a few series.
"""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.model_selection import train_test_split
from torch.utils.data import Dataset

from constants import ANOMALOUS, FLAT_COLOR, LABEL_NAMES, LINE_COLORS, NORMAL, SAMPLES_PLOT_NAME
from data_utils import (
    ScriptParser,
    UserError,
    check_output,
    figure_bytes,
    generate_series,
    load_config,
    run_script,
    write_files,
)


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
    """Generate the data set and split it, with the same share of each class in every part.

    Parameters
    ----------
    data_config : the section `data` of a checked config.

    Raises
    ------
    UserError : the sizes leave a split without series of one of the classes.
    """
    size = data_config["dataset_size"]
    labels = np.full(size, ANOMALOUS)
    labels[: round(data_config["normal_ratio"] * size)] = NORMAL

    test_size = round(data_config["test_fraction"] * size)
    val_size = round(data_config["val_fraction"] * size)
    seed = data_config["seed"] % 2**32  # the range that scikit-learn takes
    try:
        rest, test = train_test_split(
            np.arange(size), test_size=test_size, stratify=labels, random_state=seed
        )
        train, val = train_test_split(rest, test_size=val_size, stratify=labels[rest], random_state=seed)
        complete = all(len(np.unique(labels[part])) == 2 for part in (train, val, test))
    except ValueError:  # too few for scikit-learn to share out
        complete = False
    if not complete:
        raise UserError(
            f"data.dataset_size {size}, data.normal_ratio {data_config['normal_ratio']}, data.val_fraction"
            f" {data_config['val_fraction']} and data.test_fraction {data_config['test_fraction']} leave a"
            " split without series of one of the classes; each of the three needs both"
        )

    series, flat_mask = generate_series(data_config, labels)
    return Splits(*(Split(series[part], labels[part], flat_mask[part]) for part in (train, val, test)))


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


def plot_samples(split, per_class=3):
    """A figure of the first `per_class` series of each class, the flat segments shaded."""
    figure = Figure(figsize=(9, 1.6 * per_class + 0.6), layout="constrained")
    axes = figure.subplots(per_class, 2, sharex=True, squeeze=False)
    for label, column in zip((NORMAL, ANOMALOUS), axes.T):
        for number, axis in zip(np.flatnonzero(split.labels == label), column):
            axis.plot(split.series[number], color=LINE_COLORS[label])
            shade_flat(axis, split.flat_mask[number])
        column[0].set_title(LABEL_NAMES[label] + (", flat segment shaded" if label == ANOMALOUS else ""))
        column[-1].set_xlabel("time step")
    for row in axes:
        row[0].set_ylabel("value")
    return figure


def shade_flat(axis, flat_mask):
    """Shade the flat segment, if there is one; the legend then names it."""
    steps = np.flatnonzero(flat_mask)
    if len(steps):
        axis.axvspan(
            steps[0], steps[-1], color=FLAT_COLOR, alpha=0.3, lw=0, zorder=0, label="flat segment"
        )


def main():
    args = ScriptParser("Describe the data and draw a few series.", takes_config=True).parse_args()
    config = load_config(args.config, args.overrides)
    check_output(args.artifacts, SAMPLES_PLOT_NAME)
    splits = make_splits(config["data"])
    write_files(args.artifacts, {SAMPLES_PLOT_NAME: figure_bytes(plot_samples(splits.train))})

    print(f"{'split':8}{'series':>8}" + "".join(f"{name:>12}" for name in LABEL_NAMES))
    for name, split in zip(Splits._fields, splits):
        counts = np.bincount(split.labels, minlength=2)
        print(
            f"{name:8}{len(split.labels):8}"
            + "".join(f"{c:6} ({c / counts.sum():.0%})".rjust(12) for c in counts)
        )

    print(f"picture of some training series: {args.artifacts / SAMPLES_PLOT_NAME}")


if __name__ == "__main__":
    run_script(main)
