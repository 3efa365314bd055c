"""Train the attention classifier and save the run: python train.py"""

import signal
import tempfile

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from constants import CHECKPOINT_NAME, DERIVED_NAMES, HISTORY_NAME, HISTORY_PLOT_NAME, LINE_COLORS
from data import SineWaveTorchDataset, make_splits
from data_utils import (
    UserError,
    check_config,
    is_run,
    load_config,
    make_parser,
    run_script,
    save_json,
    save_plot,
)
from model import AttentionClassifier, Trainer, save_checkpoint


def train(config, splits, on_epoch=None, network=AttentionClassifier):
    """A trained network and its history; `network` may be a class of your own."""
    check_config(config)
    train_set = SineWaveTorchDataset(splits.train.series, splits.train.labels)
    val_set = SineWaveTorchDataset(splits.val.series, splits.val.labels)
    check_fit("training", *train_set.tensors, config)
    check_fit("validation", *val_set.tensors, config)
    torch.manual_seed(config["training"]["seed"])  # for the initial parameters
    model = network(**config["model"])
    if config["model"]["standardize"] == "training_set":
        model.learn_units(train_set.tensors[0])
    return model, Trainer(model, **config["training"]).fit(train_set, val_set, on_epoch)


def check_fit(name, series, labels, config):
    """UserError: the shape or the labels of these series are not those of the settings."""
    num_points, channels = config["data"]["num_points"], config["model"]["channels"]
    shape = series.shape[1], series[0, 0].numel()  # series (N, T) have one number per step
    if shape != (num_points, channels):
        given = f"the {name} series have the shape {tuple(series.shape)}"
        raise UserError(f"{given}; data.num_points and model.channels say (N, {num_points}, {channels})")
    found, classes = labels.unique().tolist(), config["model"]["classes"]
    if len(found) != classes:
        raise UserError(f"the {name} labels are {found}: model.classes={classes} needs as many")


def print_epoch(epoch, train_loss, val_loss, val_accuracy, seconds):
    losses = f"train loss {train_loss:.4f}  val loss {val_loss:.4f}"
    print(f"epoch {epoch:2}  {losses}  val accuracy {val_accuracy:.4f}  {seconds:.1f} s", flush=True)


def plot_history(history):
    """A figure of both losses by epoch, with the epoch whose parameters were kept."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    epochs = range(1, len(history["seconds"]) + 1)
    best = history["best_epoch"]
    axis.semilogy(epochs, history["train_loss"], "o-", color=LINE_COLORS[0], label="training")
    axis.semilogy(epochs, history["val_loss"], "s--", color=LINE_COLORS[1], label="validation")
    axis.axvline(best, color="black", ls=":", label=f"best epoch, which is kept: {best}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set(xlim=(0.5, len(epochs) + 0.5), xlabel="epoch", ylabel="cross-entropy (log scale)")
    axis.set_title("Loss during training")
    axis.legend()
    return figure


def save_run(folder, model, config, history):
    """Replace the run in `folder`; what was made from the old model is deleted first."""
    for name in DERIVED_NAMES:
        (folder / name).unlink(missing_ok=True)
    save_checkpoint(folder / CHECKPOINT_NAME, model, config)
    save_json(folder / HISTORY_NAME, history)
    save_plot(folder / HISTORY_PLOT_NAME, plot_history(history))


def main():
    parser = make_parser("Train the attention classifier, save the run.", config=True, overrides=True)
    args = parser.parse_args()
    config, folder = load_config(args.config, args.set), args.artifacts
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # if nothing can be written here, fail now, not later
    held = [name for name in (CHECKPOINT_NAME, *DERIVED_NAMES) if (folder / name).exists()]
    if held and not is_run(folder):  # these may be files of somebody's own
        raise UserError(f"{folder} holds {held[0]}, but no run of train.py: choose another folder")

    splits = make_splits(config["data"])
    print(f"training on {len(splits.train.labels)} series", flush=True)
    model, history = train(config, splits, print_epoch)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C must not leave half a run
    save_run(folder, model, config, history)

    seconds, best = history["total_seconds"], history["best_epoch"]
    print(f"trained for {seconds:.1f} s; the network of epoch {best}, the best, is saved in {folder}")
    where = "" if folder == parser.get_default("artifacts") else f' --artifacts "{folder}"'
    print(f"next:\n  python evaluate.py{where}\n  python plot_attention.py{where}")


if __name__ == "__main__":
    run_script(main)
