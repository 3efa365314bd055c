"""What the experiments share: their options, settings by seed, trained networks, tables and pictures."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from constants import ARTIFACTS_DIR, CONFIG_FILE
from data_utils import load_config, save_plot
from evaluate import evaluate

QUICK = ("data.dataset_size=100", "training.max_epochs=1")
SCORES = {
    "accuracy": ("accuracy", 4),
    "mass": ("mass", 3),
    "pointing": ("pointing", 3),
    "AUC": ("auc", 3),
}


def parse_args(description, image=None, **options):
    """The options of an experiment, its seeds, and where the picture `image` goes, if it draws one.

    Further options are {name: help}; each takes a file.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, text in options.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--quick", action="store_true", help="a smoke test: its numbers mean nothing")
    if image:
        picture = ARTIFACTS_DIR / image
        parser.add_argument("--output", type=Path, default=picture, help="default: %(default)s")
    args = parser.parse_args()
    if args.quick:
        print("a smoke test: these numbers mean nothing\n")
    args.seeds = range(1 if args.quick else 5)
    return args


def settings(args, seed, *overrides, path=CONFIG_FILE):
    """The config with both seeds set to `seed`."""
    seeds = (f"data.seed={seed}", f"training.seed={seed}")
    return load_config(path, [*seeds, *overrides, *(QUICK if args.quick else ())])


def scores(model, split):
    """All metrics of a model on a split, those of its attention among the others."""
    metrics = evaluate(split, *model.predict(split.series))
    return metrics | metrics["attention"]


def measure(label, args, function, *arguments):
    """[function(args, seed, *arguments) for each seed]; says when this row is finished."""
    started = time.perf_counter()
    results = [function(args, seed, *arguments) for seed in args.seeds]
    print(f"{label}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return results


def mean_and_worst(results, name, digits=4, worst=min):
    """The mean over the seeds and, in brackets, the worst."""
    values = [result[name] for result in results]
    # Adding 0 makes 0.00 of -0.00.
    mean, bracket = (round(value, digits) + 0.0 for value in (float(np.mean(values)), worst(values)))
    return f"{mean:.{digits}f} ({bracket:.{digits}f})"


def print_table(header, rows):
    """A Markdown table."""
    for cells in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(cells) + " |")
    print(flush=True)


def print_results(first, columns, results):
    """A table of {label: results by seed}; the columns are {header: (name, digits)}, or (..., max)."""
    rows = [
        [label, *(mean_and_worst(by_seed, *column) for column in columns.values())]
        for label, by_seed in results.items()
    ]
    print_table([first, *columns], rows)


def save_picture(args, figure):
    save_plot(args.output, figure)
    print(f"the picture is {args.output}")
