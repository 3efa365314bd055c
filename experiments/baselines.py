"""Do simpler methods fail, as the article says? A rule, scikit-learn and a CNN beside the attention."""

import time
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from data import make_splits
from data_utils import load_config, run_script
from experiments.common import mean_and_worst, measure, parse_args, print_table, settings, trained
from model import AttentionClassifier, clipped_difference, z_score

DATA_SETS = {
    "the article's data": (),
    "2 % noise": ("data.noise=0.02",),
    "5 % noise": ("data.noise=0.05",),
}


def longest_runs(series):
    """The most equal values in a row, for each of the series (N, T)."""
    run = longest = np.ones(len(series))
    for equal in np.diff(series, axis=1).T == 0:
        run = np.where(equal, run + 1, 1)
        longest = np.maximum(longest, run)
    return longest


def rule(splits, config):
    """Anomalous if the longest run is above a threshold, the best one on the training series."""
    train, test = (longest_runs(split.series)[:, None] for split in (splits.train, splits.test))
    return DecisionTreeClassifier(max_depth=1).fit(train, splits.train.labels).predict(test)


def inputs(series, differences):
    """The standardised values of series (N, T), and our differences if asked for: (N, 1 or 2, T)."""
    model = load_config()["model"]
    channels = [z_score(series)]
    if differences:
        channels.append(clipped_difference(channels[0], model["patch_length"], model["difference_clip"]))
    return torch.stack(channels, dim=1)


def scikit_learn(classifier, splits, config, differences=False):
    """A classifier of scikit-learn fitted to the inputs, in one row per series."""
    train, test = (
        inputs(torch.from_numpy(split.series), differences).flatten(1).numpy()
        for split in (splits.train, splits.test)
    )
    classifier.set_params(random_state=config["training"]["seed"])
    return classifier.fit(train, splits.train.labels).predict(test)


class ConvolutionalClassifier(nn.Module):
    """Two convolutions, the largest value of each of their channels, a linear layer."""

    def __init__(self, differences, **model_settings):
        super().__init__()
        self.differences = differences
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
        features = self.features(inputs(series, self.differences))  # (B, 32)
        return self.classifier(features).squeeze(1), None  # no attention


def torch_network(build, splits, config):
    """Trained as long and as fast as ours."""
    model, _ = trained(config, splits, build)
    model.eval()
    with torch.inference_mode():
        return model(torch.from_numpy(splits.test.series))[0].numpy() > 0


MLP = MLPClassifier(early_stopping=True)  # one hidden layer of 100 units
METHODS = {
    "longest run of equal values": rule,
    "logistic regression": partial(scikit_learn, LogisticRegression(max_iter=1000)),
    "MLP (scikit-learn)": partial(scikit_learn, MLP),
    "1-D CNN": partial(torch_network, partial(ConvolutionalClassifier, False)),
    "MLP, with our differences": partial(scikit_learn, MLP, differences=True),
    "1-D CNN, with our differences": partial(torch_network, partial(ConvolutionalClassifier, True)),
    "attention (ours)": partial(torch_network, AttentionClassifier),
}


def accuracy(args, seed, method, overrides):
    config = settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    started = time.perf_counter()
    predicted = method(splits, config)
    seconds = time.perf_counter() - started
    return {"accuracy": float(np.mean(predicted == splits.test.labels)), "seconds": seconds}


def main():
    args = parse_args(__doc__)
    rows = []
    for name, method in METHODS.items():
        by_data = [
            measure(f"{name}, {data}", args, accuracy, method, overrides)
            for data, overrides in DATA_SETS.items()
        ]
        seconds = mean_and_worst(
            [result for by_seed in by_data for result in by_seed], "seconds", 1, max
        )
        rows.append([name, *(mean_and_worst(by_seed, "accuracy") for by_seed in by_data), seconds])
    print_table(["method", *DATA_SETS, "training and test, s"], rows)


if __name__ == "__main__":
    run_script(main)
