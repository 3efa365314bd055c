"""Do simpler methods fail, as the article says? A rule, scikit-learn and a CNN beside the attention."""

import time
from functools import partial

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from constants import ANOMALOUS
from data import make_splits
from data_utils import run_script
from evaluate import attention_metrics
from experiments.common import mean_and_worst, measure, parse_args, print_table, settings
from experiments.labelled import bumps, chirps, make_labelled_splits
from model import AttentionClassifier
from train import train

WINDOWS = (3, 5, 10, 20, 30, 50, 80)  # steps


def standardised(series):
    """Series (N, T), each with mean 0 and standard deviation 1."""
    deviation = series.std(axis=1, keepdims=True).clip(min=1e-150)  # of a constant, 0
    return (series - series.mean(axis=1, keepdims=True)) / deviation


def rolling_mean(values, window):
    """The mean of every window of values (N, T), in order: (N, T - window + 1)."""
    sums = np.pad(values, ((0, 0), (1, 0))).cumsum(axis=1)
    return (sums[:, window:] - sums[:, :-window]) / window


def rolling_variance(series, window):
    return rolling_mean(series**2, window) - rolling_mean(series, window) ** 2


def smoothness(series, window):
    """Minus the mean squared change in every window, in units of its variance: noise is least smooth."""
    squares = rolling_mean(np.diff(series, axis=1) ** 2, window - 1)
    return -squares / rolling_variance(series, window).clip(min=1e-12)


def flattest_window(splits, config, statistic=rolling_variance):
    """A rule: anomalous if the smallest variance in a rolling window is below a threshold.

    Window and threshold are the best ones on training and validation series. Its place is that window.
    The statistic may be another one that gives each window a number.
    """
    known = standardised(np.concatenate([splits.train.series, splits.val.series]))
    labels = np.concatenate([splits.train.labels, splits.val.labels])
    stumps = []
    for window in WINDOWS:
        smallest = statistic(known, window).min(axis=1)[:, None]
        stump = DecisionTreeClassifier(max_depth=1).fit(smallest, labels)
        stumps.append((stump.score(smallest, labels), window, stump))
    _, window, stump = max(stumps, key=lambda scored: scored[0])
    numbers = statistic(standardised(splits.test.series), window)  # (N, T - window + 1)
    place = np.zeros(splits.test.series.shape)
    steps = numbers.argmin(axis=1)[:, None] + np.arange(window)
    np.put_along_axis(place, steps, 1 / window, axis=1)
    return stump.predict(numbers.min(axis=1)[:, None]), place


def window_features(series):
    """Features that somebody thought of: range, variance and slope in rolling windows, (N, F)."""
    series, features = standardised(series), []
    for window in WINDOWS:
        every = max(1, window // 10)  # neighbouring windows are nearly the same
        windows = np.lib.stride_tricks.sliding_window_view(series, window, axis=1)[:, ::every]
        slope = windows @ (np.arange(window) - (window - 1) / 2)
        for values in (np.ptp(windows, axis=2), rolling_variance(series, window), np.abs(slope)):
            features += [values.min(axis=1), values.max(axis=1), values.mean(axis=1)]
    return np.column_stack(features)


def scikit_learn(classifier, features, splits, config):
    """A classifier of scikit-learn fitted to features of the series."""
    classifier.set_params(random_state=config["training"]["seed"])
    classifier.fit(features(splits.train.series), splits.train.labels)
    return classifier.predict(features(splits.test.series)), None


class ConvolutionalClassifier(nn.Module):
    """Two convolutions, the largest value of each of their channels, a linear layer."""

    def __init__(self, on_tokens, **model_settings):
        super().__init__()
        values = {} if on_tokens else {"patch_length": 1, "differences": False}
        self.tokenizer = AttentionClassifier(**model_settings | values)
        self.learn_units = self.tokenizer.learn_units
        # Tokens are as long as ten steps already: narrow kernels and no stride.
        shape = {"kernel_size": 3, "padding": 1} if on_tokens else {"kernel_size": 9, "stride": 2}
        # The step in the middle of what the first feature sees, and how many steps the next is away.
        length = model_settings["patch_length"]
        self.first, self.every = (length // 2, length) if on_tokens else (12, 4)
        self.features = nn.Sequential(
            nn.LazyConv1d(16, **shape), nn.ReLU(), nn.Conv1d(16, 32, **shape), nn.ReLU()
        )
        self.classifier = nn.Linear(32, 1)

    def forward(self, series):
        """The logits (B,), and the places of the maxima, weighed by what they add to the logit (B, T)."""
        tokens = self.tokenizer.tokenize(series)  # (B, P, F), or the values of each step (B, T, 1)
        largest, places = self.features(tokens.transpose(1, 2)).max(dim=2)  # (B, 32) each
        parts = (largest * self.classifier.weight).clamp_min(0)
        where = torch.zeros(series.shape).scatter_add(1, self.first + self.every * places, parts)
        return self.classifier(largest).squeeze(1), where


def torch_network(build, splits, config):
    """Trained as long and as fast as ours."""
    model, _ = train(config, splits, network=build)
    model.eval()
    with torch.inference_mode():
        logits, place = model(torch.from_numpy(splits.test.series))
    return logits.numpy() > 0, place.numpy()


METHODS = {
    "flattest window": flattest_window,
    "logistic regression": partial(scikit_learn, LogisticRegression(max_iter=1000), standardised),
    "MLP (scikit-learn)": partial(scikit_learn, MLPClassifier(early_stopping=True), standardised),
    "gradient boosting, on features of windows": partial(
        scikit_learn, HistGradientBoostingClassifier(), window_features
    ),
    "1-D CNN": partial(torch_network, partial(ConvolutionalClassifier, False)),
    "1-D CNN, on our tokens": partial(torch_network, partial(ConvolutionalClassifier, True)),
    "attention (ours)": partial(torch_network, AttentionClassifier),
}


def waves(args, seed, noise):
    config = settings(args, seed, f"data.noise={noise}")
    return config, make_splits(config["data"])


DATA_SETS = {
    "the article's data": partial(waves, noise=0),
    "2 % noise": partial(waves, noise=0.02),
    "5 % noise": partial(waves, noise=0.05),
    "bump": partial(make_labelled_splits, make=bumps),
    "chirp": partial(make_labelled_splits, make=chirps, patch_length=2),
    "chirp or backwards": partial(
        make_labelled_splits, make=partial(chirps, backwards=True), patch_length=2
    ),
}


def score(args, seed, method, make):
    config, splits = make(args, seed)
    started = time.perf_counter()
    predicted, place = method(splits, config)
    results = {"accuracy": float(np.mean(predicted == splits.test.labels))}
    results["seconds"] = time.perf_counter() - started
    if place is not None:
        there = splits.test.labels == ANOMALOUS
        results |= attention_metrics(place[there], splits.test.flat_mask[there])
    return results


def main():
    args = parse_args(__doc__)
    accuracy, pointing = [], []
    for name, method in METHODS.items():
        by_data = [
            measure(f"{name}, {data}", args, score, method, make) for data, make in DATA_SETS.items()
        ]
        # The time is that of the article's data.
        seconds = mean_and_worst(by_data[0], "seconds", 1, max)
        accuracy.append([name, *(mean_and_worst(results, "accuracy") for results in by_data), seconds])
        if "pointing" in by_data[0][0]:
            pointing.append([name, *(mean_and_worst(results, "pointing", 3) for results in by_data)])
    print_table(["accuracy", *DATA_SETS, "training and test, s"], accuracy)
    print_table(["pointing", *DATA_SETS], pointing)


if __name__ == "__main__":
    run_script(main)
