"""A rule in place of a network: a series is anomalous if some window of it is flat enough."""

import numpy as np
from sklearn.tree import DecisionTreeClassifier

WINDOWS = (3, 5, 10, 20, 30, 50, 80)  # steps


def standardised(series):
    """The first channel of series (N, T, C), each with mean 0 and standard deviation 1: (N, T)."""
    series = series[:, :, 0]
    deviation = series.std(axis=1, keepdims=True).clip(min=1e-150)  # of a constant, 0
    return (series - series.mean(axis=1, keepdims=True)) / deviation


def rolling_mean(values, window):
    """The mean of every window of values (N, T), in order: (N, T - window + 1)."""
    sums = np.pad(values, ((0, 0), (1, 0))).cumsum(axis=1)
    return (sums[:, window:] - sums[:, :-window]) / window


def rolling_variance(values, window):
    return rolling_mean(values**2, window) - rolling_mean(values, window) ** 2


def smoothness(values, window):
    """Minus the mean squared change in every window, in units of its variance: noise is least smooth."""
    squares = rolling_mean(np.diff(values, axis=1) ** 2, window - 1)
    return -squares / rolling_variance(values, window).clip(min=1e-12)


def flattest_window(splits, config=None, statistic=rolling_variance):
    """Predictions (N,) of the test series, and the place that each rests on, (N, T) of sum 1.

    A series is anomalous if the smallest statistic of its windows is below a threshold, and that window
    is the place. The length of the windows and the threshold are the best ones on training and
    validation series. `config` is not used: the methods of an experiment are all called alike.
    """
    known = standardised(np.concatenate([splits.train.series, splits.val.series]))
    labels = np.concatenate([splits.train.labels, splits.val.labels])
    stumps = []
    for window in WINDOWS:
        smallest = statistic(known, window).min(axis=1, keepdims=True)
        stump = DecisionTreeClassifier(max_depth=1).fit(smallest, labels)
        stumps.append((stump.score(smallest, labels), window, stump))
    _, window, stump = max(stumps, key=lambda scored: scored[0])
    statistics = statistic(standardised(splits.test.series), window)  # (N, T - window + 1)
    place = np.zeros(splits.test.series.shape[:2])
    steps = statistics.argmin(axis=1)[:, None] + np.arange(window)
    np.put_along_axis(place, steps, 1 / window, axis=1)
    return stump.predict(statistics.min(axis=1, keepdims=True)), place
