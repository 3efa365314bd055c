"""Does it work on a real recording? The membrane voltage of a neuron, or a recording of your own."""

import matplotlib.cbook
import numpy as np

from data import LabelledSeries, Splits, make_splits
from data_utils import UserError, add_flat_segments, check_series, run_script
from experiments import common
from experiments.common import measure, settings
from plot_attention import plot_attention
from train import train

BLOCK = 1000  # steps of the membrane recording, which has twelve of them
COUNTS = {"train": 7000, "val": 1000, "test": 2000}  # windows, which overlap


def blocks(*numbers):
    return [(number * BLOCK, (number + 1) * BLOCK) for number in numbers]


# Which parts (start, stop) are for what. No step is in two splits.
IN_TURN = {"train": blocks(0, 1, 3, 6, 7, 9, 10), "val": blocks(4), "test": blocks(2, 5, 8, 11)}
LATER = {"train": blocks(0, 1, 2, 3, 4, 5, 6), "val": blocks(7), "test": blocks(8, 9, 10, 11)}


def membrane():
    with matplotlib.cbook.get_sample_data("membrane.dat") as file:
        return np.frombuffer(file.read(), dtype=np.float32)  # (12000,)


def read_recording(path, window):
    """A column of numbers. UserError: it holds fewer than four windows."""
    try:
        recording = check_series(np.loadtxt(path))[0]
    except ValueError as error:
        raise UserError(f"{path} must hold one number per line: {error}") from error
    if len(recording) < 4 * window:
        short = f"{path} holds {len(recording)} numbers; four windows of {window} are the least"
        raise UserError(f"{short}: record more, or lower data.num_points in config.json")
    return recording


def in_order(length):
    """The first half for training, then a quarter for validation, then one for the test."""
    half, last = length // 2, 3 * length // 4
    return {"train": [(0, half)], "val": [(half, last)], "test": [(last, length)]}


def make_recording_splits(recording, parts, config, counts=COUNTS):
    """Windows from random places within the parts, half of them flattened."""
    data_config, window = config["data"], config["data"]["num_points"]
    rng, splits = np.random.default_rng(data_config["seed"]), {}
    for name, count in counts.items():
        labels = np.arange(count) % 2
        starts, stops = np.array(parts[name])[rng.integers(len(parts[name]), size=count)].T
        starts = rng.integers(starts, stops - window + 1)
        series, flat_mask = add_flat_segments(
            recording[starts[:, None] + np.arange(window)], labels, data_config, rng
        )
        splits[name] = LabelledSeries(series, labels, flat_mask)
    return Splits(**splits)


def rates(model, test):
    """Its scores, those of equal weights, and the shares of false alarms and misses in each class."""
    results = common.scores(model, test)
    (_, false_alarms), (misses, _) = np.array(results["confusion_matrix"]) / (len(test.labels) / 2)
    equal = results["uniform_attention"]["mass"]
    return results | {"false alarms": false_alarms, "misses": misses, "equal": equal}


def splits_of(args, recording, parts, config):
    counts = {name: 20 for name in COUNTS} if args.quick else COUNTS
    return make_recording_splits(recording, parts, config, counts)


def train_on_sines(args, seed, recording, parts):
    config = settings(args, seed)
    model, _ = train(config, make_splits(config["data"]))
    return rates(model, splits_of(args, recording, parts, config).test)


def train_on_recording(args, seed, recording, parts, *overrides):
    config = settings(args, seed, *overrides)
    splits = splits_of(args, recording, parts, config)
    model, _ = train(config, splits)
    return rates(model, splits.test)


def plot_recording(args, recording, parts):
    """An untouched and a flattened window of the test, by a network trained on the recording."""
    config = settings(args, 0)
    splits = splits_of(args, recording, parts, config)
    series, *truth = (array[:2] for array in splits.test)
    figure = plot_attention([0, 1], series, *train(config, splits)[0].predict(series), *truth)
    figure.axes[0].set_ylabel("value")
    return figure


def main():
    args = common.parse_args(__doc__, "recording.png", recording="your own, one number per line")
    if args.recording:
        recording = read_recording(args.recording, settings(args, 0)["data"]["num_points"])
        shown = in_order(len(recording))
        rows = {
            "sine waves": (train_on_sines, recording, shown),
            "its first half, tested on its last quarter": (train_on_recording, recording, shown),
        }
    else:
        recording, shown, no_roughness = membrane(), IN_TURN, "model.roughness=false"
        rows = {
            "sine waves": (train_on_sines, recording, IN_TURN),
            "the recording, blocks in turn": (train_on_recording, recording, IN_TURN),
            "blocks in turn, no roughness": (train_on_recording, recording, IN_TURN, no_roughness),
            "its earlier part, tested on the later": (train_on_recording, recording, LATER),
            "earlier part, no roughness": (train_on_recording, recording, LATER, no_roughness),
        }
    results = {label: measure(label, args, *row) for label, row in rows.items()}
    columns = {"false alarms": ("false alarms", 3, max), "misses": ("misses", 3, max)}
    equal = {"mass of equal weights": ("equal", 3)}
    common.print_results("trained on", common.SCORES | columns | equal, results)
    common.save_picture(args, plot_recording(args, recording, shown))


if __name__ == "__main__":
    run_script(main)
