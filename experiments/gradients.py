"""Gradients of the log-odds of a class, and the explanations that add them up."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def gradients(model, tokens, labels):
    """The gradient (B, P, F) of the log-odds of the class labels[i], int64 (B,), for tokens[i], (B, P, F)."""
    tokens = tokens.detach().requires_grad_()
    logits, _ = model.classify(tokens)
    own = F.one_hot(labels, logits.shape[1]).bool()
    log_odds = logits[own] - logits.masked_fill(own, -math.inf).logsumexp(dim=1)
    return torch.autograd.grad(log_odds.sum(), tokens)[0]


def integrated_gradients(model, tokens, labels, baselines, points=100):
    """What each number of the tokens (B, P, F) adds to the log-odds of the classes `labels` (B,).

    Sundararajan et al. 2017: over the tokens of a series, it sums to the change of the log-odds from a
    baseline to them. `baselines` is a list of tensors (B, P, F), and the result the mean over it; with
    those of real series, it is close to expected gradients (Erion et al. 2021). Costs two passes for each
    of the points and baselines.
    """
    places, weights = np.polynomial.legendre.leggauss(points)  # of an integral over -1 .. 1
    total = torch.zeros_like(tokens)
    for baseline in baselines:
        change = tokens - baseline
        for place, weight in zip((places + 1) / 2, weights / 2):
            total += weight * change * gradients(model, baseline + place * change, labels)
    return total / len(baselines)
