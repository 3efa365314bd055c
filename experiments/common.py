"""What the experiments share: options, settings by seed, seeds side by side, tables in results/."""

import argparse
import datetime
import platform
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import sklearn
import torch

from constants import CONFIG_FILE, PROJECT_DIR
from data_utils import load_config, write_file
from evaluate import evaluate

RECIPE = PROJECT_DIR / "configs" / "labelled.json"
QUICK = ("data.dataset_size=100", "training.max_epochs=1")
# Columns of a table: {header: (name of the score, digits)}; a third entry, max, if large is bad.
SCORES = {"accuracy": ("accuracy", 4), "mass": ("mass", 3), "pointing": ("pointing", 3)}
EXCHANGE = {"fall, most attended": ("attended", 1), "fall, random": ("random", 1, max)}


def parse_args(description, **files):
    """The options of an experiment, and its seeds. Further options are {name: help}; each takes a file."""
    parser = argparse.ArgumentParser(description=description)
    for name, text in files.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--quick", action="store_true", help="a smoke test: its numbers mean nothing")
    parser.add_argument(
        "--jobs", type=int, default=-1, help="processes side by side (default: all cores)"
    )
    args = parser.parse_args()
    args.seeds = range(1 if args.quick else 5)
    # Only the full experiment, as the README names it, replaces its results.
    args.is_full = not args.quick and not any(getattr(args, name) for name in files)
    return args


def settings(args, seed, *overrides, path=CONFIG_FILE):
    """The config with both seeds set to `seed`."""
    seeds = (f"data.seed={seed}", f"training.seed={seed}")
    return load_config(path, [*seeds, *overrides, *(QUICK if args.quick else ())])


def scores(model, split):
    """Accuracy, mass, pointing and AUC, and the exchange test of the last class, in one dict."""
    metrics = evaluate(model, split)
    exchange = metrics["exchange"][str(model.classes[-1])]
    # A class that is never predicted, or always, cannot be tested.
    exchange = exchange or {"attended": np.nan, "random": np.nan}
    return metrics | metrics.get("attention", {}) | exchange


def measure(args, function, rows):
    """{label: [function(args, seed, *arguments) for each seed]} for the rows {label: arguments}.

    The seeds run side by side, in processes of one thread each. Says when a row is finished.
    """
    results = {}
    for label, arguments in rows.items():
        started = time.perf_counter()
        calls = (joblib.delayed(function)(args, seed, *arguments) for seed in args.seeds)
        results[label] = joblib.Parallel(n_jobs=args.jobs)(calls)
        print(f"{label}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return results


def mean_and_worst(by_seed, name, digits=3, worst=min):
    """The mean over the seeds and, in brackets, the worst."""
    values = [result[name] for result in by_seed]
    if np.isnan(values).any():  # such as a fall where a class is never predicted
        return "none"
    # Adding 0 makes 0.00 of -0.00.
    mean, bracket = (round(float(value), digits) + 0.0 for value in (np.mean(values), worst(values)))
    return f"{mean:.{digits}f} ({bracket:.{digits}f})"


def table(first, columns, results):
    """A Markdown table with a row for each of {label: results by seed}."""
    rows = [
        [label, *(mean_and_worst(by_seed, *column) for column in columns.values())]
        for label, by_seed in results.items()
    ]
    return markdown([first, *columns], rows)


def markdown(header, rows):
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines) + "\n"


def write_results(args, file, question, *tables, command=None):
    """Print the tables and, if the experiment was a full one, keep them in results/."""
    name, text = Path(file).stem, "\n".join(tables)
    print(text)
    if not args.is_full:
        print("a smoke test, or data of your own: no file in experiments/results was written")
        return
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}"
    header = (
        f"# {question}\n\n`python -m experiments.{command or name}`, {datetime.date.today()}, "
        f"Python {platform.python_version()}, {versions}, {torch.backends.cpu.get_cpu_capability()}, "
        f"seeds {', '.join(map(str, args.seeds))}. Means over the seeds; the worst in brackets.\n\n"
    )
    path = PROJECT_DIR / "experiments" / "results" / f"{name}.md"
    write_file(path, lambda temporary: temporary.write_text(header + text, encoding="utf-8"))
    print(f"these results are in {path.relative_to(PROJECT_DIR)}")
