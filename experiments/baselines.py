"""Do simpler methods fail, as the article says? A rule, scikit-learn and a CNN beside the attention."""

import time
import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import nn

from data import make_splits
from data_utils import run_script
from experiments.common import (
    Row,
    mean_and_worst,
    measure_rows,
    not_interrupted,
    parse_args,
    print_table,
    settings,
    trained,
)
from model import clipped_difference, standardize
from train import fit

DATA_SETS = {
    "the article's data": (),
    "random phase": ("data.phase=[0, 6.283185307179586]",),
    "2 % noise": ("data.noise=0.02",),
    "5 % noise": ("data.noise=0.05",),
}


def longest_runs(series):
    """The most equal values in a row, for each of the series (N, T)."""
    runs = np.ones(len(series), dtype=int)
    longest = runs.copy()
    for step in range(1, series.shape[1]):
        runs = np.where(series[:, step] == series[:, step - 1], runs + 1, 1)
        longest = np.maximum(longest, runs)
    return longest


def rule(splits, config):
    """Anomalous if the longest run is at least a threshold, the best one on the training series."""
    longest = longest_runs(splits.train.series)
    thresholds = np.unique(longest)
    right = [np.mean((longest >= threshold) == splits.train.labels) for threshold in thresholds]
    return longest_runs(splits.test.series) >= thresholds[np.argmax(right)]


def inputs(series, config, differences):
    """The standardised values (N, T) of series; with `differences`, as our network sees them, (N, 2, T)."""
    values = standardize(series)
    if not differences:
        return values.unsqueeze(1)
    lag, clip = config["model"]["patch_length"], config["model"]["difference_clip"]
    return torch.stack([values, clipped_difference(values, lag, clip)], dim=1)


def features(split, config, differences=False):
    """The inputs in one row per series, as scikit-learn takes them."""
    return inputs(torch.from_numpy(split.series), config, differences).flatten(1).numpy()


def logistic_regression(splits, config):
    classifier = LogisticRegression(max_iter=1000)
    classifier.fit(features(splits.train, config), splits.train.labels)
    return classifier.predict(features(splits.test, config))


def mlp(splits, config, differences=False):
    """One hidden layer of 100 units, stopped early on a tenth of the training series."""
    classifier = MLPClassifier(early_stopping=True, random_state=config["training"]["seed"])
    with warnings.catch_warnings():
        # Of Ctrl-C scikit-learn only warns.
        warnings.filterwarnings("error", message="Training interrupted")
        try:
            classifier.fit(features(splits.train, config, differences), splits.train.labels)
        except UserWarning as interruption:
            raise KeyboardInterrupt from interruption
    return classifier.predict(features(splits.test, config, differences))


def mlp_with_differences(splits, config):
    return mlp(splits, config, differences=True)


class ConvolutionalClassifier(nn.Module):
    """Two convolutions, the largest value of each of their channels, a linear layer."""

    def __init__(self, config, differences):
        super().__init__()
        self.config, self.differences = config, differences
        self.features = nn.Sequential(
            nn.Conv1d(2 if differences else 1, 16, kernel_size=9, stride=2),
            nn.ReLU(),
            nn.Conv1d(16, 32, kernel_size=9, stride=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(32, 1)

    def forward(self, series):
        features = self.features(inputs(series, self.config, self.differences))  # (B, 32)
        return self.classifier(features).squeeze(1), None  # no attention


def cnn(splits, config, differences=False):
    """Trained as long and as fast as ours."""
    torch.manual_seed(config["training"]["seed"])
    model = ConvolutionalClassifier(config, differences)
    not_interrupted(fit(model, config, splits))
    model.eval()
    with torch.inference_mode():
        return model(torch.from_numpy(splits.test.series))[0].numpy() > 0


def cnn_with_differences(splits, config):
    return cnn(splits, config, differences=True)


def attention(splits, config):
    model, _ = trained(config, splits)
    return model.predict(splits.test.series)[0] > 0.5


METHODS = {
    "longest run of equal values": rule,
    "logistic regression": logistic_regression,
    "MLP (scikit-learn)": mlp,
    "1-D CNN": cnn,
    "MLP, with our differences": mlp_with_differences,
    "1-D CNN, with our differences": cnn_with_differences,
    "attention (ours)": attention,
}


def accuracy_of(method):
    def measure(config):
        splits = make_splits(config["data"])
        started = time.perf_counter()
        predicted = method(splits, config)
        seconds = time.perf_counter() - started
        return {"accuracy": float(np.mean(predicted == splits.test.labels)), "seconds": seconds}

    return measure


def main():
    args = parse_args(__doc__)
    rows = [
        Row(f"{name} on {data}", settings(seed, *overrides, quick=args.quick), accuracy_of(method))
        for name, method in METHODS.items()
        for data, overrides in DATA_SETS.items()
        for seed in args.seeds
    ]
    results = measure_rows("baselines", rows, args)
    print_table(
        ["method", *DATA_SETS, "training and test, s"],
        [
            [
                name,
                *(mean_and_worst(results[f"{name} on {data}"], "accuracy") for data in DATA_SETS),
                mean_and_worst(
                    [f for data in DATA_SETS for f in results[f"{name} on {data}"]], "seconds", 1, max
                ),
            ]
            for name in METHODS
        ],
    )


if __name__ == "__main__":
    run_script(main)
