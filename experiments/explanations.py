"""Do other explanations find the event, and does the network use what they mark?"""

import numpy as np
import torch

from constants import ANOMALOUS, NORMAL
from data import make_splits
from data_utils import run_script
from evaluate import attention_metrics, highest_tenth, log_odds
from experiments import common, zoo
from model import AttentionClassifier
from train import train

COUNT, DRAWS, POINTS = 100, 4, 100  # anomalous series; normal ones beside each; points of an integral
NETWORKS = {  # the settings of the Transformer are those of networks.py
    "default": (AttentionClassifier,),
    "mean pooling": (AttentionClassifier, "model.attention=false"),
    "Transformer": (zoo.Transformer, *zoo.FAIR_TRAINING),
}
COLUMNS = {name: common.SCORES[name] for name in ("pointing", "mass")}
COLUMNS |= {"fall, highest ranked": ("highest", 1), "fall, random": ("random", 1, max)}


def gradients(model, tokens):
    """The gradient of the log-odds of "anomalous" for tokens (B, P, F), of the same shape."""
    tokens = tokens.detach().requires_grad_()
    logits, _ = model.classify(tokens)
    return torch.autograd.grad(log_odds(logits, ANOMALOUS).sum(), tokens)[0]


def integrated_gradients(model, tokens, baselines, points=POINTS):
    """What each number of the tokens (B, P, F) adds to the log-odds of "anomalous".

    Sundararajan et al. 2017: over the tokens of a series, it sums to the change of the log-odds from a
    baseline to them. The result is the mean over the baselines (D, B, P, F); with those of real series, it
    is close to expected gradients (Erion et al. 2021). Costs two passes for each of the points and baselines.
    """
    places, weights = np.polynomial.legendre.leggauss(points)  # of an integral over -1 .. 1
    total = torch.zeros_like(tokens)
    for change in tokens - baselines:
        for place, weight in zip((1 - places) / 2, weights / 2):
            total += weight * change * gradients(model, tokens - place * change)
    return total / len(baselines)


@torch.no_grad()
def fall(model, tokens, normal, places):
    """The fall (B,) of the log-odds if tokens (B, P, F) at places (P,) or (B, P) become normal (D, B, P, F)."""
    mixed = torch.where(places.unsqueeze(-1), normal, tokens).flatten(0, 1)  # (D B, P, F)
    before, after = (log_odds(model.classify(t)[0], ANOMALOUS) for t in (tokens, mixed))
    return before - after.unflatten(0, normal.shape[:2]).mean(dim=0)


def explain(model, tokens, normal):
    """{explanation: (how much each token speaks for "anomalous" (B, P), passes)} for tokens (B, P, F).

    normal: tokens (D, B, P, F) to compare with. A pass goes through the network, forwards or backwards.
    """
    with torch.no_grad():
        states, _ = model.lstm(tokens)
        _, weights = model.pool(states)
        alone = log_odds(model.logits(states).flatten(0, 1), ANOMALOUS).view_as(weights)
    gradient, zeros = gradients(model, tokens), torch.zeros_like(tokens[None])
    from_zeros, from_normal = (
        integrated_gradients(model, tokens, b).sum(dim=2) for b in (zeros, normal)
    )
    places = torch.eye(tokens.shape[1], dtype=torch.bool)
    occlusion = torch.stack([fall(model, tokens, normal, place) for place in places], dim=1)
    return {
        "attention": (weights, 1),
        "evidence": (weights * alone, 1),  # of mean pooling, class activation maps (Zhou et al. 2016)
        "size of the gradient": (gradient.norm(dim=2), 2),  # Simonyan et al. 2014
        "gradient times input": ((gradient * tokens).sum(dim=2), 2),
        "integrated gradients, from zeros": (from_zeros, 2 * POINTS),
        "integrated gradients, from normal series": (from_normal, 2 * POINTS * DRAWS),
        "occlusion by normal tokens": (occlusion, 1 + DRAWS * len(places)),  # Zeiler & Fergus 2014
    }


def measure_explanations(args, seed, network, *overrides):
    """{explanation: scores} over anomalous test series."""
    config = common.settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=network)
    test, rng, results = splits.test, np.random.default_rng(0), {}
    rows = np.flatnonzero(test.labels == ANOMALOUS)[:COUNT]
    # Explained by some normal series, tested by others: an explanation must not know those of the test.
    halves = np.array_split(np.flatnonzero(test.labels == NORMAL), 2)
    drawn = [rows, *(rng.choice(half, DRAWS * len(rows)) for half in halves)]
    tokens, *others = (model.tokenize(torch.from_numpy(test.series[of_set])) for of_set in drawn)
    normal, donors = (other.unflatten(0, (DRAWS, -1)) for other in others)
    chance = torch.from_numpy(rng.random(tokens.shape[:2]))
    for name, (values, passes) in explain(model, tokens, normal).items():
        positive = values.clamp_min(1e-30)  # what speaks against "anomalous" counts as nothing
        steps = positive.numpy().repeat(model.patch_length, axis=1)
        steps /= steps.sum(axis=1, keepdims=True)
        results[name] = attention_metrics(steps, test.flat_mask[rows]) | {"passes": passes}
        for kind, order in {"highest": values + 1e-12 * chance, "random": chance}.items():
            results[name][kind] = fall(model, tokens, donors, highest_tenth(order)).mean().item()
    return results


def main():
    args, rows = common.parse_args(__doc__), []
    for network, by_seed in common.measure(args, measure_explanations, NETWORKS).items():
        for name, scores in by_seed[0].items():
            results = [of_seed[name] for of_seed in by_seed]
            cells = [common.mean_and_worst(results, *column) for column in COLUMNS.values()]
            rows.append([f"{network}: {name}", *cells, scores["passes"]])
    table = common.markdown(["network: explanation", *COLUMNS, "passes"], rows)
    common.write_results(args, __file__, __doc__, table)


if __name__ == "__main__":
    run_script(main)
