"""Look at the attention over test series, or over your own: python plot_attention.py"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from constants import ATTENTION_PLOT_NAME, CHECKPOINT_NAME, FLAT_COLOR, LINE_COLORS
from data import LabelledSeries, check_series, test_split_of
from data_utils import UserError, make_parser, run_script, write_file
from model import load_checkpoint

MOST_COLUMNS = 3  # of a picture


def plot_attention(model, split, rows, event="flat segment"):
    """A figure with a column for each of the rows: the series, the attention, what each state says alone.

    A series of several channels has a line for each: attention tells when, not in which channel.
    `event` names what flat_mask marks. Labels and flat_mask of the split may be None.
    """
    rows = list(rows)
    probability, attention = model.predict(split.series[rows])
    with torch.inference_mode():
        states, _ = model.lstm(model.tokenize(torch.from_numpy(split.series[rows])))
        # What each state alone would predict (n, P, K). The last layer is linear: so the logits of a series
        # are the mean of those of its states, weighted by attention.
        alone = model.logits(states).softmax(dim=2)
    alone = alone.repeat_interleave(model.patch_length, dim=1).numpy()
    steps = np.arange(attention.shape[1])
    options = {"figsize": (5 * len(rows), 6), "height_ratios": (2, 1, 1), "layout": "constrained"}
    figure, axes = plt.subplots(3, len(rows), sharex=True, squeeze=False, **options)
    for column, row in enumerate(rows):
        above, middle, below = axes[:, column]
        truth = "" if split.labels is None else f", truly {model.classes[split.labels[row]]}"
        above.set_title(f"series {row}{truth}\n{prediction(model, probability[column])}")
        above.plot(split.series[row], color="black", lw=1)
        middle.fill_between(steps, attention[column], step="mid", color=LINE_COLORS[0])
        middle.axhline(1 / len(steps), color="black", ls=":", label="uniform attention")
        middle.set_ylim(0, 1.05 * attention[column].max())
        below.plot(steps, alone[column, :, probability[column].argmax()], color=LINE_COLORS[1])
        below.set(xlabel="time step", ylim=(-0.05, 1.05))
        if split.flat_mask is not None:
            for axis in axes[:, column]:
                shade(axis, split.flat_mask[row], event)
    for axis, name in zip(axes[:, 0], ("value", "attention", "p, by this\nstate alone")):
        axis.set_ylabel(name)
    # Take the legend from a column with a shaded part, if any: it has all entries.
    column = 0 if split.flat_mask is None else split.flat_mask[rows].any(axis=1).argmax()
    figure.legend(*axes[1, column].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def prediction(model, probability):
    """In words, for the probabilities (K,) of one series."""
    return f"predicted {model.classes[probability.argmax()]}, p = {probability.max():.3f}"


def shade(axis, mask, label="flat segment"):
    """Shade the marked steps of one series, mask (T,); the label is for a legend."""
    edges = np.diff(mask, prepend=False, append=False)  # True where a stretch begins, or has just ended
    for first, stop in np.flatnonzero(edges).reshape(-1, 2):
        axis.axvspan(first - 0.5, stop - 0.5, color=FLAT_COLOR, alpha=0.3, zorder=0, label=label)
        label = None  # one entry for all


def read_series(path):
    """Series (N, T, 1) from a file of numbers: one series per row, or one value per line. UserError."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
        series = np.array([line.split(",") for line in lines], dtype=np.float64)
        # pandas writes such a header, if it is given no names.
        if min(series.shape) > 1 and np.array_equal(series[0], np.arange(series.shape[1])):
            raise ValueError("the first row is 0, 1, 2 and so on, like a header")
        return check_series(series.T if series.shape[1:] == (1,) else series)
    except ValueError as error:  # also of other encodings, of texts and of rows of other lengths
        wanted = "it takes one series per row, numbers and commas alone, no header, label or index"
        raise UserError(f"{path}: {error}; {wanted}") from error


def main():
    parser = make_parser("Plot the attention over test series, or over your own.")
    parser.add_argument("--series", type=Path, metavar="FILE", help="your own series, one per row")
    parser.add_argument("--index", type=int, metavar="N", help="only this series, counted from 0")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the picture goes")
    args = parser.parse_args()
    model, run = load_checkpoint(args.artifacts / CHECKPOINT_NAME)
    if args.series:
        split = LabelledSeries(read_series(args.series), labels=None, flat_mask=None)
        rows = np.arange(len(split.series))
    else:
        split = test_split_of(run)
        print(f"of {len(split.series)} generated sine waves, the test series of the run:")
        _, rows = np.unique(split.labels, return_index=True)  # the first of each class
    if args.index is not None:
        if not 0 <= args.index < len(split.series):
            raise UserError(f"--index must lie in 0 .. {len(split.series) - 1}, got {args.index}")
        rows = np.array([args.index])
    probability, attention = model.predict(split.series[rows])
    for row, of_series, step in zip(rows, probability, attention.argmax(axis=1)):
        print(f"series {row}: {prediction(model, of_series)}, most attention at step {step}")

    picture, shown = args.output or args.artifacts / ATTENTION_PLOT_NAME, rows[:MOST_COLUMNS]
    figure = plot_attention(model, split, shown)
    try:  # with format "", a name without an ending is a ValueError; else savefig would add .png to it
        options = {"dpi": 150, "format": picture.suffix[1:].lower()}
        write_file(picture, lambda temporary: figure.savefig(temporary, **options))
    except ValueError as error:
        raise UserError(f"{picture}: {error}") from error
    print(f"{picture} shows series {', '.join(map(str, shown))}")
    if figure.canvas.required_interactive_framework:  # there is a screen
        plt.show()


if __name__ == "__main__":
    run_script(main)
