"""Look at the attention over test series, or over your own: python plot_attention.py"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap

from constants import ATTENTION_PLOT_NAME, CHECKPOINT_NAME, LABEL_NAMES, LINE_COLORS
from data import generated_test_split, shade_flat, stretches
from data_utils import UserError, check_labels, check_series, make_parser, run_script, save_plot
from model import load_checkpoint

# Grey where the network hardly looks; the more it looks, the darker.
ATTENTION_COLORS = LinearSegmentedColormap.from_list("attention", ["darkgrey", LINE_COLORS[0], "black"])
MOST_COLUMNS = 3  # of a picture


def plot_attention(
    indices, series, probability, attention, labels=None, flat_mask=None, event="flat segment"
):
    """A figure with a column for each series: the signal coloured by attention, the attention below.

    Series (N, T), or (N, T, C), drawn as a line for each channel: attention tells when, not in which
    channel. Attention (N, T); probability (N,) or (N, K), as from `predict`; indices (N,), for the
    titles; where the truth is known, labels (N,), flat_mask (N, T), and a name for what it marks.
    """
    names = LABEL_NAMES if probability.ndim == 1 else [f"class {k}" for k in range(probability.shape[1])]
    series, steps = check_series(series), np.arange(attention.shape[1])
    if labels is not None:
        labels = check_labels(labels, len(series), len(names))
    shapes = {np.shape(part)[:2] for part in (series, attention, flat_mask) if part is not None}
    if shapes != {(len(probability), len(steps))}:
        raise UserError("series, attention and flat_mask must be of the same (N, T)")
    most = 5 / len(steps)  # five times uniform attention, or more, is black
    options = {"figsize": (5 * len(series), 4.8), "height_ratios": (2, 1), "layout": "constrained"}
    figure, axes = plt.subplots(2, len(series), sharex=True, squeeze=False, **options)
    for column, (upper, lower) in enumerate(axes.T):
        for values in series[column].reshape(len(steps), -1).T:
            # A line segment from each step to the next, so that each has a colour of its own.
            points = np.column_stack([steps, values])
            colors = {"array": attention[column, :-1], "cmap": ATTENTION_COLORS, "clim": (0, most)}
            line = LineCollection(np.stack([points[:-1], points[1:]], axis=1), lw=3, **colors)
            upper.add_collection(line)
        upper.autoscale_view()
        truth = "" if labels is None else f", truly {names[labels[column]]}"
        upper.set_title(f"series {indices[column]}{truth}\n{verdict(probability[column])}")
        lower.fill_between(steps, attention[column], step="mid", color=LINE_COLORS[0], label="attention")
        lower.axhline(1 / len(steps), color="black", ls=":", label="uniform attention")
        lower.set(xlabel="time step", ylim=(0, 1.05 * attention[column].max()))
        if flat_mask is not None:
            shade_flat(upper, flat_mask[column], event)
            shade_flat(lower, flat_mask[column], event)
    bar = figure.colorbar(line, ax=axes[0], ticks=(0, most), label="attention", pad=0.01)
    bar.ax.set_yticklabels(("none", "5 x uniform\nor more"))
    axes[0, 0].set_ylabel("value")
    axes[1, 0].set_ylabel("attention weight")
    # The legend of a column with a shaded part has all entries.
    column = 0 if flat_mask is None else np.any(flat_mask, axis=1).argmax()
    figure.legend(*axes[1, column].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def verdict(probability):
    """In words, of one series: its probability of anomalous, or those of K classes (K,)."""
    if np.ndim(probability) == 0:
        return f"{LABEL_NAMES[int(probability > 0.5)]}, p(anomalous) = {probability:.3f}"
    return f"class {probability.argmax()}, p = {probability.max():.3f}"


def half_of(attention):
    """The steps of the largest weights that hold at least half of the attention (T,), as `stretches`.

    Steps of the same weight, such as those of a token, stay together.
    """
    weights = np.sort(attention)[::-1]
    smallest = weights[weights.cumsum().searchsorted(0.5)]  # the weight that completes the half
    return stretches(attention >= smallest)


def read_series(path, num_points=None):
    """Series (N, T) from a file of numbers: one series per row, or one value per line.

    UserError: no numbers, or series of another length than `num_points`, if that is given.
    """
    wanted = "it takes numbers separated by commas, one series per row, without header, label or index"
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        if not all(line.strip() for line in lines):
            raise ValueError("an empty line")  # NumPy would skip it, and later steps would move
        with warnings.catch_warnings(action="error"):
            series = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
        series = check_series(series.T if series.shape[1] == 1 else series)
    except (ValueError, UserWarning) as error:  # the warning: an empty file
        raise UserError(f"{path}: {error}; {wanted}") from error
    if num_points not in (None, series.shape[1]):
        raise UserError(f"{path}: {series.shape[1]} values, trained on {num_points}; {wanted}")
    if len(series) > 1 and np.array_equal(series[0], np.arange(series.shape[1])):
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
        series, labels, flat_mask = generated_test_split(config, args.artifacts)
        print(f"of {len(series)} generated sine waves, the test series of the run:")
        _, chosen = np.unique(labels, return_index=True)  # the first normal and the first anomalous one
    if args.index is not None:
        if not 0 <= args.index < len(series):
            raise UserError(f"--index must lie in 0 .. {len(series) - 1}, got {args.index}")
        chosen = np.array([args.index])

    probability, attention = model.predict(series[chosen])
    for index, value, weights in zip(chosen, probability, attention):
        line = f"series {index}: {verdict(value)}"
        if np.ndim(value) or value > 0.5:  # in a normal series there is nothing to look at
            places = ", ".join(f"{first} to {last}" for first, last in half_of(weights))
            line += f"; half of the attention: steps {places}"
        print(line)

    shown = chosen[:MOST_COLUMNS]
    truth = () if labels is None else (labels[shown], flat_mask[shown])
    predictions = probability[:MOST_COLUMNS], attention[:MOST_COLUMNS]
    figure = plot_attention(shown, series[shown], *predictions, *truth)
    picture = args.output or args.artifacts / ATTENTION_PLOT_NAME
    save_plot(picture, figure)
    print(f"{picture} shows series {', '.join(map(str, shown))}")
    if plt.get_backend().lower() != "agg":  # what Matplotlib falls back to where there is no screen
        plt.show()


if __name__ == "__main__":
    run_script(main)
