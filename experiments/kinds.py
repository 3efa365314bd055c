"""Kinds of labelled series whose event we know, each a function of a random generator.

It returns series (N, T), labels (N,), of which 1 has the event, and mask, bool (N, T), True on the event.
"""

from contextlib import redirect_stdout

import numpy as np

from data import split_series
from experiments import common

COUNT = 300  # series, half of them with an event


def events(rng, num_points, length, label=1):
    """Labels (N,), the steps (N, T) counted from the start of an event, and the mask of a class (N, T)."""
    labels = np.arange(COUNT) % 2
    time = np.arange(num_points) - rng.integers(num_points - length, size=(COUNT, 1))
    return labels, time, (time >= 0) & (time < length) & (labels == label)[:, None]


def bumps(rng, length=12, label=1, twice=False, height=2, spread=1, factor=1, offset=0):
    """Noise, in units of any kind; in the class `label`, some steps lie higher, or spread more.

    If `twice`, they do so again 60 steps away: one of the two bumps would be enough.
    """
    labels, _, mask = events(rng, 120, length, label)
    mask |= twice & np.roll(mask, 60, axis=1)
    noise = rng.normal(size=mask.shape) * np.where(mask, spread, 1)
    return offset + factor * (noise + height * mask), labels, mask


def padded_bumps(rng, with_means=False):
    """Bumps in series of 60 to 120 steps around a level of 5, padded with zeros, or with their mean."""
    labels, _, mask = events(rng, 60, 12)
    mask, lengths = np.pad(mask, ((0, 0), (0, 60))), rng.integers(60, 121, size=(COUNT, 1))
    series, inside = 5 + rng.normal(size=mask.shape) + 2 * mask, np.arange(120) < lengths
    padding = series.mean(axis=1, keepdims=True, where=inside) if with_means else 0
    return np.where(inside, series, padding), labels, mask


def bumps_of_persons(rng, subtract=False):
    """Bumps around a level of its own for each of 24 persons; the mean of a person may be subtracted."""
    series, labels, mask = bumps(rng)
    person = np.arange(COUNT) // 2 % 24
    series += rng.normal(scale=20, size=(24, 1))[person]
    levels = np.bincount(person, series.mean(axis=1)) / np.bincount(person)
    return series - subtract * levels[person, None], labels, mask


def chirps(rng, backwards=False):
    """Noise; in class 1 with a chirp: its frequency rises. In class 0 there is none, or it falls."""
    labels, time, mask = events(rng, 120, 24)
    time = np.where(mask, time, 23 - time)
    chirp = 1.5 * np.sin(2 * np.pi * (0.03 + 0.006 * time) * time)  # 0.03 to 0.31 cycles per step
    heard = (time >= 0) & (time < 24) if backwards else mask
    return rng.normal(scale=0.5, size=mask.shape) + chirp * heard, labels, mask


def beats(rng):
    """A pulse every 14 steps; in class 1, one is missing: the event is the gap of 28 steps."""
    labels, time, mask = events(rng, 160, 28)
    distance = (time + 7) % 14 - 7  # from the nearest pulse
    pulses = np.exp(-((distance / 1.5) ** 2) / 2) * ~(mask & (time >= 7) & (time < 21))
    return pulses + rng.normal(scale=0.1, size=mask.shape), labels, mask


def shifts(rng):
    """Noise around a level of its own for each series; in class 1 it rises, amid the twelve marked steps."""
    labels, time, mask = events(rng, 120, 12)
    level = 3 * rng.normal(size=(COUNT, 1)) + 3 * labels[:, None] * (time >= 6)
    return level + rng.normal(size=mask.shape), labels, mask


def frequencies(rng):
    """A noisy sine wave of random phase; in class 1, it is twice as fast for 36 steps."""
    labels, _, mask = events(rng, 120, 36)
    cycles = rng.uniform(size=(COUNT, 1)) + (0.06 * (1 + mask)).cumsum(axis=1)
    return np.sin(2 * np.pi * cycles) + rng.normal(scale=0.3, size=mask.shape), labels, mask


def persons(rng, by_person=False):
    """Overlapping windows of 24 persons, each with a rhythm of its own and a label that has no effect."""
    series = 0.2 * rng.normal(size=(24, 1032))
    phase = rng.uniform(0.01, 0.03, size=(24, 1)) * np.arange(1032)  # in beats
    for harmonic in (1, 2, 3):
        height, start = rng.normal(size=(24, 1)), rng.uniform(size=(24, 1))
        series += height * np.sin(2 * np.pi * (harmonic * phase + start))
    windows = np.lib.stride_tricks.sliding_window_view(series, 96, axis=1)[:, ::24]  # (24, 40, 96)
    person = np.arange(24).repeat(40)
    return windows.reshape(-1, 96), person % 2, None, person if by_person else None


def make_labelled_splits(args, seed, kind, *overrides):
    """The settings of the recipe, and the series of one of the functions above, split."""
    config = common.settings(args, seed, *overrides, path=common.RECIPE)
    series, labels, mask, *groups = kind(np.random.default_rng(seed))
    with redirect_stdout(None):  # it prints the number of series of each class
        return config, split_series(series, labels, mask, config["data"], *groups)
