"""Look at the attention over test series, or over your own: python plot_attention.py"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap

from constants import ATTENTION_PLOT_NAME, CHECKPOINT_NAME, LABEL_NAMES, LINE_COLORS
from data import make_splits, shade_flat
from data_utils import UserError, check_series, make_parser, run_script, save_plot
from model import load_checkpoint

# Grey where the network hardly looks; the more it looks, the darker.
ATTENTION_COLORS = LinearSegmentedColormap.from_list("attention", ["darkgrey", LINE_COLORS[0], "black"])
MOST_COLUMNS = 3  # of a picture


def plot_attention(indices, series, probability, attention, labels=None, flat_mask=None):
    """A figure with a column for each series: the signal coloured by attention, the attention below.

    Series and attention (N, T); probability of being anomalous (N,); indices (N,), for the titles; where
    the truth is known, labels (N,) and flat_mask (N, T).
    """
    count, num_points = series.shape
    options = {"figsize": (5 * count, 4.8), "height_ratios": (2, 1), "layout": "constrained"}
    figure, axes = plt.subplots(2, count, sharex=True, squeeze=False, **options)
    steps = np.arange(num_points)
    for column, (upper, lower) in enumerate(axes.T):
        points = np.column_stack([steps, series[column]])
        line = LineCollection(np.stack([points[:-1], points[1:]], axis=1), cmap=ATTENTION_COLORS, lw=3)
        most = attention[column].max()
        line.set_array(attention[column, :-1] / max(most, 5 / num_points))  # black: 5 x uniform
        line.set_clim(0, 1)
        upper.add_collection(line)
        upper.autoscale_view()
        truth = "" if labels is None else f", truly {LABEL_NAMES[labels[column]]}"
        upper.set_title(f"series {indices[column]}{truth}\np(anomalous) = {probability[column]:.3f}")
        lower.fill_between(steps, attention[column], step="mid", color=LINE_COLORS[0], label="attention")
        lower.axhline(1 / num_points, color="black", ls=":", label="uniform attention")
        lower.set(xlabel="time step", ylim=(0, 1.05 * most))
        if flat_mask is not None:
            shade_flat(upper, flat_mask[column])
            shade_flat(lower, flat_mask[column])
    bar = figure.colorbar(line, ax=axes[0], ticks=(0, 1), label="attention", pad=0.01)
    bar.ax.set_yticklabels(("none", "most"))
    axes[0, 0].set_ylabel("value")
    axes[1, 0].set_ylabel("attention weight")
    legends = (axis.get_legend_handles_labels() for axis in axes[1])  # every name is shown once
    legend = {name: handle for handles, names in legends for handle, name in zip(handles, names)}
    figure.legend(legend.values(), legend, loc="outside lower center", ncols=len(legend))
    return figure


def read_series(path, num_points):
    """Series (N, num_points) from a file of numbers: one series per row, or one value per line."""
    wanted = "it takes numbers separated by commas, one series per row, without header, label or index"
    try:
        with open(path, encoding="utf-8-sig") as file, warnings.catch_warnings(action="error"):
            series = np.loadtxt(file, delimiter=",", ndmin=2, comments=None)
        series = check_series(series.T if series.shape[1] == 1 else series)
    except (ValueError, UserWarning) as error:  # the warning: an empty file
        raise UserError(f"{path}: {error}; {wanted}") from error
    if series.shape[1] != num_points:
        held = f"{len(series)} series of {series.shape[1]} values"
        raise UserError(f"{path} holds {held}, but the model was trained on {num_points}; {wanted}")
    if len(series) > 1 and (np.diff(series[0]) == 1).all():
        raise UserError(f"{path}: the first row is 0, 1, 2 and so on, like a header; {wanted}")
    return series


def main():
    parser = make_parser("Plot the attention over test series, or over your own.")
    parser.add_argument("--series", type=Path, metavar="FILE", help="your own series, one per row")
    parser.add_argument("--index", type=int, metavar="N", help="only this series, counted from 0")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the picture goes")
    args = parser.parse_args()
    model, config = load_checkpoint(args.artifacts / CHECKPOINT_NAME)

    labels = flat_mask = None
    if args.series:
        series = read_series(args.series, config["data"]["num_points"])
        chosen = np.arange(len(series))
    else:
        series, labels, flat_mask = make_splits(config["data"]).test
        _, chosen = np.unique(labels, return_index=True)  # the first normal and the first anomalous one
    if args.index is not None:
        if not 0 <= args.index < len(series):
            raise UserError(f"--index must lie in 0 .. {len(series) - 1}, got {args.index}")
        chosen = np.array([args.index])

    probability, attention = model.predict(series[chosen])
    for index, value, weights in zip(chosen, probability, attention):
        verdict = f"series {index}: {LABEL_NAMES[int(value > 0.5)]}, p(anomalous) = {value:.3f}"
        if value > 0.5:
            first, last = np.searchsorted(weights.cumsum(), (0.25, 0.75))  # quartiles of the attention
            verdict += f"; the middle half of the attention lies on the steps {first} to {last}"
        print(verdict)

    shown = chosen[:MOST_COLUMNS]
    truth = () if labels is None else (labels[shown], flat_mask[shown])
    figure = plot_attention(shown, series[shown], probability, attention, *truth)
    picture = args.output or args.artifacts / ATTENTION_PLOT_NAME
    save_plot(picture, figure)
    print(f"{picture} shows series {', '.join(map(str, shown))}")
    if plt.get_backend().lower() != "agg":  # what Matplotlib falls back to where there is no screen
        plt.show()


if __name__ == "__main__":
    run_script(main)
