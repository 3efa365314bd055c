"""Three public benchmarks with known truth: are the events found, and are they covered?

FreqShapes, SeqComb-UV and LowVar (Queen et al., NeurIPS 2023) have four classes each. We make them anew by
the published description and sizes, but from random numbers of our own.
"""

from itertools import product

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from data import LabelledSeries, Splits
from data_utils import run_script
from evaluate import attention_metrics, predicted_labels
from experiments import common
from experiments.common import mean_and_worst, measure, print_table, settings
from experiments.labelled import RECIPE
from train import train

points, weights = np.polynomial.legendre.leggauss(50)  # for an integral over -1 .. 1
POINTS, WEIGHTS = (points + 1) / 2, weights / 2  # over 0 .. 1
CLASSES = 4
SIZES, QUICK_SIZES = (5000, 100, 1000), (40, 20, 20)  # training, validation, test
TRAINING = ("training.batch_size=64", "training.max_epochs=10", "training.patience=10")

# In order of preference, a short memory and short patches first: the first setting is taken whose accuracy
# on validation series is within TIE of the best. Most are, so this order decides. The order was written
# before the test; which values are in the grid was settled while looking at the truth of other seeds.
GRID = tuple(product((-8, 0), (2, 5), (1, 0.3)))  # forget_bias, patch_length, smallest_change
TIE = 0.005


def narma(rng, count, steps=200):
    """Second-order NARMA noise (Atiya & Parlos 2000) from uniform random inputs, (count, steps)."""
    inputs = rng.uniform(0, 0.5, size=(count, steps + 2))
    values = np.zeros(inputs.shape)
    for t in range(2, steps + 2):
        last, product_of_inputs = values[:, t - 1], inputs[:, t - 1] * inputs[:, t]
        values[:, t] = (
            0.3 * last + 0.05 * last * (last + values[:, t - 2]) + 1.5 * product_of_inputs + 0.1
        )
    return values[:, 2:]


# Each of these makes a series (N, T, C) for each label (N,), and marks its events, bool (N, T, C).


def freq_shapes(rng, labels):
    """Spikes of three steps in noise: down or up, every 10 or every 17 steps."""
    series = rng.normal(scale=0.25, size=(len(labels), 50, 1))
    mask = np.zeros(series.shape, dtype=bool)
    for row, label in enumerate(labels):
        period = 10 if label < 2 else 17
        for middle in range(rng.integers(50 - period), 49, period):
            if middle > 0:  # the spike is whole
                spike = np.array([1.75, 2, 1.75]) * (1 if label % 2 else -1)
                series[row, middle - 1 : middle + 2, 0] += spike
                mask[row, middle - 1 : middle + 2] = True
    return series, mask


def seq_comb(rng, labels):
    """Two ramps in NARMA noise: both fall (class 1), both rise (2), or one rises, then one falls (3)."""
    series = narma(rng, len(labels))
    series += rng.normal(scale=0.01, size=series.shape)
    mask = np.zeros(series.shape, dtype=bool)
    for row, label in enumerate(labels):
        height = 5 * (np.abs(series[row].min()) + np.abs(series[row].max()))
        end = 0
        for place, sign in enumerate(((), (-1, -1), (1, 1), (1, -1))[label]):
            length = rng.integers(10, 20)
            start = rng.integers(end, 200 - length if place else 100)
            end = start + length
            time = np.arange(length) - length // 2
            series[row, start:end] = sign * height * time / length + np.sin(rng.poisson(10) * time)
            mask[row, start:end] = True
    return series[:, :, None], mask[:, :, None]


def low_var(rng, labels):
    """Two channels of noise; one of them hardly varies for a while, at -1.5 or at 1.5."""
    series = np.stack([narma(rng, len(labels)) for _ in range(2)], axis=2)
    series += rng.normal(size=series.shape)
    mask = np.zeros(series.shape, dtype=bool)
    for row, label in enumerate(labels):
        channel, level = label // 2, (-1.5, 1.5)[label % 2]
        start, length = rng.integers(20, 160), rng.integers(10, 20)
        series[row, start : start + length, channel] = rng.normal(level, 0.1, size=length)
        mask[row, start : start + length, channel] = True
    return series, mask


# What makes it; the published AUPRC of TimeX, and of integrated gradients on the authors' Transformer.
BENCHMARKS = {
    "FreqShapes": (freq_shapes, 0.832, 0.752),
    "SeqComb-UV": (seq_comb, 0.712, 0.576),
    "LowVar": (low_var, 0.867, 0.869),
}


def make_benchmark(args, seed, make):
    """The three splits, and the events of the test series by step and channel."""
    rng, splits = np.random.default_rng(seed), []
    for size in QUICK_SIZES if args.quick else SIZES:
        labels = np.arange(size) % CLASSES
        series, truth = make(rng, labels)
        splits.append(LabelledSeries(series, labels, truth.any(axis=2)))
    return Splits(*splits), truth


def fit(args, seed, splits, setting, classes=CLASSES):
    """A trained network, and its accuracy on the validation series."""
    _, steps, channels = splits.train.series.shape
    shape = (f"data.num_points={steps}", f"model.channels={channels}", f"model.classes={classes}")
    names = ("model.forget_bias", "model.patch_length", "model.smallest_change")
    chosen = [f"{name}={value}" for name, value in zip(names, setting)]
    config = settings(args, seed, *TRAINING, *shape, *chosen, path=RECIPE)
    model, history = train(config, splits)
    return model, history["val_accuracy"][history["best_epoch"] - 1]


def choose(accuracies):
    """The first of {setting: accuracy} that is within TIE of the best."""
    least = max(accuracies.values()) - TIE
    return next(setting for setting, accuracy in accuracies.items() if accuracy >= least)


# Explanations are functions of a network, the tokens (B, P, F) of some series and the classes (B,) that
# were predicted. They give each step of each channel a number (B, T, C).


def split_tokens(model, tokens):
    """Tokens (B, P, F) as (B, P, patch_length, features of a step and channel, C)."""
    return tokens.unflatten(2, (model.patch_length, -1, model.channels))


def by_channel(explain):
    """Explain each channel by itself, with the others at their mean, and expand tokens to steps."""

    @torch.no_grad()
    def explain_channels(model, tokens, classes):
        parts = split_tokens(model, tokens)
        only = [(parts * kept).flatten(2) for kept in torch.eye(model.channels)]
        values = torch.stack([explain(model, part, classes) for part in only], dim=2)  # (B, P, C)
        return values.repeat_interleave(model.patch_length, dim=1)

    return explain_channels


@by_channel
def attention(model, tokens, classes):
    """The e_i before the softmax: of the same order as the weights, and comparable between channels."""
    return model.score(model.lstm(tokens)[0]).squeeze(2)


@by_channel
def evidence(model, tokens, classes):
    """The attention weight times the logit of the class from this state alone."""
    states, _ = model.lstm(tokens)
    return model.pool(states)[1] * model.classifier(states)[torch.arange(len(classes)), :, classes]


def integrated_gradients(model, tokens, classes):
    """Of the logit of the class, from zeros: the mean of the training set."""
    total = torch.zeros_like(tokens)
    for point, weight in zip(POINTS, WEIGHTS):
        inputs = (point * tokens).requires_grad_()
        logits = model.classifier(model.pool(model.lstm(inputs)[0])[0])
        logit = logits.gather(1, classes[:, None]).sum()
        total += weight * torch.autograd.grad(logit, inputs)[0]
    return split_tokens(model, tokens * total).sum(dim=3).flatten(1, 2)


def distance(model, tokens, classes):
    """No network: how far each value is from the mean of the training set."""
    return split_tokens(model, tokens)[:, :, :, 0].abs().flatten(1, 2)


EXPLANATIONS = {
    "attention": attention,
    "evidence": evidence,
    "integrated gradients": integrated_gradients,
    "distance from the mean": distance,
}


def auprc(values, truth):
    """The average precision within each series (T, C); the mean of the series."""
    pairs = zip(truth, values)
    return np.mean([average_precision_score(true.ravel(), value.ravel()) for true, value in pairs])


def measure_network(args, seed, make, setting):
    """The accuracy, and {label: scores} of the classes with events."""
    splits, truth = make_benchmark(args, seed, make)
    test, (model, _) = splits.test, fit(args, seed, splits, setting)
    probability, weights = model.predict(test.series)
    predicted = predicted_labels(probability)
    tokens = model.tokenize(torch.from_numpy(test.series))
    values = {
        name: explain(model, tokens, torch.from_numpy(predicted)).numpy()
        for name, explain in EXPLANATIONS.items()
    }
    result = {"accuracy": np.mean(predicted == test.labels)}
    for label in np.unique(test.labels[test.flat_mask.any(axis=1)]):
        rows = test.labels == label
        result[label] = {
            "recall": np.mean(predicted[rows] == label),
            "pointing": attention_metrics(weights[rows], test.flat_mask[rows])["pointing"],
        } | {name: auprc(array[rows], truth[rows]) for name, array in values.items()}
    return result


def measure_against_rest(args, seed, make, setting):
    """{label: scores} of a network for each class with events, against the rest."""
    splits, _ = make_benchmark(args, seed, make)
    result = {}
    for label in np.unique(splits.test.labels[splits.test.flat_mask.any(axis=1)]):
        own = [split.labels == label for split in splits]
        pair = Splits(
            *(
                split._replace(labels=rows.astype(int), flat_mask=split.flat_mask & rows[:, None])
                for split, rows in zip(splits, own)
            )
        )
        result[label] = common.scores(fit(args, seed, pair, setting, classes=2)[0], pair.test)
    return result


def average(result, name):
    """The mean over the classes with events."""
    return np.mean([scores[name] for label, scores in result.items() if label != "accuracy"])


def main():
    args = common.parse_args(__doc__)
    args.seeds = args.seeds[:3]
    overall, by_class = [], []
    for name, (make, timex, transformer) in BENCHMARKS.items():
        splits, _ = make_benchmark(args, args.seeds[0], make)
        setting = choose({choice: fit(args, args.seeds[0], splits, choice)[1] for choice in GRID})
        results = measure(name, args, measure_network, make, setting)
        for result in results:
            result |= {score: average(result, score) for score in ("pointing", *EXPLANATIONS)}
        cells = [mean_and_worst(results, score, 3) for score in ("accuracy", "pointing", *EXPLANATIONS)]
        overall.append([name, str(setting), *cells, str(timex), str(transformer)])
        rest = measure_against_rest(args, args.seeds[0], make, setting)
        for label, alone in rest.items():
            own = [result[label] for result in results]
            cells = [mean_and_worst(own, score, 3) for score in ("recall", "pointing", *EXPLANATIONS)]
            alone = [f"{alone[score]:.3f}" for score in ("recall", "pointing")]
            by_class.append([f"{name}, class {label}", *cells, *alone])
    paper = ("paper: TimeX", "paper: integrated gradients")
    print_table(["benchmark", "chosen", "accuracy", "pointing", *EXPLANATIONS, *paper], overall)
    print_table(
        ["class", "recall", "pointing", *EXPLANATIONS, "alone: recall", "alone: pointing"], by_class
    )


if __name__ == "__main__":
    run_script(main)
