"""Is the explanation faithful? Take away what the attention looks at; move what it should look at."""

import numpy as np
import torch

from constants import ANOMALOUS
from data import make_splits
from data_utils import flatten_segment, run_script, segment_mask, sine_wave
from experiments.common import (
    NETWORKS,
    mean_and_worst,
    measure_rows,
    parse_args,
    print_table,
    rows_of,
    trained,
)

SHARES = np.linspace(0, 0.9, 10)  # of the tokens, taken away
RANDOM_ORDERS = 10


def logits_without(model, series, removed):
    """The logits (N,) with the weights of the tokens `removed` (N, tokens) 0, the others renormalised."""
    model.eval()
    with torch.inference_mode():
        tokens = model.tokenize(torch.from_numpy(series))
        states, _ = model.lstm(tokens)
        weights = model.attention_scores(tokens, states).softmax(dim=1)
        weights = weights.masked_fill(torch.from_numpy(removed), 0)
        weights = weights / weights.sum(dim=1, keepdim=True)
        context = (weights.unsqueeze(2) * states).sum(dim=1)
        return model.classifier(context).squeeze(1).numpy()


def deletion(model, series, seed):
    """How far the mean logit of anomalous series falls, averaged over SHARES (AOPC).

    For the tokens with the most attention first, and for random ones (Early et al. 2024).
    """
    _, attention = model.predict(series)
    weights = attention[:, :: model.patch_length]
    rng = np.random.default_rng(seed)
    chance = rng.random((RANDOM_ORDERS, *weights.shape))
    orders = {
        "attention": [np.lexsort((ties, -weights)) for ties in chance],  # equal weights by chance
        "random": [numbers.argsort(axis=1) for numbers in chance],
    }
    counts = (SHARES * weights.shape[1]).round()
    falls = {}
    for name, permutations in orders.items():
        curves = []
        for order in permutations:
            rank = order.argsort(axis=1)
            curves.append([logits_without(model, series, rank < count).mean() for count in counts])
        curve = np.mean(curves, axis=0)
        falls[name] = float(np.mean(curve[0] - curve[1:]))
    return falls


def moved_stretch(model, data_config, count=200):
    """Each wave with its flat segment at eight places: does the centre of the attention follow?"""
    rng = np.random.default_rng(data_config["seed"] + 1000)  # waves that no training has seen
    num_points = data_config["num_points"]
    length = num_points // 5
    time = np.linspace(0, 2 * np.pi, num_points)
    frequency = rng.uniform(*data_config["frequency"], size=(count, 1))
    waves = sine_wave(time, frequency, 1.0)
    true_centres, centres, mass = [], [], []
    for start in np.linspace(0, num_points - length, 8).astype(int):
        starts, lengths = np.full(count, start), np.full(count, length)
        _, attention = model.predict(flatten_segment(waves, starts, lengths))
        true_centres += count * [start + (length - 1) / 2]
        centres += list(attention @ np.arange(num_points))
        mass += list((attention * segment_mask(num_points, starts, lengths)).sum(axis=1))
    errors = np.abs(np.subtract(centres, true_centres))
    return {
        "correlation": float(np.corrcoef(centres, true_centres)[0, 1])
        if np.ptp(centres) > 1e-3
        else 0.0,
        "error": float(errors.mean()),
        "moved_mass": float(np.mean(mass)),
    }


def faithfulness(config):
    splits = make_splits(config["data"])
    model, _ = trained(config, splits)
    anomalous = splits.test.series[splits.test.labels == ANOMALOUS]
    falls = deletion(model, anomalous, config["training"]["seed"])
    return falls | {"area": falls["attention"] - falls["random"]} | moved_stretch(model, config["data"])


def main():
    args = parse_args(__doc__)
    results = measure_rows("faithfulness", rows_of(NETWORKS, faithfulness, args), args)
    print_table(
        ["network", "fall of the logit, most attention first", "random tokens first", "area between"],
        [
            [
                label,
                mean_and_worst(figures, "attention", 2),
                mean_and_worst(figures, "random", 2, max),
                mean_and_worst(figures, "area", 2),
            ]
            for label, figures in results.items()
        ],
    )
    print()
    print_table(
        ["network", "flat segment moved: correlation of the centres", "distance, steps", "mass"],
        [
            [
                label,
                mean_and_worst(figures, "correlation", 3),
                mean_and_worst(figures, "error", 1, max),
                mean_and_worst(figures, "moved_mass", 3),
            ]
            for label, figures in results.items()
        ],
    )


if __name__ == "__main__":
    run_script(main)
