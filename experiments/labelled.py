"""Labelled series by the README's recipe: other units, another patch length, another forget bias."""

import numpy as np

from constants import PROJECT_DIR
from data import split_series
from data_utils import run_script
from evaluate import evaluate
from experiments import common
from experiments.common import measure, print_results, settings
from train import train

COUNT = 300  # series, half of them with an event
PERSONS = np.arange(COUNT) // 2 % 24  # whose series it is, where persons differ
RECIPE = PROJECT_DIR / "configs" / "labelled.json"


def events(rng, num_points, length):
    """Labels (N,), the steps (N, length) of an event in each series, and the mask of class 1 (N, T)."""
    labels, mask = np.arange(COUNT) % 2, np.zeros((COUNT, num_points), dtype=bool)
    steps = rng.integers(num_points - length, size=(COUNT, 1)) + np.arange(length)
    np.put_along_axis(mask, steps, True, axis=1)
    return labels, steps, mask & (labels == 1)[:, None]


def bumps(rng):
    """Noise; in class 1, twelve steps lie higher. It is the README's example."""
    labels, _, mask = events(rng, 120, 12)
    return rng.normal(size=mask.shape) + 2 * mask, labels, mask


def padded_bumps(rng):
    """The same in series of 60 to 120 steps around a level of 5, with zeros behind them up to 120."""
    labels, _, mask = events(rng, 60, 12)
    mask, lengths = np.pad(mask, ((0, 0), (0, 60))), rng.integers(60, 121, size=(COUNT, 1))
    series = 5 + rng.normal(size=mask.shape) + 2 * mask
    return np.where(np.arange(120) < lengths, series, 0), labels, mask


def pad_with_means(series):
    """The zeros of `padded_bumps` replaced by the mean of the other values of the series."""
    means = series.sum(axis=1, keepdims=True) / (series != 0).sum(axis=1, keepdims=True)
    return np.where(series == 0, means, series)


def bumps_of_persons(rng):
    """The same, around a level of its own for each of 24 persons."""
    series, labels, mask = bumps(rng)
    return series + rng.normal(scale=20, size=24)[PERSONS][:, None], labels, mask


def subtract_levels(series):
    """Subtract the mean of each person's series."""
    levels = np.array([series[person == PERSONS].mean() for person in range(24)])
    return series - levels[PERSONS][:, None]


def chirps(rng, backwards=False):
    """Noise; in class 1 with a chirp: its frequency rises. In class 0 there is none, or it falls."""
    labels, steps, mask = events(rng, 120, 24)
    time = np.arange(24)
    chirp = 1.5 * np.sin(2 * np.pi * (0.03 + 0.006 * time) * time)  # 0.03 to 0.31 cycles per step
    series = rng.normal(scale=0.5, size=mask.shape)
    other = chirp[::-1] if backwards else np.zeros(24)
    series[np.arange(COUNT)[:, None], steps] += np.where(labels[:, None] == 1, chirp, other)
    return series, labels, mask


def beats(rng):
    """A pulse every 14 steps; in class 1, one is missing: the event is the gap of 28 steps."""
    labels, mask = np.arange(COUNT) % 2, np.zeros((COUNT, 160), dtype=bool)
    places = rng.integers(14, size=(COUNT, 1)) + 14 * np.arange(11)  # of the pulses
    missing = rng.integers(2, 9, size=COUNT)
    height = 1 - (np.arange(11) == missing[:, None]) * labels[:, None]  # (N, 11)
    distance = np.arange(160) - places[:, :, None]  # (N, 11, T)
    series = (height[:, :, None] * np.exp(-((distance / 1.5) ** 2) / 2)).sum(axis=1)
    gap = places[np.arange(COUNT), missing][:, None] + np.arange(-14, 14)
    np.put_along_axis(mask, gap, True, axis=1)
    return series + rng.normal(scale=0.1, size=mask.shape), labels, mask & (labels == 1)[:, None]


def persons(rng):
    """24 persons with a rhythm of their own, and a label each that has no effect. Windows overlap."""
    time, people = np.arange(1032), np.arange(24)
    phase = rng.uniform(0.01, 0.03, size=(24, 1)) * time  # in beats
    series = 0.2 * rng.normal(size=(24, len(time)))
    for harmonic in (1, 2, 3):
        height, start = rng.normal(size=(24, 1)), rng.uniform(size=(24, 1))
        series += height * np.sin(2 * np.pi * (harmonic * phase + start))
    windows = np.lib.stride_tricks.sliding_window_view(series, 96, axis=1)[:, ::24]  # (24, 40, 96)
    labels, count = rng.permutation(people % 2), windows.shape[1]
    return windows.reshape(-1, 96), labels.repeat(count), people.repeat(count)


def measure_persons(args, seed, by_person):
    series, labels, people = persons(np.random.default_rng(seed))
    fractions = ("data.val_fraction=0.25", "data.test_fraction=0.25", "data.num_points=96")
    config = settings(args, seed, *fractions, path=RECIPE)
    splits = split_series(series, labels, None, config["data"], people if by_person else None)
    return evaluate(splits.test, *train(config, splits)[0].predict(splits.test.series))


def make_labelled_splits(args, seed, make, change=np.copy, patch_length=4, overrides=()):
    """The settings of the recipe, and the series of a function above, split."""
    series, labels, mask = make(np.random.default_rng(seed))
    shape = (f"data.num_points={series.shape[1]}", f"model.patch_length={patch_length}")
    config = settings(args, seed, *shape, *overrides, path=RECIPE)
    return config, split_series(change(series), labels, mask, config["data"])


def measure_row(args, seed, row):
    config, splits = make_labelled_splits(args, seed, **row)
    return common.scores(train(config, splits)[0], splits.test)


# For each row: what makes the series, and what differs from the recipe.
ROWS = {
    "bump, x": {"make": bumps},
    "bump, 72 + 5 x": {"make": bumps, "change": lambda x: 72 + 5 * x},
    "bump, x / 1000": {"make": bumps, "change": lambda x: x / 1000},
    "bump, 101325 + 400 x": {"make": bumps, "change": lambda x: 101325 + 400 * x},
    "bump, each series in its own units": {"make": bumps, "overrides": ["model.standardize=series"]},
    "bump, padded with zeros": {"make": padded_bumps},
    "bump, padded with the mean of the series": {"make": padded_bumps, "change": pad_with_means},
    "bump, persons of other levels": {"make": bumps_of_persons},
    "... the level of each subtracted": {"make": bumps_of_persons, "change": subtract_levels},
    "chirp, patches of 10": {"make": chirps, "patch_length": 10},
    "chirp, patches of 5": {"make": chirps, "patch_length": 5},
    "chirp, patches of 2": {"make": chirps, "patch_length": 2},
    "chirp, patches of 2, forget bias 0": {
        "make": chirps,
        "patch_length": 2,
        "overrides": ["model.forget_bias=0"],
    },
    "missing beat": {"make": beats},
    "missing beat, forget bias 0": {"make": beats, "overrides": ["model.forget_bias=0"]},
}


def main():
    args = common.parse_args(__doc__)
    results = {label: measure(label, args, measure_row, row) for label, row in ROWS.items()}
    print_results("series", common.SCORES, results)
    results = {
        label: measure(label, args, measure_persons, by_person)
        for label, by_person in {"split at random": False, "split by person": True}.items()
    }
    print_results("24 persons, labels without effect", {"accuracy": ("accuracy", 3)}, results)


if __name__ == "__main__":
    run_script(main)
