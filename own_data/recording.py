"""A recording without labels: flatten parts of it to train a network, then find its flat places."""

import numpy as np

from constants import ANOMALOUS, CLASSES, NORMAL
from data import LabelledSeries, Splits, check_series
from data_utils import UserError, add_flat_segments

COUNTS = {"train": 7000, "val": 1000, "test": 2000}  # windows, which overlap
LEAST_WINDOWS = 8  # that a recording must be long, for a training that is worth something
LARGEST_JUMP = 500  # median changes; in 30 real recordings, the largest jump had 189


def make_recording_splits(recording, config, window=500, parts=None, counts=COUNTS):
    """Windows from random places of a recording, flattened by the settings, split by its parts.

    window: steps of a series. parts: (start, stop) for each split, see `in_order`, the default; they must
    not overlap. `data.noise`, in standard deviations of the recording, is added to the flat segments
    alone, for the recording has its own. Prints what may be a fault of the recording. UserError.
    """
    recording = check_recording(recording, LEAST_WINDOWS * window)
    data_config, parts = config["data"], parts or in_order(len(recording))
    shortest = int(window * data_config["flat_length"][0])
    everywhere = [part for of_a_split in parts.values() for part in of_a_split]
    runs = np.concatenate([np.diff(edges(recording[slice(*part)])) for part in everywhere])
    if (runs >= shortest).any():
        stretches = f"{np.count_nonzero(runs >= shortest)} stretches of {shortest} or more equal values"
        print(f"the recording holds {stretches}: cut them out, or they are taken for normal")
    report_jumps(recording)
    rng, splits = np.random.default_rng(data_config["seed"]), {}
    for name, count in counts.items():
        labels = np.where(np.arange(count) < data_config["normal_ratio"] * count, NORMAL, ANOMALOUS)
        starts, stops = np.array(parts[name])[rng.integers(len(parts[name]), size=count)].T
        starts = rng.integers(starts, stops - window + 1)
        windows = recording[starts[:, None] + np.arange(window)]
        series, flat_mask = add_flat_segments(windows, labels, data_config, rng)
        series += data_config["noise"] * recording.std() * rng.standard_normal(series.shape) * flat_mask
        splits[name] = LabelledSeries(series[:, :, np.newaxis], labels, flat_mask)
    return Splits(**splits, classes=CLASSES)


def in_order(length):
    """The first half for training, then a quarter for validation, then one for the test."""
    half, last = length // 2, 3 * length // 4
    return {"train": [(0, half)], "val": [(half, last)], "test": [(last, length)]}


def find_places(model, recording):
    """Go over a whole recording: a list of (start, stop, probability) of what looks flat.

    Windows overlap by nine tenths. Reported are the steps where a window that is called anomalous has at
    least uniform attention, and half a lag beside them, as far as the changes there reach; the
    probability is the largest of these windows. A gap that was filled with a slope is not found. UserError.
    """
    window, channels = model.shape
    if (model.classes, channels) != (CLASSES, 1):
        raise UserError("find_places takes a network that was trained on make_recording_splits")
    recording = check_recording(recording, window)
    report_jumps(recording)
    last = len(recording) - window
    starts = np.append(np.arange(0, last, max(1, window // 10)), last)
    probability, attention = model.predict(recording[starts[:, None] + np.arange(window)])
    highest = np.zeros(len(recording))
    for start, value, weights in zip(starts, probability[:, ANOMALOUS], attention):
        if value > 0.5:
            for step in start + np.flatnonzero(weights > 0.999 / window):  # of equal weights, all
                reached = slice(max(step - model.lag // 2, 0), step + model.lag // 2 + 1)
                highest[reached] = highest[reached].clip(min=value)
    places = np.flatnonzero(np.diff(highest > 0, prepend=False, append=False)).reshape(-1, 2)
    return [(int(start), int(stop), float(highest[start:stop].max())) for start, stop in places]


def report_jumps(recording):
    """Print where a value differs from the one before by more than LARGEST_JUMP times the median change.

    In a smooth recording, a gap of -999 or a spike is such a jump, and an earthquake too. A spike of 100
    standard deviations in white noise is none: it has about 104 median changes.
    """
    changes = np.abs(np.diff(recording))
    unit = np.median(changes[changes > 0]) if changes.any() else 0
    jumps = [f"{step} to {step + 1}" for step in np.flatnonzero(changes > LARGEST_JUMP * unit)]
    if jumps:
        shown = ", ".join(jumps[:10]) + ", ..." * (len(jumps) > 10)
        print(f"the recording jumps by more than {LARGEST_JUMP} median changes from step {shown}:")
        print("cut out a gap or a spike, or the healthy steps beside it look flat in the same window")


def check_recording(recording, least):
    """One row or one column of numbers, as (T,). UserError: several, or fewer than `least` numbers."""
    recording = check_series(recording)
    if recording.size != max(recording.shape):
        raise UserError(f"a recording is one row or one column of numbers, got {recording.shape}")
    if recording.size < least:
        raise UserError(f"{recording.size} numbers: at least {least} are needed, or shorter windows")
    return recording.ravel()


def edges(recording):
    """Where the value of a recording (T,) changes, its start and its end included."""
    return np.flatnonzero(np.diff(recording, prepend=np.nan, append=np.nan) != 0)
