"""Train the attention classifier and save the run: python train.py"""

import shlex
import signal

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
    RUN_NAMES,
)
from data import SineWaveTorchDataset, make_splits
from data_utils import (
    ScriptParser,
    UserError,
    check_output,
    figure_bytes,
    json_bytes,
    load_config,
    run_script,
    write_files,
)
from model import DIVERGED_LOSS, AttentionClassifier, Trainer, checkpoint_bytes


def train(config, splits, on_epoch=None):
    """A model trained by the settings `config`, and the history of its training."""
    torch.manual_seed(config["training"]["seed"])
    model = AttentionClassifier(**config["model"])
    return model, fit(model, config, splits, on_epoch)


def fit(model, config, splits, on_epoch=None):
    """Train any model that the trainer takes; return the history."""
    return Trainer(model, **config["training"]).fit(
        SineWaveTorchDataset(splits.train.series, splits.train.labels),
        SineWaveTorchDataset(splits.val.series, splits.val.labels),
        on_epoch,
    )


def print_epoch(number, train_loss, val_loss, val_accuracy, seconds):
    print(
        f"epoch {number:2}  train loss {train_loss:.4f}  val loss {val_loss:.4f}"
        f"  val accuracy {val_accuracy:.4f}  {seconds:.1f} s",
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
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set(
        xlim=(0.5, len(epochs) + 0.5),
        xlabel="epoch",
        ylabel="binary cross-entropy (log scale)",
        title="Loss during training",
    )
    axis.legend()
    return figure


def save_run(folder, model, config, history):
    """Put a run into its folder, in place of the run before with its metrics and pictures."""
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would lose it all
    try:
        files = {
            CHECKPOINT_NAME: checkpoint_bytes(model, config),
            HISTORY_NAME: json_bytes(history),
            HISTORY_PLOT_NAME: figure_bytes(plot_history(history)),
        }
        write_files(folder, files, replaces=RUN_NAMES)
    finally:
        signal.signal(signal.SIGINT, on_ctrl_c)


def main():
    args = ScriptParser("Train the attention classifier, save the run.", takes_config=True).parse_args()
    torch.set_num_threads(NUM_THREADS)
    config = load_config(args.config, args.overrides)
    check_output(args.artifacts, *RUN_NAMES)

    if (args.artifacts / CHECKPOINT_NAME).exists():
        print(f"{args.artifacts} holds a run, which this one will replace")

    print(f"generating {config['data']['dataset_size']} series of {config['data']['num_points']} points")
    splits = make_splits(config["data"])
    print(f"training on {len(splits.train.labels)}, validating on {len(splits.val.labels)}")
    model, history = train(config, splits, print_epoch)

    epochs, kept = len(history["seconds"]), "nothing is written"
    if history["best_epoch"]:
        save_run(args.artifacts, model, config, history)
        kept = f"the weights of epoch {history['best_epoch']} are kept in {args.artifacts}"
    if history["ended"] == "diverged":
        raise UserError(
            f"the loss became NaN, or above {DIVERGED_LOSS}, in epoch {epochs + 1}: lower"
            f" training.learning_rate, now {config['training']['learning_rate']}; {kept}"
        )
    print(f"{history['ended']} after {epochs} epochs, {history['total_seconds']:.1f} s; {kept}")
    if history["best_epoch"]:
        chosen = args.artifacts != ARTIFACTS_DIR
        option = f" --artifacts {shlex.quote(str(args.artifacts))}" if chosen else ""
        print(f"next:\n  python evaluate.py{option}\n  python plot_attention.py{option}")
    return 130 if history["ended"] == "interrupted" else 0


if __name__ == "__main__":
    run_script(main)
