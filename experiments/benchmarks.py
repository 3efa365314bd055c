"""Are the events of public benchmarks found, and covered? Three of Queen et al. (2023), with four classes each.

We make them anew by the published description and sizes, but from random numbers of our own.
"""

from itertools import product

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from data import LabelledSeries, Splits
from data_utils import run_script
from evaluate import evaluate
from experiments import common
from train import train

SIZES, QUICK_SIZES = (5000, 100, 1000), (40, 20, 20)  # training, validation, test
TRAINING = ("training.batch_size=64", "training.max_epochs=10")

# In order of preference, a short memory and short patches first: the first of those settings is taken that
# are right most often on validation series. Most are, so this order decides. The order was written before
# the test; which values are in the grid was settled while looking at the truth of other seeds.
CHOICES = ("model.forget_bias", "model.patch_length", "model.smallest_change")
GRID = tuple(product((-8, 0), (2, 5), (1, 0.3)))
SCORES = ("accuracy", "pointing", "AUPRC of the attention", "... of the distance from the mean")
COLUMNS = {name: (name, 3) for name in SCORES} | common.EXCHANGE


def narma(rng, count, steps=200):
    """Second-order NARMA noise (Atiya & Parlos 2000) from uniform random inputs, (count, steps)."""
    inputs, values = rng.uniform(0, 0.5, size=(count, steps + 2)), np.zeros((count, steps + 2))
    for t in range(2, steps + 2):
        last, older, drive = values[:, t - 1], values[:, t - 2], inputs[:, t - 1] * inputs[:, t]
        values[:, t] = 0.3 * last + 0.05 * last * (last + older) + 1.5 * drive + 0.1
    return values[:, 2:]


# Each of these puts events into noise (N, T, C) by labels (N,). Returns both: where they differ, events are.


def freq_shapes(rng, labels):
    """Spikes of three steps: down or up, every 10 or every 17 steps."""
    noise = rng.normal(scale=0.25, size=(len(labels), 50, 1))
    series = noise.copy()
    for row, label in enumerate(labels):
        period, spike = (10, 10, 17, 17)[label], np.array([1.75, 2, 1.75]) * (-1, 1, -1, 1)[label]
        for middle in range(rng.integers(50 - period), 49, period):
            if middle > 0:  # the spike is whole
                series[row, middle - 1 : middle + 2, 0] += spike
    return series, noise


def seq_comb(rng, labels):
    """Two ramps in NARMA noise: both fall (class 1), both rise (2), or one rises, then one falls (3)."""
    noise = narma(rng, len(labels))
    noise += rng.normal(scale=0.01, size=noise.shape)
    series = noise.copy()
    for row, label in enumerate(labels):
        height, end = 5 * (np.abs(noise[row].min()) + np.abs(noise[row].max())), 0
        for place, sign in enumerate(((), (-1, -1), (1, 1), (1, -1))[label]):
            length = rng.integers(10, 20)
            start = rng.integers(end, 200 - length if place else 100)
            end, time = start + length, np.arange(length) - length // 2
            series[row, start:end] = sign * height * time / length + np.sin(rng.poisson(10) * time)
    return series[:, :, None], noise[:, :, None]


def low_var(rng, labels):
    """Two channels; one of them hardly varies for a while, at -1.5 or at 1.5."""
    noise = np.stack([narma(rng, len(labels)) for _ in range(2)], axis=2)
    noise += rng.normal(size=noise.shape)
    series = noise.copy()
    for row, label in enumerate(labels):
        start, length = rng.integers(20, 160), rng.integers(10, 20)
        series[row, start : start + length, label // 2] = rng.normal((-1.5, 1.5)[label % 2], 0.1, length)
    return series, noise


BENCHMARKS = {"FreqShapes": freq_shapes, "SeqComb-UV": seq_comb, "LowVar": low_var}
TIMEX = {"FreqShapes": 0.832, "SeqComb-UV": 0.712, "LowVar": 0.867}  # its published AUPRC


def make_benchmark(args, seed, make):
    """The splits, and the events of the test series by step and channel, bool (N, T, C)."""
    rng, splits = np.random.default_rng(seed), []
    for size in QUICK_SIZES if args.quick else SIZES:
        labels = np.arange(size) % 4
        series, noise = make(rng, labels)
        splits.append(LabelledSeries(series, labels, (series != noise).any(axis=2)))
    return Splits(*splits, (0, 1, 2, 3)), series != noise


def fit(args, seed, splits, setting):
    """A trained network, and its accuracy on the validation series."""
    chosen = [f"{name}={value}" for name, value in zip(CHOICES, setting)]
    config = common.settings(args, seed, *TRAINING, *chosen, path=common.RECIPE)
    model, history = train(config, splits)
    return model, history["val_accuracy"][history["best_epoch"] - 1]


@torch.inference_mode()
def scores_by_channel(model, series):
    """The e_i (N, T, C) of each channel alone, the others at their mean: unlike weights, comparable."""
    values, scores = torch.from_numpy(series), []
    for kept in torch.eye(model.shape[1], dtype=torch.bool):
        states, _ = model.lstm(model.tokenize(torch.where(kept, values, model.mean)))
        scores.append(model.pool.query(model.pool.hidden(states).tanh()))
    return torch.cat(scores, dim=2).repeat_interleave(model.patch_length, dim=1).numpy()


def auprc(values, truth):
    """The average precision within each series (T, C) that has events; the mean over the series."""
    pairs = [(true.ravel(), value.ravel()) for true, value in zip(truth, values) if true.any()]
    return np.mean([average_precision_score(*pair) for pair in pairs])


def measure_network(args, seed, make, setting):
    """Accuracy, and means over the series with events; of the exchange test, over their classes."""
    splits, truth = make_benchmark(args, seed, make)
    model, _ = fit(args, seed, splits, setting)
    metrics, series = evaluate(model, splits.test), splits.test.series
    falls = [fall for name, fall in metrics["exchange"].items() if fall and metrics["marked"][name]]
    results = {kind: np.mean([fall[kind] for fall in falls]) for kind in ("attended", "random")}
    values = scores_by_channel(model, series), model.scale(torch.from_numpy(series)).abs().numpy()
    results |= {name: auprc(of_one, truth) for name, of_one in zip(SCORES[2:], values)}
    return results | metrics["attention"] | {"accuracy": metrics["accuracy"]}


def main():
    args = common.parse_args(__doc__)
    args.seeds, rows = args.seeds[:3], []
    for name, make in BENCHMARKS.items():
        splits, _ = make_benchmark(args, 0, make)
        setting = max(GRID, key=lambda choice: fit(args, 0, splits, choice)[1])
        results = common.measure(args, measure_network, {name: (make, setting)})[name]
        cells = [common.mean_and_worst(results, *column) for column in COLUMNS.values()]
        rows.append([f"{name} {setting}", *cells, TIMEX[name]])
    header = ["benchmark (forget bias, patch, smallest change)", *COLUMNS, "... of TimeX, published"]
    question = "Are the events of public benchmarks found, and covered?"
    common.write_results(args, __file__, question, common.markdown(header, rows))


if __name__ == "__main__":
    run_script(main)
