"""Why is the article's attention late? Its network beside our default.

The network is trained by the article's settings, or it gets the parameters that its author published.
"""

from functools import partial

import numpy as np
import torch

from constants import ANOMALOUS, CONFIG_FILE, PROJECT_DIR
from data import make_splits
from data_utils import UserError, load_config, run_script
from evaluate import attention_metrics
from experiments import common
from experiments.ablation import token_shares, trace
from model import AttentionClassifier
from train import train

ARTICLE = PROJECT_DIR / "configs" / "article.json"
MOST_SHIFT = 100  # steps
SAMPLE, GROUP = 200, 10  # series whose states are examined; steps of which one state is
farthest = partial(max, key=abs)
ROWS = common.SCORES | {
    "best shift of the mask, in steps": ("shift", 0, farthest),
    "mass there": ("shifted_mass", 3),
    "best shift, series read backwards": ("backwards", 0, farthest),
    "attention on the first 40 steps of the segment": ("first", 3),
    "... on the rest of the segment": ("rest", 3),
    "... on the 80 steps behind its end": ("behind", 3, max),
    "... within 5 steps of its end": ("jump", 3, max),
    "mass, segments to the end of the series": ("to_end_mass", 3),
    "mass, other segments": ("inside_mass", 3),
    "pointing, segments to the end of the series": ("to_end_pointing", 3),
    "pointing, other segments": ("inside_pointing", 3),
    "called anomalous, flat segment and jump": ("flat_and_jump", 3),
    "... jump taken out": ("flat", 3),
    "... jump alone": ("jump_alone", 3, max),
    "gradient of a state on its own token": ("own", 2),
    "... at most 10 steps away": ("within_10", 2),
    "... at most 40 steps away": ("within_40", 2),
    "... on earlier tokens": ("earlier", 2, max),
    "traced mass": ("traced_mass", 3),
    "traced pointing": ("traced_pointing", 3),
    "traced AUC": ("traced_auc", 3),
}


def load_published(path):
    """The network with the parameters that the article's author published. UserError: other ones."""
    model = AttentionClassifier(**load_config(ARTICLE)["model"])
    try:
        # weights_only: a pickle can run any code, this refuses all but tensors and plain values.
        published = torch.load(path, weights_only=True)
        del published["attention.2.bias"]  # added to every score, it cancels in the softmax
        parameters = {
            name.replace("attention", "score").replace("classifier.0", "classifier"): value
            for name, value in published.items()
        }
    except Exception as error:  # a broken file can raise anything
        raise UserError(f"{path} is missing, or no file of the article's parameters") from error
    try:
        model.load_state_dict(parameters | dict(model.named_buffers()))
    except RuntimeError as error:  # PyTorch's, of names and shapes
        raise UserError(f"{path} does not fit the article's network: {error}") from error
    return model


def waves_of(data_config):
    """The waves of the test split (N, T), before segments were flattened."""
    # Of two flat steps at the very end, nothing is to be seen.
    return make_splits(data_config | {"flat_location": [0.999, 0.999]}).test.series


def ends(flat_mask):
    """The first step behind each segment (N, 1)."""
    return flat_mask.shape[1] - flat_mask[:, ::-1].argmax(axis=1, keepdims=True)


def best_shift(attention, flat_mask):
    """The shift of the mask at which it holds the most attention, later is positive; the mass there."""
    padded = np.pad(flat_mask, ((0, 0), (MOST_SHIFT, MOST_SHIFT)))  # what is shifted out is lost
    shifts, masses = range(-MOST_SHIFT, MOST_SHIFT + 1), []
    for shift in shifts:
        shifted = padded[:, MOST_SHIFT - shift :][:, : flat_mask.shape[1]]
        masses.append((attention * shifted).sum(axis=1).mean())
    best = np.argmax(masses)
    return shifts[best], masses[best]


def attention_by_place(attention, flat_mask):
    """Where the attention lies, in series that go on for 80 steps or more behind the segment."""
    step, end = np.arange(flat_mask.shape[1]), ends(flat_mask)
    places = {
        "first": flat_mask & (flat_mask.cumsum(axis=1) <= 40),
        "rest": flat_mask & (flat_mask.cumsum(axis=1) > 40),
        "behind": (step >= end) & (step < end + 80),
        "jump": (step >= end - 5) & (step < end + 5),  # overlaps the segment and what is behind it
    }
    rows = end[:, 0] + 80 <= len(step)
    return {name: (attention * place).sum(axis=1)[rows].mean() for name, place in places.items()}


def called_anomalous(model, series, waves, flat_mask):
    """The share called anomalous, as they are, with the jump at the segment's end taken out, or alone.

    Taken out: behind the segment, the wave goes on from the held value. Alone: nothing is flat, but from
    the same step on, the wave is shifted by the jump. Both can go beyond the values in the training.
    """
    step, end = np.arange(flat_mask.shape[1]), ends(flat_mask)
    moved = np.take_along_axis(waves - series, end - 1, axis=1)  # by the wave while a value was held
    jump = moved * (step >= end)
    kinds = {"flat_and_jump": series, "flat": series - jump, "jump_alone": waves + jump}
    return {name: (model.predict(kind)[0] > 0.5).mean() for name, kind in kinds.items()}


def examine_states(model, series, flat_mask):
    """How far from a state the tokens are that its gradient lies on; the scores of traced attention.

    The distance is that of the first steps of the tokens. One state of each ten steps is examined; in
    tracing, it carries the attention of all ten.
    """
    tokens = model.tokenize(torch.from_numpy(series))  # (N, P, F)
    every = GROUP // model.patch_length
    shares = token_shares(model, tokens, every)  # (N, P / every, P)
    place = model.patch_length * torch.arange(tokens.shape[1])
    ahead = place - place[every // 2 :: every, None]  # steps from the state to the token
    near = {"own": ahead == 0, "within_10": ahead.abs() <= 10, "within_40": ahead.abs() <= 40}
    near["earlier"] = ahead < 0
    results = {name: (shares * there).sum(dim=2).mean().item() for name, there in near.items()}
    weights = torch.from_numpy(model.predict(series)[1]).unflatten(1, (-1, GROUP)).sum(dim=2)
    traced = trace(weights, shares.unflatten(2, (-1, every)).sum(dim=3)).numpy()
    metrics = attention_metrics(traced.repeat(GROUP, axis=1) / GROUP, flat_mask)
    return results | {f"traced_{name}": value for name, value in metrics.items()}


def analyse(model, data_config):
    """All measurements of the model on its test split, {name: value}."""
    test, waves = make_splits(data_config).test, waves_of(data_config)
    results = common.scores(model, test)
    anomalous = test.labels == ANOMALOUS
    series, waves, flat_mask = (part[anomalous] for part in (test.series, waves, test.flat_mask))
    _, attention = model.predict(series)
    results["shift"], results["shifted_mass"] = best_shift(attention, flat_mask)
    _, backwards = model.predict(series[:, ::-1])
    results["backwards"], _ = best_shift(backwards, flat_mask[:, ::-1])
    results |= attention_by_place(attention, flat_mask)
    inside = ~flat_mask[:, -1]
    for name, rows in {"to_end": ~inside, "inside": inside}.items():
        metrics = attention_metrics(attention[rows], flat_mask[rows])
        results |= {f"{name}_{score}": value for score, value in metrics.items()}
    results |= called_anomalous(model, series[inside], waves[inside], flat_mask[inside])
    return results | examine_states(model, series[:SAMPLE], flat_mask[:SAMPLE])


def measure_trained(args, seed, path, *overrides):
    config = common.settings(args, seed, *overrides, path=path)
    model, _ = train(config, make_splits(config["data"]))
    return analyse(model, config["data"])


def measure_published(args, seed, model):
    return analyse(model, common.settings(args, seed + 1000, path=ARTICLE)["data"])


def main():
    args = common.parse_args(__doc__, parameters="those that the article's author published")
    args.seeds = args.seeds[:3]  # one training by the article's settings takes minutes
    if args.parameters:
        model = load_published(args.parameters)
        results = {"the published parameters": common.measure("article", args, measure_published, model)}
    else:
        results = {"the article's settings": common.measure("article", args, measure_trained, ARTICLE)}
    for label, *overrides in (("our default",), ("... values alone", "model.differences=false")):
        results[label] = common.measure(label, args, measure_trained, CONFIG_FILE, *overrides)
    rows = [
        [row, *(common.mean_and_worst(by_seed, *column) for by_seed in results.values())]
        for row, column in ROWS.items()
    ]
    common.print_table(["measured", *results], rows)


if __name__ == "__main__":
    run_script(main)
