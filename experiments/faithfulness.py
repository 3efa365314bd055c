"""Is the explanation faithful? Take away what the attention looks at; move what it should look at."""

import numpy as np
import torch

from constants import ANOMALOUS
from data import make_splits
from data_utils import flatten_segment, run_script, sine_wave
from experiments.ablation import NETWORKS
from experiments.common import measure, parse_args, print_results, settings
from train import train

SHARES = np.linspace(0, 0.9, 10)  # of the tokens, taken away
RANDOM_ORDERS = 10
CHOSEN = ("default", "Transformer", "mean pooling: no attention")


def logits_without(model, states, weights, removed):
    """The logits (N,) with the weights (N, P) of the tokens `removed` 0, the others scaled to sum 1."""
    weights = weights.masked_fill(torch.from_numpy(removed), 0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return model.classifier((weights.unsqueeze(2) * states).sum(dim=1)).squeeze(1)


@torch.inference_mode()
def deletion(model, series, seed):
    """How far the mean logit of anomalous series falls, averaged over SHARES (AOPC).

    For the tokens with the most attention first, and for random ones (Early et al. 2024).
    """
    model.eval()
    states, _ = model.lstm(model.tokenize(torch.from_numpy(series)))  # (N, P, 2H)
    weights = model(torch.from_numpy(series))[1][:, :: model.patch_length] * model.patch_length  # (N, P)
    chance = np.random.default_rng(seed).random((RANDOM_ORDERS, *weights.shape))
    orders = {
        "attended": [np.lexsort((ties, -weights.numpy())) for ties in chance],  # equal weights by chance
        "random": [ties.argsort(axis=1) for ties in chance],
    }
    falls = {}
    for name, permutations in orders.items():
        curves = []
        for order in permutations:
            ranks, counts = order.argsort(axis=1), (SHARES * weights.shape[1]).round()
            logits = [logits_without(model, states, weights, ranks < count).mean() for count in counts]
            curves.append([logits[0] - logit for logit in logits[1:]])
        falls[name] = float(np.mean(curves))
    return falls | {"area": falls["attended"] - falls["random"]}


def moved_segment(model, data_config, count=200):
    """Each wave with its flat segment at eight places: does the centre of the attention follow?"""
    rng = np.random.default_rng(data_config["seed"] + 1000)  # waves that no training has seen
    num_points = data_config["num_points"]
    length = num_points // 5
    time = np.linspace(0, 2 * np.pi, num_points)
    waves = sine_wave(time, rng.uniform(*data_config["frequency"], size=(count, 1)), 1.0)
    distances, mass = [], []
    for start in np.linspace(0, num_points - length, 8).astype(int):
        _, attention = model.predict([flatten_segment(wave, start, length) for wave in waves])
        centre = start + (length - 1) / 2
        distances.append(np.abs(attention @ np.arange(num_points) - centre))
        mass.append(attention[:, start : start + length].sum(axis=1))
    return {"distance": float(np.mean(distances)), "moved_mass": float(np.mean(mass))}


def faithfulness(args, seed, network, *overrides):
    config = settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=network)
    anomalous = splits.test.series[splits.test.labels == ANOMALOUS]
    return deletion(model, anomalous, seed) | moved_segment(model, config["data"])


def main():
    args = parse_args(__doc__)
    results = {label: measure(label, args, faithfulness, *NETWORKS[label]) for label in CHOSEN}
    columns = {
        "fall of the logit, most attention first": ("attended", 2),
        "random tokens first": ("random", 2, max),
        "difference": ("area", 2),
        "segment moved: distance of the centres, steps": ("distance", 1, max),
        "mass": ("moved_mass", 3),
    }
    print_results("network", columns, results)


if __name__ == "__main__":
    run_script(main)
