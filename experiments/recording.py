"""Does it work on a real recording? The membrane voltage of a neuron, or a recording of your own."""

import matplotlib.cbook
import numpy as np
from sklearn.tree import DecisionTreeClassifier

from constants import ANOMALOUS, NORMAL
from data import LabelledSeries, Splits, make_splits
from data_utils import UserError, add_flat_segments, check_series, run_script
from experiments import common
from experiments.baselines import flattest_window, rolling_variance, smoothness
from experiments.common import measure, settings
from plot_attention import plot_attention, read_series
from train import train

BLOCK = 1000  # steps of the membrane recording, which has twelve of them
COUNTS = {"train": 7000, "val": 1000, "test": 2000}  # windows, which overlap
LEAST_WINDOWS = 8  # that a recording must be long, for a training that is worth something


def blocks(*numbers):
    return [(number * BLOCK, (number + 1) * BLOCK) for number in numbers]


# Which parts (start, stop) are for what. No step is in two splits.
IN_TURN = {"train": blocks(0, 1, 3, 6, 7, 9, 10), "val": blocks(4), "test": blocks(2, 5, 8, 11)}
LATER = {"train": blocks(0, 1, 2, 3, 4, 5, 6), "val": blocks(7), "test": blocks(8, 9, 10, 11)}


def membrane():
    with matplotlib.cbook.get_sample_data("membrane.dat") as file:
        return np.frombuffer(file.read(), dtype=np.float32)  # (12000,)


def check_recording(recording, least):
    """One row or one column of numbers, as (T,). UserError: several, or fewer than `least` numbers."""
    recording = check_series(recording)
    if recording.size != max(recording.shape):
        raise UserError(f"a recording is one row or one column of numbers, got {recording.shape}")
    if recording.size < least:
        raise UserError(
            f"the recording holds {recording.size} numbers, at least {least} are needed: "
            "record more, or lower data.num_points and, with it, model.patch_length"
        )
    return recording.ravel()


def in_order(length):
    """The first half for training, then a quarter for validation, then one for the test."""
    half, last = length // 2, 3 * length // 4
    return {"train": [(0, half)], "val": [(half, last)], "test": [(last, length)]}


def edges(recording):
    """Where the value of a recording (T,) changes, its start and its end included."""
    return np.flatnonzero(np.diff(recording, prepend=np.nan, append=np.nan) != 0)


def longest_run(splits):
    """The accuracy of: anomalous if N values in a row are equal, N chosen on validation windows."""
    val_runs, test_runs = (
        np.array([[np.diff(edges(row)).max()] for row in split.series])
        for split in (splits.val, splits.test)
    )
    stump = DecisionTreeClassifier(max_depth=1).fit(val_runs, splits.val.labels)
    return stump.score(test_runs, splits.test.labels)


def make_recording_splits(recording, config, parts=None, counts=COUNTS):
    """Windows from random places within the parts (by default `in_order`), flattened by the settings.

    `data.noise` is added to the flat segments alone, for a recording has its own: its unit is the
    standard deviation of the recording. Flat stretches that it has already are reported.
    """
    data_config, window = config["data"], config["data"]["num_points"]
    recording = check_recording(recording, LEAST_WINDOWS * window)
    parts = parts or in_order(len(recording))
    shortest = int(window * data_config["flat_length"][0])
    everywhere = [part for of_a_split in parts.values() for part in of_a_split]
    runs = np.concatenate([np.diff(edges(recording[slice(*part)])) for part in everywhere])
    found = np.count_nonzero(runs >= shortest)
    if found:
        print(
            f"the recording holds {found} stretches of {shortest} or more equal values: "
            "they are taken for normal, so cut them out if they are not"
        )
    rng, splits = np.random.default_rng(data_config["seed"]), {}
    for name, count in counts.items():
        labels = np.where(np.arange(count) < data_config["normal_ratio"] * count, NORMAL, ANOMALOUS)
        starts, stops = np.array(parts[name])[rng.integers(len(parts[name]), size=count)].T
        starts = rng.integers(starts, stops - window + 1)
        windows = recording[starts[:, None] + np.arange(window)]
        series, flat_mask = add_flat_segments(windows, labels, data_config, rng)
        series += data_config["noise"] * recording.std() * rng.standard_normal(series.shape) * flat_mask
        splits[name] = LabelledSeries(series, labels, flat_mask)
    return Splits(**splits)


def find_places(model, recording, window):
    """Go over a whole recording: a list of (start, stop, probability) of what looks flat.

    Windows overlap by nine tenths, the last one ends with the recording. Reported are the steps where a
    window that is called anomalous has at least uniform attention, and half a lag beside them, as far
    as the changes there reach; the probability is the largest of these windows.
    """
    recording = check_recording(recording, window)
    starts = np.append(
        np.arange(0, len(recording) - window, max(1, window // 10)), len(recording) - window
    )
    probability, attention = model.predict(recording[starts[:, None] + np.arange(window)])
    highest = np.zeros(len(recording))
    for start, value, weights in zip(starts, probability, attention):
        if value > 0.5:
            for step in start + np.flatnonzero(weights > 0.999 / window):  # of equal weights, all
                reached = slice(max(step - model.lag // 2, 0), step + model.lag // 2 + 1)
                highest[reached] = highest[reached].clip(min=value)
    places = np.flatnonzero(np.diff(highest > 0, prepend=False, append=False)).reshape(-1, 2)
    return [(int(start), int(stop), float(highest[start:stop].max())) for start, stop in places]


def rates(model, splits):
    """Its scores, those of equal weights and of three rules, false alarms and misses in each class."""
    results = common.scores(model, splits.test)
    (normal, false_alarms), (misses, anomalous) = results["confusion_matrix"]
    results["false alarms"] = false_alarms / (normal + false_alarms)
    results["misses"] = misses / (misses + anomalous)
    equal = results["uniform_attention"]["mass"]
    results |= {"equal": equal, "run": longest_run(splits)}
    for name, statistic in {"flattest": rolling_variance, "noisiest": smoothness}.items():
        predicted, _ = flattest_window(splits, None, statistic)
        results[name] = float(np.mean(predicted == splits.test.labels))
    return results


def splits_of(args, recording, parts, config):
    counts = {name: 20 for name in COUNTS} if args.quick else COUNTS
    return make_recording_splits(recording, config, parts, counts)


def train_on_sines(args, seed, recording, parts):
    config = settings(args, seed)
    model, _ = train(config, make_splits(config["data"]))
    return rates(model, splits_of(args, recording, parts, config))


def train_on_recording(args, seed, recording, parts, *overrides):
    config = settings(args, seed, *overrides)
    splits = splits_of(args, recording, parts, config)
    return rates(train(config, splits)[0], splits)


def plot_recording(model, splits):
    """An untouched and a flattened window of the test."""
    rows = np.unique(splits.test.labels, return_index=True)[1]
    series, labels, flat_mask = (part[rows] for part in splits.test)
    figure = plot_attention(rows, series, *model.predict(series), labels, flat_mask)
    figure.axes[0].set_ylabel("value")
    return figure


def main():
    args = common.parse_args(__doc__, "recording.png", recording="your own, one number per line")
    if args.recording:
        window = settings(args, 0)["data"]["num_points"]
        recording = check_recording(read_series(args.recording), LEAST_WINDOWS * window)
        parts = in_order(len(recording))
        sources = {"its first half, tested on its last quarter": parts}
    else:
        recording, parts = membrane(), IN_TURN
        sources = {
            "the recording, blocks in turn": parts,
            "its earlier part, tested on the later": LATER,
        }
    results = {"sine waves": measure("sine waves", args, train_on_sines, recording, parts)}
    for label, source in sources.items():
        for noise in (0, 0.01, 0.05):
            row = f"{label}; {100 * noise:.0f} % noise" if noise else label
            options = (recording, source, f"data.noise={noise}")
            results[row] = measure(row, args, train_on_recording, *options)
    columns = {"false alarms": ("false alarms", 3, max), "misses": ("misses", 3, max)}
    others = {
        "mass of equal weights": ("equal", 3),
        "accuracy of the longest run": ("run", 4),
        "... of the flattest window": ("flattest", 4),
        "... of the noisiest window": ("noisiest", 4),
    }
    common.print_results("trained on", common.SCORES | columns | others, results)

    config = settings(args, 0)
    splits = splits_of(args, recording, parts, config)
    model, _ = train(config, splits)
    if args.recording:
        for start, stop, probability in find_places(model, recording, window):
            print(f"flat: steps {start} to {stop}, probability {probability:.3f}")
    common.save_picture(args, plot_recording(model, splits))


if __name__ == "__main__":
    run_script(main)
