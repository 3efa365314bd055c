"""Train the attention classifier and save the run: python train.py"""

import argparse
import shlex

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from constants import (
    ARTIFACTS_DIR,
    CHECKPOINT_NAME,
    HISTORY_NAME,
    HISTORY_PLOT_NAME,
    LINE_COLORS,
    NUM_THREADS,
)
from data import SineWaveTorchDataset, make_splits
from data_utils import (
    add_artifacts_option,
    add_config_options,
    load_config,
    run_script,
    save_figure,
    write_json,
)
from model import AttentionClassifier, Trainer, save_checkpoint


def print_epoch(history):
    print(
        f"epoch {len(history['seconds']):2}  train loss {history['train_loss'][-1]:.4f}"
        f"  val loss {history['val_loss'][-1]:.4f}  val accuracy {history['val_accuracy'][-1]:.4f}"
        f"  {history['seconds'][-1]:.1f} s",
        flush=True,
    )


def plot_history(history):
    """A figure of both losses by epoch, the epoch whose weights were kept marked."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    epochs = range(1, len(history["seconds"]) + 1)
    axis.semilogy(epochs, history["train_loss"], "o-", color=LINE_COLORS[0], label="training")
    axis.semilogy(epochs, history["val_loss"], "s--", color=LINE_COLORS[1], label="validation")
    axis.axvline(
        history["best_epoch"],
        color="black",
        ls=":",
        label=f"best epoch: {history['best_epoch']}, its weights are kept",
    )
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(
        xlim=(0.5, len(epochs) + 0.5),
        xlabel="epoch",
        ylabel="binary cross-entropy (log scale)",
        title="Loss during training",
    )
    axis.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description="Train the attention classifier and save the run.")
    add_config_options(parser)
    add_artifacts_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    config = load_config(args.config, args.overrides)

    print(f"generating {config['data']['dataset_size']} series of {config['data']['num_points']} points")
    splits = make_splits(config["data"])
    torch.manual_seed(config["training"]["seed"])
    model = AttentionClassifier(**config["model"])
    trainer = Trainer(model, **config["training"])
    print(f"training on {len(splits.train.labels)}, validating on {len(splits.val.labels)}")
    history = trainer.fit(
        SineWaveTorchDataset(splits.train.series, splits.train.labels),
        SineWaveTorchDataset(splits.val.series, splits.val.labels),
        on_epoch=print_epoch,
    )

    save_checkpoint(args.artifacts / CHECKPOINT_NAME, model, config)
    write_json(args.artifacts / HISTORY_NAME, history)
    save_figure(args.artifacts / HISTORY_PLOT_NAME, plot_history(history))
    print(
        f"{'interrupted' if history['interrupted'] else 'done'} after {history['total_seconds']:.1f} s;"
        f" kept the weights of epoch {history['best_epoch']}"
    )
    option = (
        "" if args.artifacts == ARTIFACTS_DIR else f" --artifacts {shlex.quote(str(args.artifacts))}"
    )
    print(f"the run is in {args.artifacts}; next:")
    print(f"  python evaluate.py{option}\n  python plot_attention.py{option}")
    return 130 if history["interrupted"] else 0


if __name__ == "__main__":
    run_script(main)
