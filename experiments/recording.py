"""Does it work on a real recording? The membrane voltage of a neuron, which Matplotlib ships."""

import matplotlib.cbook
import numpy as np

from data import Split, Splits, make_splits
from data_utils import add_flat_segments, run_script
from experiments import common
from experiments.common import measure, settings, trained
from plot_attention import plot_attention

BLOCK, WINDOW = 1000, 500  # steps
# Which of the twelve blocks is for what; no step is in two splits.
IN_TURN = {"train": (0, 1, 3, 6, 7, 9, 10), "val": (4,), "test": (2, 5, 8, 11)}
LATER = {"train": (0, 1, 2, 3, 4, 5, 6), "val": (7,), "test": (8, 9, 10, 11)}


def make_recording_splits(blocks, data_config):
    """Windows from random places within the blocks, half of them flattened; as many as by default."""
    with matplotlib.cbook.get_sample_data("membrane.dat") as file:
        recording = np.frombuffer(file.read(), dtype=np.float32)  # (12000,)
    rng, size, splits = np.random.default_rng(data_config["seed"]), data_config["dataset_size"], {}
    for name, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
        labels = np.arange(round(share * size)) % 2
        starts = rng.choice(blocks[name], size=len(labels)) * BLOCK
        starts += rng.integers(BLOCK - WINDOW + 1, size=len(labels))
        windows = recording[starts[:, None] + np.arange(WINDOW)]
        series, flat_mask = add_flat_segments(windows, labels, data_config, rng)
        splits[name] = Split(series, labels, flat_mask)
    return Splits(**splits)


def rates(model, test):
    """Its scores, and the shares of false alarms and of misses in each class."""
    results = common.scores(model, test)
    (_, false_alarms), (misses, _) = np.array(results["confusion_matrix"]) / (len(test.labels) / 2)
    return results | {"false alarms": false_alarms, "misses": misses}


def train_on_sines(args, seed):
    config = settings(args, seed)
    model, _ = trained(config, make_splits(config["data"]))
    return rates(model, make_recording_splits(IN_TURN, config["data"]).test)


def train_on_recording(args, seed, blocks, *overrides):
    config = settings(args, seed, *overrides)
    splits = make_recording_splits(blocks, config["data"])
    model, _ = trained(config, splits)
    return rates(model, splits.test)


def plot_recording(args):
    """An untouched and a flattened window of the test blocks, by a network trained on blocks in turn."""
    config = settings(args, 0)
    splits = make_recording_splits(IN_TURN, config["data"])
    series, *truth = (part[:2] for part in splits.test)
    figure = plot_attention([0, 1], series, *trained(config, splits)[0].predict(series), *truth)
    figure.axes[0].set_ylabel("membrane voltage")
    return figure


def main():
    args = common.parse_args(__doc__, image="recording.png")
    patches = "model.patch_length=2"
    rows = {
        "sine waves": (train_on_sines,),
        "the recording, blocks in turn": (train_on_recording, IN_TURN),
        "blocks in turn, patches of 2": (train_on_recording, IN_TURN, patches),
        "its earlier part, tested on the later": (train_on_recording, LATER),
        "earlier part, patches of 2": (train_on_recording, LATER, patches),
    }
    results = {label: measure(label, args, *row) for label, row in rows.items()}
    rate_columns = {"false alarms": ("false alarms", 3, max), "misses": ("misses", 3, max)}
    common.print_results("trained on", common.SCORES | rate_columns, results)
    common.save_picture(args, plot_recording(args))


if __name__ == "__main__":
    run_script(main)
