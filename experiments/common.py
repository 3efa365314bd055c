"""What the experiments share: options, settings by seed, rows that outlive an interruption, tables."""

import json
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import torch

from constants import CONFIG_FILE, NUM_THREADS, PROJECT_DIR
from data import make_splits
from data_utils import ScriptParser, UserError, check_output, json_bytes, load_config, write_files
from evaluate import evaluate
from train import train

# What the attention scores are computed from, as overrides of the config.
NETWORKS = {
    "scores from the states (default)": (),
    "scores from tokens and states": ('model.scores_from="token_and_state"',),
    "uniform: no attention": ('model.scores_from="uniform"',),
}
QUICK = ("data.dataset_size=200", "training.max_epochs=1")  # shows that it runs, no more


class Row(NamedTuple):
    """One measurement: `measure(config)` returns a dict of figures."""

    label: str
    config: dict
    measure: Callable


def parse_args(description, image=None):
    """The options of an experiment, its seeds, and the picture `image` that it draws, if it does."""
    parser = ScriptParser(description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    if image:
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help=f"picture (default: images/{image})"
        )
    torch.set_num_threads(NUM_THREADS)
    args = parser.parse_args()
    args.rows = args.artifacts / "experiments"
    check_output(args.rows, "rows.json")
    if image:
        folder = args.rows if args.quick else PROJECT_DIR / "images"  # the README's stay as they are
        args.output = args.output or folder / image
        if args.output.suffix != Path(image).suffix:
            raise UserError(f"--output must end in {Path(image).suffix}, got {args.output}")
        check_output(args.output.parent, args.output.name, option="--output")
    args.seeds = range(1 if args.quick else 5)
    return args


def settings(seed, *overrides, quick=False, path=CONFIG_FILE):
    """The config with both seeds set to `seed`."""
    seeds = (f"data.seed={seed}", f"training.seed={seed}")
    return load_config(path, [*seeds, *overrides, *(QUICK if quick else ())])


def not_interrupted(history):
    """The history of a training; Ctrl-C, which only ends the training, ends the experiment too."""
    if history["ended"] == "interrupted":
        raise KeyboardInterrupt
    return history


def trained(config, splits):
    """A model that was trained to its end, and the history."""
    model, history = train(config, splits)
    return model, not_interrupted(history)


def train_and_evaluate(config):
    """Every figure of a run on its test split, and the seconds of its training."""
    splits = make_splits(config["data"])
    model, history = trained(config, splits)
    metrics = evaluate(splits.test, *model.predict(splits.test.series))
    times = {"seconds": history["total_seconds"], "epochs": len(history["seconds"])}
    return metrics | metrics["attention"] | times


def rows_of(variants, measure, args):
    """A row for each seed of each variant, {label: overrides of the config}."""
    return [
        Row(label, settings(seed, *overrides, quick=args.quick), measure)
        for label, overrides in variants.items()
        for seed in args.seeds
    ]


def measure_rows(name, rows, args):
    """The figures of each row, as {label: [figures of one seed after another]}.

    Finished rows are kept in a file, and read from there as long as their settings are the same.
    """
    path = args.rows / (f"{name}-quick.json" if args.quick else f"{name}.json")
    results = {}
    for number, row in enumerate(rows, 1):
        key = json.dumps([row.label, row.config])
        kept = _read_rows(path)
        if key not in kept:
            seed = row.config["training"]["seed"]
            print(
                f"[{number}/{len(rows)}] {row.label}, seed {seed}", end=" ", file=sys.stderr, flush=True
            )
            started = time.perf_counter()
            figures = row.measure(row.config)
            print(f"{time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
            kept = _read_rows(path) | {key: figures}  # others may have written meanwhile
            write_files(args.rows, {path.name: json_bytes(kept)})
        results.setdefault(row.label, []).append(kept[key])
    return results


def _read_rows(path):
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read the finished rows in {path}: delete the file ({error})") from error


def mean_and_worst(figures, name, digits=4, worst=min):
    """The mean over the seeds and, in brackets, the worst."""
    values = [entry[name] for entry in figures]
    # Adding 0 makes 0.00 of -0.00.
    mean, bracket = (round(value, digits) + 0.0 for value in (float(np.mean(values)), worst(values)))
    return f"{mean:.{digits}f} ({bracket:.{digits}f})"


def print_table(header, rows):
    """A Markdown table."""
    for cells in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()


def print_attention_table(name, results):
    """The table of accuracy, attention and seconds of rows that `train_and_evaluate` measured."""
    print_table(
        [name, "accuracy", "mass", "pointing", "AUC", "training, s"],
        [
            [
                label,
                mean_and_worst(figures, "accuracy"),
                *(mean_and_worst(figures, figure, 3) for figure in ("mass", "pointing", "auc")),
                mean_and_worst(figures, "seconds", 1, max),
            ]
            for label, figures in results.items()
        ],
    )
