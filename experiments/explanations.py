"""Attention beside what people use otherwise: gradients, occlusion, evidence. Which finds it?"""

import numpy as np
import torch

from constants import ANOMALOUS, NORMAL
from data import make_splits
from data_utils import run_script
from evaluate import attention_metrics
from experiments.ablation import NETWORKS, token_shares
from experiments.common import mean_and_worst, measure, parse_args, print_table, settings
from train import train

CHOSEN = ("default", "mean pooling: no attention", "Transformer")
STEPS, DRAWS = 20, 8  # points of an integral, and normal series that a token is replaced from


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
    return (attention(model, tokens, normal).unsqueeze(1) @ token_shares(model, tokens)).squeeze(1)


def evidence(model, tokens, normal):
    """a_i (v · h_i + d), whose sum is the logit.

    With equal weights it is the class activation map (Zhou et al., CVPR 2016).
    """
    states, _ = model.lstm(tokens)
    return model.pool(states)[1] * model.classifier(states).squeeze(2)


def gradient_size(model, tokens, normal):
    """Simonyan et al. 2014."""
    return gradients(model, tokens).norm(dim=2)


def integrated_gradients(model, tokens, normal):
    """Sundararajan et al. 2017, along the line from tokens of zeros."""
    shares = (torch.arange(STEPS) + 0.5) / STEPS
    return (tokens * sum(gradients(model, share * tokens) for share in shares) / STEPS).sum(dim=2)


def expected_gradients(model, tokens, normal):
    """Erion et al. 2021: the same from random points between the tokens and those of normal series."""
    total = torch.zeros_like(tokens)
    for draw in range(STEPS):
        change = tokens - normal.roll(draw, dims=0)[: len(tokens)]
        total += change * gradients(model, tokens - torch.rand(len(tokens), 1, 1) * change)
    return total.sum(dim=2) / STEPS


@torch.no_grad()
def occlusion(model, tokens, replacement):
    """Zeiler & Fergus 2014: how far the logit falls when a token is replaced."""
    falls, logits = [], logits_of(model, tokens)
    for place in range(tokens.shape[1]):
        occluded = tokens.clone()
        occluded[:, place] = replacement[:, place]
        falls.append(logits - logits_of(model, occluded))
    return torch.stack(falls, dim=1)


def occlusion_by_zeros(model, tokens, normal):
    return occlusion(model, tokens, torch.zeros_like(tokens))


def occlusion_by_normal(model, tokens, normal):
    draws = (normal.roll(draw, dims=0)[: len(tokens)] for draw in range(DRAWS))
    return sum(occlusion(model, tokens, draw) for draw in draws) / DRAWS


# With the number of passes through the network that a series of 50 tokens costs, forwards or backwards.
EXPLANATIONS = {
    "attention": (attention, 1),
    "attention, traced": (traced, 51),
    "evidence": (evidence, 1),
    "size of the gradient": (gradient_size, 2),
    "integrated gradients, from zeros": (integrated_gradients, 2 * STEPS),
    "expected gradients, from normal series": (expected_gradients, 2 * STEPS),
    "occlusion by zeros": (occlusion_by_zeros, 51),
    "occlusion by tokens of normal series": (occlusion_by_normal, 50 * DRAWS + 1),
}


def explain(args, seed, network, *overrides, count=200):
    """The scores of each explanation over anomalous test series, and the evidence of each class."""
    config = settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=network)
    model.eval()
    torch.manual_seed(seed)
    rows = [np.flatnonzero(splits.test.labels == label)[:count] for label in (NORMAL, ANOMALOUS)]
    normal, tokens = (model.tokenize(torch.from_numpy(splits.test.series[r])) for r in rows)
    flat_mask = splits.test.flat_mask[rows[1]]
    results = {}
    for name, (method, _) in EXPLANATIONS.items():
        scores = method(model, tokens, normal).detach().clamp_min(0)  # what speaks for "anomalous"
        scores = scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-30)
        steps = scores.numpy().repeat(model.patch_length, axis=1) / model.patch_length
        results[name] = attention_metrics(steps, flat_mask)
    for name, sample in (("normal", normal), ("anomalous", tokens)):
        value = evidence(model, sample, normal).detach()
        results[f"evidence, {name}"] = {
            "in all": value.sum(dim=1).mean().item(),
            "positive": value.clamp_min(0).sum(dim=1).mean().item(),
        }
    return results


def main():
    args = parse_args(__doc__)
    evidences = []
    for title, noise in {"no noise": 0, "5 % noise": 0.05}.items():
        by_network = {
            label: measure(f"{label}, {title}", args, explain, *NETWORKS[label], f"data.noise={noise}")
            for label in CHOSEN
        }
        for label, by_seed in by_network.items():
            rows = []
            for name, (_, passes) in EXPLANATIONS.items():
                results = [results[name] for results in by_seed]
                scores = [mean_and_worst(results, score, 3) for score in ("mass", "pointing", "auc")]
                rows.append([name, *scores, str(passes)])
            print_table([f"{label}, {title}", "mass", "pointing", "AUC", "passes"], rows)
            for kind in ("evidence, normal", "evidence, anomalous"):
                results = [results[kind] for results in by_seed]
                means = (f"{np.mean([r[part] for r in results]):.2f}" for part in ("in all", "positive"))
                evidences.append([f"{label}, {title}", kind, *means])
    print_table(
        ["network", "evidence of the series", "in all: the logit", "its positive part"], evidences
    )


if __name__ == "__main__":
    run_script(main)
