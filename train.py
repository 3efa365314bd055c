"""Train the attention classifier and save the run: python train.py"""

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
    RUN_NAMES,
)
from data import SineWaveTorchDataset, make_splits
from data_utils import (
    ScriptParser,
    check_output,
    figure_bytes,
    json_bytes,
    load_config,
    run_script,
    write_files,
)
from model import DIVERGED_LOSS, AttentionClassifier, Trainer, checkpoint_bytes


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
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(
        xlim=(0.5, len(epochs) + 0.5),
        xlabel="epoch",
        ylabel="binary cross-entropy (log scale)",
        title="Loss during training",
    )
    axis.legend()
    return figure


def save_run(folder, model, config, history):
    """Put a run into its folder, in place of the one before and of what was found out about that."""
    files = {
        CHECKPOINT_NAME: checkpoint_bytes(model, config),
        HISTORY_NAME: json_bytes(history),
        HISTORY_PLOT_NAME: figure_bytes(plot_history(history)),
    }
    write_files(folder, files, replaces=RUN_NAMES)


def main():
    args = ScriptParser("Train the attention classifier, save the run.", takes_config=True).parse_args()
    torch.set_num_threads(NUM_THREADS)
    config = load_config(args.config, args.overrides)
    check_output(args.artifacts, *RUN_NAMES)

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

    kept = "nothing is written"
    if history["best_epoch"]:
        save_run(args.artifacts, model, config, history)
        kept = f"the weights of epoch {history['best_epoch']} are kept"
    if history["ended"] == "diverged":
        raise ValueError(
            f"the loss became NaN, or above {DIVERGED_LOSS}, in epoch {len(history['seconds']) + 1}:"
            f" lower training.learning_rate, {config['training']['learning_rate']}; {kept}"
        )
    print(f"{history['ended']} after {history['total_seconds']:.1f} s; {kept}")
    if history["best_epoch"]:
        chosen = args.artifacts != ARTIFACTS_DIR
        option = f" --artifacts {shlex.quote(str(args.artifacts))}" if chosen else ""
        print(f"the run is in {args.artifacts}; next:")
        print(f"  python evaluate.py{option}\n  python plot_attention.py{option}")
    return 130 if history["ended"] == "interrupted" else 0


if __name__ == "__main__":
    run_script(main)
