"""Train the attention classifier and save the run: python train.py"""

import tempfile

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from constants import CHECKPOINT_NAME, DERIVED_NAMES, HISTORY_NAME, HISTORY_PLOT_NAME, LINE_COLORS
from data import SineWaveTorchDataset, make_splits
from data_utils import UserError, load_config, make_parser, run_script, save_json, save_plot, whole_file
from model import AttentionClassifier, Trainer, load_checkpoint, save_checkpoint


def train(config, splits, on_epoch=None, network=AttentionClassifier):
    """A trained network and its history; the experiments pass another `network`."""
    torch.manual_seed(config["training"]["seed"])  # for the initial weights
    model = network(**config["model"])
    sets = (SineWaveTorchDataset(split.series, split.labels) for split in (splits.train, splits.val))
    return model, Trainer(model, **config["training"]).fit(*sets, on_epoch)


def print_epoch(epoch, train_loss, val_loss, val_accuracy, seconds):
    losses = f"train loss {train_loss:.4f}  val loss {val_loss:.4f}"
    print(f"epoch {epoch:2}  {losses}  val accuracy {val_accuracy:.4f}  {seconds:.1f} s", flush=True)


def plot_history(history):
    """A figure of both losses by epoch, with the epoch whose weights were kept."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    epochs = range(1, len(history["seconds"]) + 1)
    best = history["best_epoch"]
    axis.semilogy(epochs, history["train_loss"], "o-", color=LINE_COLORS[0], label="training")
    axis.semilogy(epochs, history["val_loss"], "s--", color=LINE_COLORS[1], label="validation")
    axis.axvline(best, color="black", ls=":", label=f"best epoch: {best}, its weights are kept")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set(xlim=(0.5, len(epochs) + 0.5), xlabel="epoch", ylabel="binary cross-entropy (log scale)")
    axis.set_title("Loss during training")
    axis.legend()
    return figure


def check_folder(folder):
    """Fail before the training if a run cannot be written here, or would replace other files."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # is it writable?
    paths = [folder / name for name in (CHECKPOINT_NAME, *DERIVED_NAMES)]
    existing = [path for path in paths if path.exists()]
    try:
        if any(path.is_dir() for path in existing):
            raise UserError("there is a folder in the place of a file")
        if existing:
            load_checkpoint(paths[0])
    except UserError as error:
        raise UserError(
            f"{existing[0]} belongs to no run of this version: take another --artifacts"
        ) from error


def save_run(folder, model, config, history):
    """Replace the run in `folder`. What belongs to the old model is removed before the new one comes."""
    with whole_file(folder / CHECKPOINT_NAME) as path:
        save_checkpoint(path, model, config)
        for name in DERIVED_NAMES:
            (folder / name).unlink(missing_ok=True)
    save_json(folder / HISTORY_NAME, history)
    save_plot(folder / HISTORY_PLOT_NAME, plot_history(history))


def main():
    parser = make_parser("Train the attention classifier, save the run.", config=True, overrides=True)
    args = parser.parse_args()
    config, folder = load_config(args.config, args.set), args.artifacts
    check_folder(folder)

    splits = make_splits(config["data"])
    print(f"training on {len(splits.train.labels)} series", flush=True)
    model, history = train(config, splits, print_epoch)
    if not history["best_epoch"]:
        raise UserError(f"{history['ended']}; no epoch had a finite loss, so nothing is written")
    save_run(folder, model, config, history)

    print(f"{history['ended']}, {history['total_seconds']:.1f} s;", end=" ")
    print(f"the weights of epoch {history['best_epoch']} are kept in {folder}")
    option = "" if folder == parser.get_default("artifacts") else f' --artifacts "{folder}"'
    print(f"next:\n  python evaluate.py{option}\n  python plot_attention.py{option}")
    return 130 if history["ended"] == "interrupted" else 0


if __name__ == "__main__":
    run_script(main)
