"""Does it work on a real recording, and does a rule do as well?"""

from contextlib import redirect_stdout
from functools import partial

import numpy as np
from matplotlib import cbook
from sklearn.tree import DecisionTreeClassifier

from data import make_splits
from data_utils import run_script
from experiments import common
from experiments.rules import flattest_window, smoothness
from own_data.recording import COUNTS, edges, find_places, make_recording_splits
from plot_attention import read_series
from train import train

# Which blocks of 1,000 steps of a neuron's membrane voltage are in which split.
IN_TURN = {"train": (0, 1, 3, 6, 7, 9, 10), "val": (4,), "test": (2, 5, 8, 11)}
LATER = {"train": range(7), "val": (7,), "test": range(8, 12)}


def longest_run(splits):
    """Predictions of a rule: anomalous if N values in a row are equal, N chosen on validation windows."""
    rows = (split.series[:, :, 0] for split in (splits.val, splits.test))
    val, test = ([[np.diff(edges(row)).max()] for row in of_a_split] for of_a_split in rows)
    return DecisionTreeClassifier(max_depth=1).fit(val, splits.val.labels).predict(test), None


LEAST_SMOOTH = partial(flattest_window, statistic=smoothness)
RULES = {"longest run": longest_run, "least smooth window": LEAST_SMOOTH}
COLUMNS = {"accuracy": ("accuracy", 4), "false alarms": ("false alarms", 3, max), "mass": ("mass", 3)}
COLUMNS |= common.EXCHANGE | {name: (name, 4) for name in RULES}


def fit(args, seed, recording, blocks, noise, on_sines=False):
    """A network, and windows of the recording. blocks: see IN_TURN; None for an own recording."""
    config = common.settings(args, seed, f"data.noise={noise}")
    parts = blocks and {name: [(1000 * k, 1000 * k + 1000) for k in blocks[name]] for name in blocks}
    counts = dict.fromkeys(COUNTS, 20) if args.quick else COUNTS
    splits = make_recording_splits(recording, config, parts=parts, counts=counts)
    model, _ = train(config, make_splits(config["data"]) if on_sines else splits)
    return model, splits


def measure_network(*arguments):
    """Scores of a network, see `fit`, and the accuracy of each rule."""
    with redirect_stdout(None):  # the faults of a recording are named once, by `main`
        model, splits = fit(*arguments)
    results = common.scores(model, splits.test)
    rules = {name: np.mean(rule(splits)[0] == splits.test.labels) for name, rule in RULES.items()}
    return results | rules | {"false alarms": 1 - results["classes"]["normal"]["recall"]}


def main():
    args = common.parse_args(__doc__, recording="your own, one number per line")
    membrane = cbook.get_sample_data("membrane.dat", asfileobj=False)
    recording, first = np.fromfile(membrane, dtype=np.float32), IN_TURN
    sources = {"blocks in turn": IN_TURN, "its earlier part, tested on the later": LATER}
    if args.recording:
        recording, first = read_series(args.recording), None
        sources = {"its first half, tested on its last quarter": None}
    rows = {"sine waves": (recording, first, 0, True)}
    for source, blocks in sources.items():
        rows |= {f"{source}, {n} % noise": (recording, blocks, n / 100) for n in (0, 1, 5)}
    table = common.table("trained on", COLUMNS, common.measure(args, measure_network, rows))
    common.write_results(args, __file__, __doc__, table)
    if args.recording:
        model, _ = fit(args, 0, recording, None, noise=0)
        for start, stop, probability in find_places(model, recording):
            print(f"flat: steps {start} to {stop}, probability {probability:.3f}")


if __name__ == "__main__":
    run_script(main)
