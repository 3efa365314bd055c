"""Train the attention classifier and save the run: python train.py"""

import tempfile
from pathlib import Path

import torch

from constants import ATTENTION_PLOT_NAME, CHECKPOINT_NAME, CONFIG_FILE, METRICS_NAME
from data import SineWaveTorchDataset, make_splits, print_counts
from data_utils import UserError, load_config, make_parser, run_script
from model import AttentionClassifier, Trainer, read_checkpoint, save_checkpoint


def train(config, splits, on_epoch=None, network=AttentionClassifier):
    """A trained network and its history; `network` may be a class of your own."""
    train_set = SineWaveTorchDataset(splits.train.series, splits.train.labels)
    val_set = SineWaveTorchDataset(splits.val.series, splits.val.labels)
    torch.manual_seed(config["training"]["seed"])  # for the initial parameters
    model = network(splits.classes, splits.train.series.shape[1:], **config["model"])
    model.learn_scale(train_set.tensors[0])
    return model, Trainer(model, **config["training"]).fit(train_set, val_set, on_epoch)


def print_epoch(epoch, train_loss, val_loss, val_accuracy, seconds):
    losses = f"train loss {train_loss:.4f}  val loss {val_loss:.4f}"
    print(f"epoch {epoch:2}  {losses}  val accuracy {val_accuracy:.4f}  {seconds:.1f} s", flush=True)


def main():
    parser = make_parser("Train the attention classifier, save the run.")
    add = parser.add_argument
    add("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help="what differs from config.json")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated")
    args = parser.parse_args()
    config, folder = load_config(args.config, args.set), args.artifacts
    path = folder / CHECKPOINT_NAME
    if path.exists() and "history" not in (read_checkpoint(path).get("run") or ()):
        # It may be a network that somebody saved in Python, or any other file.
        fault = "was not saved by train.py of this version, and is not overwritten"
        raise UserError(f"{path} {fault}: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # if nothing can be written here, fail now, not later

    splits = make_splits(config["data"])
    print_counts(splits)
    model, history = train(config, splits, print_epoch)
    if path.exists():  # these speak of the older network; without one, they are somebody else's
        (folder / METRICS_NAME).unlink(missing_ok=True)
        (folder / ATTENTION_PLOT_NAME).unlink(missing_ok=True)
    run = {"data": config["data"], "training": config["training"], "history": history}
    save_checkpoint(path, model, run)

    seconds, best = sum(history["seconds"]), history["best_epoch"]
    print(f"trained for {seconds:.1f} s; the network of epoch {best}, the best, is saved in {folder}")
    where = "" if folder == parser.get_default("artifacts") else f' --artifacts "{folder}"'
    print(f"next:\n  python evaluate.py{where}\n  python plot_attention.py{where}")


if __name__ == "__main__":
    run_script(main)
