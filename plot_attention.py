"""Look at the attention over test series: python plot_attention.py"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap

from constants import (
    ANOMALOUS,
    ATTENTION_PLOT_NAME,
    LABEL_NAMES,
    LINE_COLORS,
    NORMAL,
    NUM_THREADS,
    PICTURE_SUFFIXES,
)
from data import make_splits, shade_flat
from data_utils import (
    ScriptParser,
    UserError,
    check_output,
    check_patches,
    figure_bytes,
    read_series,
    run_script,
    write_files,
)
from model import load_run

# Grey where the network hardly looks; darker, in print too, the more it looks.
ATTENTION_COLORS = LinearSegmentedColormap.from_list("attention", ["lightgrey", LINE_COLORS[0], "black"])

MOST_COLUMNS = 3  # of a picture, when no series is chosen


def plot_attention(numbers, series, probability, attention, labels=None, flat_mask=None):
    """A figure with one column per series: the signal coloured by attention, the attention below.

    Parameters
    ----------
    numbers : of the series, for the titles
    series, attention : arrays (N, T)
    probability : array (N,), of being anomalous
    labels, flat_mask : arrays (N,) and (N, T), where the truth is known
    """
    count, num_points = series.shape
    figure, axes = plt.subplots(
        2,
        count,
        figsize=(5 * count + 1, 4.8),
        sharex=True,
        squeeze=False,
        height_ratios=(2, 1),
        layout="constrained",
    )
    steps = np.arange(num_points)
    for column, (signal, below) in enumerate(axes.T):
        points = np.column_stack([steps, series[column]])
        line = LineCollection(np.stack([points[:-1], points[1:]], axis=1), cmap=ATTENTION_COLORS, lw=3)
        line.set_array(attention[column, :-1])
        line.set_clim(0, max(attention.max(), 5 / num_points))  # a uniform attention stays pale
        signal.add_collection(line)
        signal.autoscale_view()
        truth = "" if labels is None else f", truly {LABEL_NAMES[labels[column]]}"
        signal.set_title(
            f"series {numbers[column]}{truth}\nprobability of anomalous {probability[column]:.3f}"
        )
        below.fill_between(
            steps, attention[column], step="mid", color=LINE_COLORS[0], label="attention of the model"
        )
        below.axhline(1 / num_points, color="black", ls=":", label="uniform attention")
        if flat_mask is not None:
            for axis in (signal, below):
                shade_flat(axis, flat_mask[column])
        below.set(xlabel="time step", ylim=(0, 1.05 * attention.max()))
    axes[0, 0].set_ylabel("value")
    axes[1, 0].set_ylabel("attention weight")
    figure.colorbar(line, ax=axes[0, :], label="attention weight")
    handles, names = below.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(handles))
    return figure


def main():
    parser = ScriptParser("Plot the attention over series of the test split.")
    parser.add_argument(
        "--series",
        metavar="FILE",
        help="CSV file of your own series, one per row (default: the test split)",
    )
    parser.add_argument(
        "--index",
        type=int,
        metavar="N",
        help="one series, from 0 (default: the first of each class, or the first of the file)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="picture (default: attention.png among the artifacts)",
    )
    args = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    model, config, loaded = load_run(args.artifacts)
    path = args.output or args.artifacts / ATTENTION_PLOT_NAME
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.parent.is_dir():
        raise UserError(
            f"--output must end in one of {', '.join(PICTURE_SUFFIXES)} and lie in a folder that is there,"
            f" got {path}"
        )
    check_output(path.parent, path.name, option="--output" if args.output else "--artifacts")
    if args.series is not None:
        series, labels, flat_mask = read_series(args.series), None, None
        try:
            check_patches(series.shape[1], model.patch_length)
        except UserError as error:
            raise UserError(f"{args.series}: {error}; is one column an index?") from error
        chosen = list(range(len(series)))[:MOST_COLUMNS]
    else:
        series, labels, flat_mask = make_splits(config["data"]).test
        chosen = [int(np.argmax(labels == label)) for label in (NORMAL, ANOMALOUS)]
    if args.index is not None:
        if not 0 <= args.index < len(series):
            raise UserError(f"--index must lie in 0 .. {len(series) - 1}, got {args.index}")
        chosen = [args.index]

    truth = () if labels is None else (labels[chosen], flat_mask[chosen])
    figure = plot_attention(chosen, series[chosen], *model.predict(series[chosen]), *truth)
    picture = figure_bytes(figure, format=path.suffix[1:])
    write_files(path.parent, {path.name: picture}, beside=loaded)
    print(f"series {', '.join(map(str, chosen))} of {len(series)}; the picture is {path}")
    if plt.get_backend().lower() != "agg":  # what Matplotlib falls back to where there is no screen
        plt.show()


if __name__ == "__main__":
    run_script(main)
