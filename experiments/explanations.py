"""Attention beside what people use otherwise: gradients, occlusion, evidence. Which finds it?"""

from functools import partial

import numpy as np
import torch

from constants import ANOMALOUS, NORMAL
from data import make_splits
from data_utils import run_script
from evaluate import attention_metrics
from experiments.ablation import NETWORKS, token_shares, trace
from experiments.common import mean_and_worst, measure, parse_args, print_table, settings
from train import train

CHOSEN = ("default", "mean pooling: no attention", "Transformer")
DRAWS = 4  # normal series that tokens are replaced from
points, weights = np.polynomial.legendre.leggauss(300)  # for an integral over -1 .. 1
POINTS, WEIGHTS = (points + 1) / 2, weights / 2  # over 0 .. 1


def logits_of(model, tokens):
    """Tokens (B, P, F) -> logits (B,)"""
    context, _ = model.pool(model.lstm(tokens)[0])
    return model.classifier(context).squeeze(1)


def gradients(model, tokens):
    """The gradient of each logit with respect to its tokens (B, P, F)."""
    tokens = tokens.detach().requires_grad_()
    return torch.autograd.grad(logits_of(model, tokens).sum(), tokens)[0]


# Each explanation is a function of the model, the tokens (B, P, F) of some series, and those of as many
# or more normal series. It gives each token a number (B, P): how much it speaks for "anomalous".


def attention(model, tokens, normal):
    return model.pool(model.lstm(tokens)[0])[1]


def traced(model, tokens, normal):
    return trace(attention(model, tokens, normal), token_shares(model, tokens))


def evidence(model, tokens, normal):
    """a_i (v · h_i + d), whose sum is the logit.

    With equal weights it is the class activation map (Zhou et al., CVPR 2016).
    """
    states, _ = model.lstm(tokens)
    return model.pool(states)[1] * model.classifier(states).squeeze(2)


def gradient_times_input(model, tokens, normal):
    return (tokens * gradients(model, tokens)).sum(dim=2)


def gradient_size(model, tokens, normal):
    """Simonyan et al. 2014."""
    return gradients(model, tokens).norm(dim=2)


def zeros(tokens, normal):
    return [torch.zeros_like(tokens)]


def draws(tokens, normal):
    """For each series, the tokens of other, normal ones, DRAWS times."""
    return [normal.roll(draw, dims=0)[: len(tokens)] for draw in range(DRAWS)]


# The last four are means over baselines: what the tokens are compared with.


def integrated_gradients(model, tokens, normal, baselines):
    """Sundararajan et al. 2017; with normal series as baselines close to Erion et al. 2021."""
    total, chosen = torch.zeros(tokens.shape[:2]), baselines(tokens, normal)
    for baseline in chosen:
        change = tokens - baseline
        for point, weight in zip(POINTS, WEIGHTS):
            gradient = gradients(model, baseline + point * change)
            total += weight / len(chosen) * (change * gradient).sum(dim=2)
    return total


@torch.no_grad()
def occlusion(model, tokens, normal, baselines):
    """Zeiler & Fergus 2014: how far the logit falls when a token is replaced."""
    total, chosen, logits = (
        torch.zeros(tokens.shape[:2]),
        baselines(tokens, normal),
        logits_of(model, tokens),
    )
    for baseline in chosen:
        for place in range(tokens.shape[1]):
            occluded = tokens.clone()
            occluded[:, place] = baseline[:, place]
            total[:, place] += (logits - logits_of(model, occluded)) / len(chosen)
    return total


# With the number of passes through the network that a series of 50 tokens costs, forwards or backwards.
FROM_ZEROS, FROM_NORMAL = "integrated gradients, from zeros", "integrated gradients, from normal series"
EXPLANATIONS = {
    "attention": (attention, 1),
    "attention, traced": (traced, 51),
    "evidence": (evidence, 1),
    "size of the gradient": (gradient_size, 2),
    "gradient times input": (gradient_times_input, 2),
    FROM_ZEROS: (partial(integrated_gradients, baselines=zeros), 2 * len(POINTS)),
    FROM_NORMAL: (partial(integrated_gradients, baselines=draws), 2 * len(POINTS) * DRAWS),
    "occlusion by zeros": (partial(occlusion, baselines=zeros), 51),
    "occlusion by tokens of normal series": (partial(occlusion, baselines=draws), 50 * DRAWS + 1),
}


@torch.no_grad()
def sum_error(model, tokens, values, baselines):
    """Integrated gradients promise to add up to the change of the logit: the median relative error."""
    change = logits_of(model, tokens) - sum(logits_of(model, b) for b in baselines) / len(baselines)
    return ((values.sum(dim=1) - change) / change).abs().median().item()


def explain(args, seed, network, *overrides, count=100):
    """The scores of each explanation over anomalous test series, and logits of each class."""
    config = settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=network)
    model.eval()
    rows = [np.flatnonzero(splits.test.labels == label)[:count] for label in (NORMAL, ANOMALOUS)]
    normal, tokens = (model.tokenize(torch.from_numpy(splits.test.series[r])) for r in rows)
    flat_mask = splits.test.flat_mask[rows[1]]
    results = {}
    for name, (method, _) in EXPLANATIONS.items():
        values = method(model, tokens, normal).detach()
        scores = values.clamp_min(0)  # what speaks for "anomalous"
        scores = scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-30)
        steps = scores.numpy().repeat(model.patch_length, axis=1) / model.patch_length
        results[name] = attention_metrics(steps, flat_mask)
        if name in (FROM_ZEROS, FROM_NORMAL):
            baselines = method.keywords["baselines"](tokens, normal)
            results[name]["error"] = sum_error(model, tokens, values, baselines)
    with torch.no_grad():
        for name, sample in {"normal": normal, "anomalous": tokens, "zeros": 0 * tokens}.items():
            value = evidence(model, sample, normal)
            results[f"tokens of {name}"] = {
                "in all": value.sum(dim=1).mean().item(),
                "positive": value.clamp_min(0).sum(dim=1).mean().item(),
            }
    return results


def main():
    args = parse_args(__doc__)
    evidences = []
    for title, noise in {"no noise": 0, "5 % noise": 0.05}.items():
        for label in CHOSEN:
            network = f"{label}, {title}"
            by_seed = measure(network, args, explain, *NETWORKS[label], f"data.noise={noise}")
            rows = []
            for name, (_, passes) in EXPLANATIONS.items():
                results = [results[name] for results in by_seed]
                scores = [mean_and_worst(results, score, 3) for score in ("mass", "pointing", "auc")]
                has_sum = "error" in results[0]
                error = mean_and_worst(results, "error", 4, max) if has_sum else ""
                rows.append([name, *scores, str(passes), error])
            print_table([network, "mass", "pointing", "AUC", "passes", "error of the sum"], rows)
            for kind in ("normal", "anomalous", "zeros"):
                parts = [results[f"tokens of {kind}"] for results in by_seed]
                means = (f"{np.mean([p[part] for p in parts]):.2f}" for part in ("in all", "positive"))
                evidences.append([network, kind, *means])
    print_table(["network", "tokens", "evidence in all: the logit", "its positive part"], evidences)


if __name__ == "__main__":
    run_script(main)
