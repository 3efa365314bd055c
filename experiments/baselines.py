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
from experiments.common import mean_and_worst, measure, parse_args, print_table, settings
from model import AttentionClassifier, z_score
from train import train

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
    train_runs, test_runs = (longest_runs(s.series)[:, None] for s in (splits.train, splits.test))
    return DecisionTreeClassifier(max_depth=1).fit(train_runs, splits.train.labels).predict(test_runs)


def inputs(series, tokens):
    """The standardised values of series (N, T) as (N, 1, T), or our tokens as (N, F, P)."""
    if not tokens:
        return z_score(series).unsqueeze(1)
    return AttentionClassifier(**load_config()["model"]).tokenize(series).transpose(1, 2)


def scikit_learn(classifier, splits, config, tokens=False):
    """A classifier of scikit-learn fitted to the inputs, in one row per series."""
    train_rows, test_rows = (
        inputs(torch.from_numpy(split.series), tokens).flatten(1).numpy()
        for split in (splits.train, splits.test)
    )
    classifier.set_params(random_state=config["training"]["seed"])
    return classifier.fit(train_rows, splits.train.labels).predict(test_rows)


class ConvolutionalClassifier(nn.Module):
    """Two convolutions, the largest value of each of their channels, a linear layer."""

    def __init__(self, tokens, **model_settings):
        super().__init__()
        self.tokens = tokens
        # Tokens are as long as ten steps already: narrow kernels and no stride.
        shape = {"kernel_size": 3, "padding": 1} if tokens else {"kernel_size": 9, "stride": 2}
        self.features = nn.Sequential(
            nn.LazyConv1d(16, **shape),
            nn.ReLU(),
            nn.Conv1d(16, 32, **shape),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(32, 1)

    def forward(self, series):
        features = self.features(inputs(series, self.tokens))  # (B, 32)
        return self.classifier(features).squeeze(1), None  # no attention


def torch_network(build, splits, config):
    """Trained as long and as fast as ours."""
    model, _ = train(config, splits, network=build)
    model.eval()
    with torch.inference_mode():
        return model(torch.from_numpy(splits.test.series))[0].numpy() > 0


MLP = MLPClassifier(early_stopping=True)  # one hidden layer of 100 units
METHODS = {
    "longest run of equal values": rule,
    "logistic regression": partial(scikit_learn, LogisticRegression(max_iter=1000)),
    "MLP (scikit-learn)": partial(scikit_learn, MLP),
    "1-D CNN": partial(torch_network, partial(ConvolutionalClassifier, False)),
    "MLP, on our tokens": partial(scikit_learn, MLP, tokens=True),
    "1-D CNN, on our tokens": partial(torch_network, partial(ConvolutionalClassifier, True)),
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
