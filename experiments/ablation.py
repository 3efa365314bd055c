"""What makes attention readable? The network without each of its parts, or without its LSTM."""

import math
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import nn

from constants import ANOMALOUS, CONFIG_FILE, PROJECT_DIR
from data import make_splits
from data_utils import run_script
from experiments import common
from experiments.common import SCORES, measure, print_results
from model import AttentionClassifier

ZERO_INIT_OFF = "model.zero_init_classifier=false"


class NoContext(nn.Linear):
    """A linear layer and tanh for each token by itself."""

    def forward(self, tokens):
        return super().forward(tokens).tanh(), None


class Transformer(nn.Module):
    """Tokens with learned positions through one Transformer encoder layer (Vaswani et al. 2017).

    Each token attends only to those at most `reach` tokens away. The layer normalises its inputs, as in
    GPT-2; with norm_first=False its outputs, as in the original Transformer.
    """

    def __init__(self, token_size, state_size, reach=math.inf, norm_first=True, most_tokens=50):
        super().__init__()
        self.reach = reach
        self.project = nn.Linear(token_size, state_size)
        self.position = nn.Parameter(0.02 * torch.randn(most_tokens, state_size))
        options = {"dim_feedforward": 2 * state_size, "dropout": 0, "batch_first": True}
        self.layer = nn.TransformerEncoderLayer(state_size, nhead=4, norm_first=norm_first, **options)

    def forward(self, tokens):
        place = torch.arange(tokens.shape[1])
        far = (place[:, None] - place).abs() > self.reach
        return self.layer(self.project(tokens) + self.position[: len(place)], src_mask=far), None


def replace_lstm(build, **model_settings):
    """An AttentionClassifier whose hidden states come from build(token_size, state_size)."""
    model = AttentionClassifier(**model_settings)
    model.lstm = build(model.lstm.input_size, 2 * model.lstm.hidden_size)
    return model


# For each row, what builds the network and which settings are changed.
NETWORKS = {
    "default": (AttentionClassifier,),
    "mean pooling: no attention": (AttentionClassifier, "model.attention=false"),
    "Transformer": (partial(replace_lstm, Transformer),),
    "... at most 3 tokens away": (partial(replace_lstm, partial(Transformer, reach=3)),),
    "... at most 1 token away": (partial(replace_lstm, partial(Transformer, reach=1)),),
    "... outputs normalised": (partial(replace_lstm, partial(Transformer, norm_first=False)),),
    "no context": (partial(replace_lstm, NoContext),),
    "initial weights of PyTorch": (AttentionClassifier, "model.forget_bias=0", ZERO_INIT_OFF),
    "differences not clipped": (AttentionClassifier, "model.difference_clip=null"),
}
VARIANTS = {
    "mean pooling, 15 epochs": ("model.attention=false", "training.max_epochs=15"),
    "forget bias 0": ("model.forget_bias=0",),
    "classifier not zero": (ZERO_INIT_OFF,),
    "no differences": ("model.difference_channel=false",),
    "no roughness": ("model.roughness=false",),
    "neither": ("model.difference_channel=false", "model.roughness=false"),
    "patches of 5": ("model.patch_length=5",),
    "patches of 20": ("model.patch_length=20",),
    "no patches: 1 step per token": ("model.patch_length=1",),
}


def locality(model, series, positions=50):
    """The share of a state's gradient that falls on its own token and the two beside it, averaged.

    The gradient is that of a random sum of the state's units, with signs + and -, whose expected square
    is the sum of the squares of all their gradients.
    """
    tokens = model.tokenize(torch.from_numpy(series)).detach().requires_grad_()  # (B, N, F)
    states, _ = model.lstm(tokens)  # (B, N, 2H)
    signs = 2.0 * torch.randint(2, states.shape, generator=torch.Generator().manual_seed(0)) - 1
    shares = []
    for place in torch.linspace(0, tokens.shape[1] - 1, positions).int().unique().tolist():
        signed_sum = (states[:, place] * signs[:, place]).sum()
        (gradient,) = torch.autograd.grad(signed_sum, tokens, retain_graph=True)
        size = gradient.norm(dim=2)  # (B, N)
        near = size[:, max(place - 1, 0) : place + 2].sum(dim=1)
        shares.append((near / size.sum(dim=1)).mean().item())
    return sum(shares) / len(shares)


def measure_network(args, seed, network, *overrides, path=CONFIG_FILE):
    config = common.settings(args, seed, *overrides, path=path)
    splits = make_splits(config["data"])
    model, history = common.trained(config, splits, network)
    sample = splits.test.series[splits.test.labels == ANOMALOUS][:32]
    own = {"locality": locality(model, sample), "seconds": history["total_seconds"]}
    return common.scores(model, splits.test) | own


def plot_locality(panels):
    """Mass against locality, a point for each network and seed, a panel for each kind of data."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    for axis, (title, results) in zip(axes, panels.items()):
        for marker, (label, by_seed) in zip("o_^v<sDXP", results.items()):
            x, y = ([result[name] for result in by_seed] for name in ("locality", "mass"))
            axis.plot(x, y, marker, ms=8, alpha=0.7, label=label)
        axis.set(title=title, xlabel="locality of the states", ylim=(0, 1.05))
    axes[0].set_ylabel("attention on the flat segment (mass)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def main():
    args = common.parse_args(__doc__, image="locality.png")
    panels = {}
    for title, noise in {"no noise": 0, "5 % noise": 0.05}.items():
        panels[title] = {
            label: measure(f"{label}, {title}", args, measure_network, *row, f"data.noise={noise}")
            for label, row in NETWORKS.items()
        }
        print_results(f"network, {title}", SCORES | {"locality": ("locality", 2)}, panels[title])

    results = {"default": panels["no noise"]["default"]}
    for label, overrides in VARIANTS.items():
        results[label] = measure(label, args, measure_network, AttentionClassifier, *overrides)
    args.seeds = args.seeds[:3]  # one training by the article's settings takes minutes
    measure_article = partial(measure_network, path=PROJECT_DIR / "configs" / "article.json")
    results["the article's settings"] = measure("article", args, measure_article, AttentionClassifier)
    print_results("settings", SCORES | {"training, s": ("seconds", 1, max)}, results)
    common.save_picture(args, plot_locality(panels))


if __name__ == "__main__":
    run_script(main)
