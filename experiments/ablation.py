"""What makes attention readable? The network without each of its parts, or without its LSTM.

And what to do where it is not: trace the attention back to the tokens that the states were made of.
"""

import math
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from constants import ANOMALOUS, FLAT_COLOR, LINE_COLORS
from data import make_splits, shade_flat
from data_utils import check_series, run_script
from evaluate import attention_metrics
from experiments import common
from experiments.common import SCORES, measure, print_results, save_picture
from model import AttentionClassifier
from train import train

TRACED = {
    "traced mass": ("traced_mass", 3),
    "traced pointing": ("traced_pointing", 3),
    "traced AUC": ("traced_auc", 3),
    "equal weights, traced: mass": ("traced_equal_mass", 3),
    "... pointing": ("traced_equal_pointing", 3),
    "... pointing, untrained": ("untrained_pointing", 3),
    "locality": ("locality", 2),
}
SHOWN = 14  # this test series has a flat segment in its middle, with a jump at the end
WORST_SEED = 4  # of five, by the pointing of the Transformer


class NoContext(nn.Linear):
    """A linear layer and tanh for each token by itself."""

    def forward(self, tokens):
        return super().forward(tokens).tanh(), None


class Transformer(nn.Module):
    """Tokens with learned positions through Transformer encoder layers (Vaswani et al. 2017).

    Each token attends only to those at most `reach` tokens away. The layers normalise their inputs, as
    in GPT-2; with norm_first=False their outputs, as in the original Transformer.
    """

    def __init__(
        self, token_size, state_size, reach=math.inf, norm_first=True, layers=1, most_tokens=50
    ):
        super().__init__()
        self.reach = reach
        self.project = nn.Linear(token_size, state_size)
        self.position = nn.Parameter(0.02 * torch.randn(most_tokens, state_size))
        options = {"dim_feedforward": 2 * state_size, "dropout": 0, "batch_first": True}
        layer = nn.TransformerEncoderLayer(state_size, nhead=4, norm_first=norm_first, **options)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, tokens):
        place = torch.arange(tokens.shape[1])
        far = (place[:, None] - place).abs() > self.reach
        return self.encoder(self.project(tokens) + self.position[: len(place)], mask=far), None


def two_lstm_layers(token_size, state_size):
    return nn.LSTM(token_size, state_size // 2, num_layers=2, batch_first=True, bidirectional=True)


def forward_lstm(token_size, state_size):
    return nn.LSTM(token_size, state_size, batch_first=True)


def replace_lstm(build, **model_settings):
    """An AttentionClassifier whose hidden states come from build(token_size, state_size)."""
    model = AttentionClassifier(**model_settings)
    model.lstm = build(model.lstm.input_size, 2 * model.lstm.hidden_size)
    return model


class LastState(AttentionClassifier):
    """The context is what each direction holds when it has read the whole series."""

    def pool(self, states):
        forwards, backwards = states.chunk(2, dim=2)
        weights = torch.zeros(states.shape[:2])
        weights[:, [0, -1]] = 0.5
        return torch.cat([forwards[:, -1], backwards[:, 0]], dim=1), weights


class OwnUnit(AttentionClassifier):
    """Changes in units of their mean size in the series: an event anywhere rescales all of them."""

    def tokenize(self, series):
        values = self.scale(self.check_shape(series))
        change = self.change(values)
        steps = torch.cat([values, change / self.unit(change)], dim=2)  # (B, T, 2C)
        return steps.unflatten(1, (-1, self.patch_length)).flatten(2)

    def unit(self, change):
        return change.abs().mean(dim=1, keepdim=True).clamp_min(1e-37)


class SharedUnit(OwnUnit):
    """The control: the same, but in one unit for all series."""

    def unit(self, change):
        return 0.39  # the mean size of the changes in the training series


VALUES_ALONE = "model.differences=false"
SHORT_MEMORY = "model.forget_bias=-8"
TEN_EPOCHS = ("training.max_epochs=10", "training.patience=10")
# For each row, what builds the network and which settings are changed.
NETWORKS = {
    "default": (AttentionClassifier,),
    "mean pooling: no attention": (AttentionClassifier, "model.attention=false"),
    "last state: no attention": (LastState,),
    "Transformer": (partial(replace_lstm, Transformer),),
    "... ten epochs": (partial(replace_lstm, Transformer), *TEN_EPOCHS),
    "... of two layers": (partial(replace_lstm, partial(Transformer, layers=2)),),
    "... at most 3 tokens away": (partial(replace_lstm, partial(Transformer, reach=3)),),
    "... at most 1 token away": (partial(replace_lstm, partial(Transformer, reach=1)),),
    "... outputs normalised": (partial(replace_lstm, partial(Transformer, norm_first=False)),),
    "no context": (partial(replace_lstm, NoContext),),
    "two LSTM layers": (partial(replace_lstm, two_lstm_layers),),
    "short memory": (AttentionClassifier, SHORT_MEMORY),
    "values alone": (AttentionClassifier, VALUES_ALONE),
    "... short memory, ten epochs": (AttentionClassifier, VALUES_ALONE, SHORT_MEMORY, *TEN_EPOCHS),
    "... LSTM forwards only, 20 epochs": (
        partial(replace_lstm, forward_lstm),
        VALUES_ALONE,
        "training.max_epochs=20",
        "training.patience=20",
    ),
    "unit of its own": (OwnUnit, *TEN_EPOCHS),
    "... short memory": (OwnUnit, SHORT_MEMORY, *TEN_EPOCHS),
    "shared unit, short memory": (SharedUnit, SHORT_MEMORY, *TEN_EPOCHS),
}
PLOTTED = {  # with the names in the picture
    "default": "default",
    "mean pooling: no attention": "mean pooling",
    "Transformer": "Transformer",
    "... at most 3 tokens away": "Transformer, at most 3 tokens away",
    "... outputs normalised": "Transformer, outputs normalised",
    "no context": "no context",
    "two LSTM layers": "two LSTM layers",
    "short memory": "short memory",
    "values alone": "values alone",
    "... short memory": "unit of its own, short memory",
}
VARIANTS = {
    "changes from 0.1": ("model.smallest_change=0.1",),
    "changes from 1": ("model.smallest_change=1",),
    "units of the training set": ("model.standardize=training_set",),
    "patches of 5": ("model.patch_length=5",),
    "patches of 20": ("model.patch_length=20",),
    "no patches: 1 step per token": ("model.patch_length=1",),
}


def token_shares(model, tokens, every=1):
    """Tokens (B, P, F) -> S (B, P, P): the share of the gradient of state i that falls on token j.

    The gradient is that of a random sum of the state's units, with signs + and -, whose expected square
    is the sum of the squares of all their gradients. With `every`, S (B, P / every, P) has only the
    state in the middle of each group of so many.
    """
    tokens = tokens.detach().requires_grad_()
    states, _ = model.lstm(tokens)  # (B, P, 2H)
    signs = 2.0 * torch.randint(2, states.shape, generator=torch.Generator().manual_seed(0)) - 1
    sizes = []
    sums = (states * signs).sum(dim=2).sum(dim=0)  # one for each place, of all series
    for state in sums[every // 2 :: every]:
        (gradient,) = torch.autograd.grad(state, tokens, retain_graph=True)
        sizes.append(gradient.norm(dim=2))  # (B, P)
    sizes = torch.stack(sizes, dim=1)
    return sizes / sizes.sum(dim=2, keepdim=True)


def locality(shares):
    """The share of S (B, P, P) on and beside the diagonal: a state's own token and its neighbours."""
    near = torch.ones(shares.shape[1:]).triu(-1).tril(1)
    return (shares * near).sum(dim=2).mean().item()


def trace(weights, shares):
    """Attention weights of the tokens (B, P) -> where the weighted states come from (B, P): a @ S."""
    return (weights.unsqueeze(1) @ shares).squeeze(1)


def trace_steps(attention, shares):
    """The same for the steps: attention (N, T) and S (N, P, P) -> (N, T), each row sums to 1."""
    length = attention.shape[1] // shares.shape[1]
    weights = torch.from_numpy(attention[:, ::length])  # of one step of each token
    return trace(weights, shares).numpy().repeat(length, axis=1)


def trace_attention(model, series):
    """Where the attention over series (N, T) or (N, T, C) comes from: (N, T), each row sums to 1."""
    _, attention = model.predict(series)
    return trace_steps(
        attention, token_shares(model, model.tokenize(torch.from_numpy(check_series(series))))
    )


def measure_network(args, seed, network, *overrides, traced=True):
    config = common.settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, history = train(config, splits, network=network)
    results = common.scores(model, splits.test) | {"seconds": history["total_seconds"]}
    if traced:
        sample = np.flatnonzero(splits.test.labels == ANOMALOUS)[:200]
        series, flat_mask = torch.from_numpy(splits.test.series[sample]), splits.test.flat_mask[sample]
        torch.manual_seed(seed)
        untrained = network(**config["model"])
        shares, untrained = (token_shares(m, m.tokenize(series)) for m in (model, untrained))
        equal = np.full(flat_mask.shape, 1 / flat_mask.shape[1], dtype=np.float32)
        traces = {
            "traced": trace_steps(model.predict(series)[1], shares),
            "traced_equal": trace_steps(equal, shares),
            "untrained": trace_steps(equal, untrained),
        }
        for prefix, steps in traces.items():
            metrics = attention_metrics(steps, flat_mask)
            results |= {f"{prefix}_{name}": value for name, value in metrics.items()}
        results["locality"] = locality(shares)
    return results


def plot_locality(panels):
    """Mass against locality, a point for each network and seed, a panel for each kind of data."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    for axis, (title, results) in zip(axes, panels.items()):
        for marker, label in zip("o_^v<sDXP*", PLOTTED):
            x, y = ([result[name] for result in results[label]] for name in ("locality", "mass"))
            axis.plot(x, y, marker, ms=8, alpha=0.7, label=PLOTTED[label])
        axis.set(title=title, xlabel="locality of the states", ylim=(0, 1.05))
    axes[0].set_ylabel("attention on the flat segment (mass)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def plot_tracing(models, series, flat_mask):
    """One series by each of the models {name: model}: S as a map, its attention as it is and traced."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots(3, len(models), height_ratios=(4, 1, 1), sharex="col", squeeze=False)
    edge = len(series) - 0.5
    options = {"cmap": "Greys", "vmax": 0.2, "extent": (-0.5, edge, edge, -0.5), "aspect": "auto"}
    for (name, model), (above, middle, below) in zip(models.items(), axes.T):
        shares = token_shares(model, model.tokenize(torch.from_numpy(series[None])))
        picture = above.imshow(shares[0].numpy(), **options)
        above.set(title=name, ylabel="place of the state")
        for step in np.flatnonzero(np.diff(flat_mask)):
            above.axvline(step, color=FLAT_COLOR, lw=1.5)
            above.axhline(step, color=FLAT_COLOR, lw=1.5)
        _, attention = model.predict(series)
        lower = {"attention": (middle, attention[0])}
        lower["traced"] = below, trace_steps(attention, shares)[0]
        for label, (axis, values) in lower.items():
            axis.fill_between(np.arange(len(series)), values, step="mid", color=LINE_COLORS[0])
            axis.set(ylabel=label, ylim=(0, 1.05 * values.max()))
            shade_flat(axis, flat_mask)
        below.set_xlabel("time step of the token")
    figure.colorbar(picture, ax=axes[0], label="share of the state's gradient", extend="max")
    return figure


def main():
    args = common.parse_args(__doc__, image="locality.png")
    panels = {}
    for title, noise in {"no noise": 0, "5 % noise": 0.05}.items():
        panels[title] = {
            label: measure(f"{label}, {title}", args, measure_network, *row, f"data.noise={noise}")
            for label, row in NETWORKS.items()
        }
        print_results(f"network, {title}", SCORES | TRACED, panels[title])
    save_picture(args, plot_locality(panels))

    config = common.settings(args, WORST_SEED)
    splits = make_splits(config["data"])
    names = {"our network": "default", "Transformer": "Transformer"}
    models = {title: train(config, splits, network=NETWORKS[n][0])[0] for title, n in names.items()}
    inside = splits.test.flat_mask[:, 150] & ~splits.test.flat_mask[:, [100, 400]].any(axis=1)
    shown = np.flatnonzero(inside)[0]  # the first series with a flat segment well inside
    args.output = args.output.with_stem("tracing")
    save_picture(args, plot_tracing(models, splits.test.series[shown], splits.test.flat_mask[shown]))

    untraced = partial(measure_network, traced=False)
    results = {"default": panels["no noise"]["default"]}
    for label, overrides in VARIANTS.items():
        results[label] = measure(label, args, untraced, AttentionClassifier, *overrides)
    print_results("settings", SCORES | {"training, s": ("seconds", 1, max)}, results)


if __name__ == "__main__":
    run_script(main)
