"""Look at the attention over test series, or over your own: python plot_attention.py"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap

from constants import ANOMALOUS, ATTENTION_PLOT_NAME, CHECKPOINT_NAME, LABEL_NAMES, LINE_COLORS, NORMAL
from data import make_splits, shade_flat
from data_utils import UserError, make_parser, run_script, save_plot
from model import load_checkpoint

# Grey where the network hardly looks; the more it looks, the darker.
ATTENTION_COLORS = LinearSegmentedColormap.from_list("attention", ["lightgrey", LINE_COLORS[0], "black"])
PICTURE_SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
MOST_COLUMNS = 3  # of a picture


def plot_attention(indices, series, probability, attention, labels=None, flat_mask=None):
    """A figure with a column for each series: the signal coloured by attention, the attention below.

    Parameters
    ----------
    indices : of the series, for the titles
    series, attention : arrays (N, T)
    probability : array (N,), of being anomalous
    labels, flat_mask : arrays (N,) and (N, T), where the truth is known
    """
    count, num_points = series.shape
    options = {"figsize": (5 * count, 4.8), "height_ratios": (2, 1), "layout": "constrained"}
    figure, axes = plt.subplots(2, count, sharex=True, squeeze=False, **options)
    steps = np.arange(num_points)
    for column, (upper, lower) in enumerate(axes.T):
        points = np.column_stack([steps, series[column]])
        line = LineCollection(np.stack([points[:-1], points[1:]], axis=1), cmap=ATTENTION_COLORS, lw=3)
        line.set_array(attention[column, :-1])
        line.set_clim(0, max(attention.max(), 5 / num_points))  # a uniform attention stays pale
        upper.add_collection(line)
        upper.autoscale_view()
        truth = "" if labels is None else f", truly {LABEL_NAMES[labels[column]]}"
        upper.set_title(
            f"series {indices[column]}{truth}\nprobability of anomalous {probability[column]:.3f}"
        )
        lower.fill_between(steps, attention[column], step="mid", color=LINE_COLORS[0], label="attention")
        lower.axhline(1 / num_points, color="black", ls=":", label="uniform attention")
        lower.set(xlabel="time step", ylim=(0, 1.05 * attention.max()))
        if flat_mask is not None:
            shade_flat(upper, flat_mask[column])
            shade_flat(lower, flat_mask[column])
    axes[0, 0].set_ylabel("value")
    axes[1, 0].set_ylabel("attention weight")
    legends = (axis.get_legend_handles_labels() for axis in axes[1])
    legend = {name: handle for handles, names in legends for handle, name in zip(handles, names)}
    figure.legend(legend.values(), legend, loc="outside lower center", ncols=len(legend))
    return figure


def read_series(path, num_points):
    """Series (N, num_points) from a file of numbers: one series per row, or one value per line."""
    wanted = "it takes numbers separated by commas, one series per row, without header, label or index"
    try:
        with open(path, encoding="utf-8-sig") as file, warnings.catch_warnings(action="error"):
            series = np.loadtxt(file, delimiter=",", ndmin=2, comments=None)
    except (ValueError, UserWarning) as error:  # the warning: an empty file
        raise UserError(f"{path}: {error}; {wanted}") from error
    if series.shape[1] == 1:
        series = series.T
    if series.shape[1] != num_points:
        held = f"{len(series)} series of {series.shape[1]} values"
        raise UserError(f"{path} holds {held}, but the model was trained on {num_points}; {wanted}")
    bad = np.flatnonzero(~np.isfinite(series).all(axis=1))
    if len(bad):
        raise UserError(f"{path}: series {bad[0]} holds NaN or infinity; {wanted}")
    steps = np.diff(series, axis=1)
    rises = (steps > 0).all(axis=1) & np.isclose(steps, steps[:, :1], rtol=0.1, atol=0).all(axis=1)
    if rises[0] and len(series) > 1 and not rises[1:].any():
        raise UserError(f"{path}: the first row rises by equal steps, as a header does; {wanted}")
    return series


def attended_steps(attention):
    """First and last step of the shortest stretch that holds half of the attention (T,)."""
    before = np.concatenate([[0], attention.cumsum()])  # the attention before each step, and in all
    half = before[-1] / 2
    starts = np.arange(np.searchsorted(before, half, side="right"))  # at least half follows
    ends = np.searchsorted(before, before[starts] + half)
    shortest = (ends - starts).argmin()
    return starts[shortest], ends[shortest] - 1


def main():
    parser = make_parser("Plot the attention over test series, or over your own.")
    parser.add_argument("--series", type=Path, metavar="FILE", help="your own series, one per row")
    parser.add_argument("--index", type=int, metavar="N", help="only this series, counted from 0")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the picture goes")
    args = parser.parse_args()
    model, config = load_checkpoint(args.artifacts / CHECKPOINT_NAME)
    picture = args.output or args.artifacts / ATTENTION_PLOT_NAME
    if picture.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(f"--output must end in one of {', '.join(PICTURE_SUFFIXES)}, got {picture}")

    if args.series:
        split = (read_series(args.series, config["data"]["num_points"]),)  # without labels and flat mask
        chosen = np.arange(len(split[0]))
    else:
        split = make_splits(config["data"]).test
        chosen = np.array([np.argmax(split.labels == label) for label in (NORMAL, ANOMALOUS)])
    if args.index is not None:
        if not 0 <= args.index < len(split[0]):
            raise UserError(f"--index must lie in 0 .. {len(split[0]) - 1}, got {args.index}")
        chosen = np.array([args.index])

    series, *truth = (part[chosen] for part in split)
    probability, attention = model.predict(series)
    for index, value, weights in zip(chosen, probability, attention):
        first, last = attended_steps(weights)
        verdict = LABEL_NAMES[int(value > 0.5)]
        print(f"series {index}: {verdict}, probability of anomalous {value:.3f};", end=" ")
        print(f"half of the attention lies on the steps {first} to {last}")
    parts = (chosen, series, probability, attention, *truth)
    figure = plot_attention(*(part[:MOST_COLUMNS] for part in parts))
    save_plot(picture, figure)
    print(f"{picture} shows series {', '.join(map(str, chosen[:MOST_COLUMNS]))}")
    if plt.get_backend().lower() != "agg":  # what Matplotlib falls back to where there is no screen
        plt.show()


if __name__ == "__main__":
    run_script(main)
