"""Do simpler methods fail? A rule, scikit-learn and convolutions beside the attention."""

from functools import partial

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import nn

from data import make_splits
from data_utils import run_script
from evaluate import attention_metrics
from experiments import common
from experiments.kinds import bumps, chirps, make_labelled_splits
from experiments.rules import WINDOWS, flattest_window, rolling_variance, standardised
from model import AttentionClassifier
from train import train


class CNN(AttentionClassifier):
    """Two convolutions, the largest value of each of their channels, a linear layer."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        # Over single values, wider kernels and fewer of them: a token is as long as several steps.
        kernel, self.stride = (9, 2) if self.patch_length == 1 else (3, 1)
        shape = {"kernel_size": kernel, "stride": self.stride, "padding": kernel // 2}
        first, second = nn.Conv1d(self.lstm.input_size, 16, **shape), nn.Conv1d(16, 32, **shape)
        self.features = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.classifier = nn.Linear(32, 1)
        del self.lstm, self.pool

    def classify(self, tokens):
        """Tokens (B, P, F) -> logits (B, 2), and (B, P): what the largest values there add to the second."""
        largest, places = self.features(tokens.transpose(1, 2)).max(dim=2)  # (B, 32) each
        parts, added = (largest * self.classifier.weight).clamp_min(0), torch.zeros(tokens.shape[:2])
        return self.logits(largest), added.scatter_add(1, self.stride**2 * places, parts)


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
    """Predictions (N,) of the test series, and None: it says nothing of places."""
    classifier.set_params(random_state=config["training"]["seed"])
    classifier.fit(features(splits.train.series), splits.train.labels)
    return classifier.predict(features(splits.test.series)), None


def network(network_class, splits, config, **settings):
    """Predictions (N,) of the test series, and the places (N, T) that they rest on."""
    training = config["training"]
    if network_class is CNN:  # which needs more than our two epochs on waves
        training = training | {"max_epochs": max(10, training["max_epochs"])}
    config = config | {"model": config["model"] | settings, "training": training}
    probability, place = train(config, splits, network=network_class)[0].predict(splits.test.series)
    return probability.argmax(axis=1), place


NOTE = "The CNN trains for ten epochs or more, and else with the settings chosen for our network.\n"
METHODS = {  # functions of splits and config that return predictions (N,), and places (N, T) or None
    "flattest window": flattest_window,
    "logistic regression": partial(scikit_learn, LogisticRegression(max_iter=1000), standardised),
    "MLP": partial(scikit_learn, MLPClassifier(early_stopping=True), standardised),
    "gradient boosting": partial(scikit_learn, HistGradientBoostingClassifier(), window_features),
    "1-D CNN": partial(network, CNN, patch_length=1, differences=False),
    "1-D CNN, our tokens": partial(network, CNN),
    "attention (ours)": partial(network, AttentionClassifier),
}


def make_waves(args, seed, noise):
    config = common.settings(args, seed, f"data.noise={noise}")
    return config, make_splits(config["data"])


DATA = {  # what makes the settings and the splits, and its arguments
    "the article's data": (make_waves, 0),
    "2 % noise": (make_waves, 0.02),
    "5 % noise": (make_waves, 0.05),
    "bump": (make_labelled_splits, bumps),
    "chirp": (make_labelled_splits, chirps, "model.patch_length=2"),
}
DATA["chirp or backwards"] = (make_labelled_splits, partial(chirps, backwards=True), DATA["chirp"][2])


def measure_method(args, seed, method, make, *arguments):
    config, splits = make(args, seed, *arguments)
    predicted, place = method(splits, config)
    mask, scores = splits.test.flat_mask, {"accuracy": np.mean(predicted == splits.test.labels)}
    marked = mask.any(axis=1)
    return scores if place is None else scores | attention_metrics(place[marked], mask[marked])


def main():
    args = common.parse_args(__doc__)
    pairs = {(m, d): (METHODS[m], *DATA[d]) for m in METHODS for d in DATA}
    results, tables = common.measure(args, measure_method, pairs), []
    for score in ("accuracy", "pointing"):
        having = [m for m in METHODS if score in results[m, "bump"][0]]
        rows = [[m, *(common.mean_and_worst(results[m, d], score) for d in DATA)] for m in having]
        tables.append(common.markdown([score, *DATA], rows))
    common.write_results(args, __file__, "Do simpler methods fail?", *tables, NOTE)


if __name__ == "__main__":
    run_script(main)
