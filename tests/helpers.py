"""What several tests need. Scripts run in this process, which saves the seconds of their imports."""

import sys

import matplotlib
import torch

import train
from constants import CLASSES
from data_utils import load_config
from model import AttentionClassifier

matplotlib.use("agg")
torch.set_num_threads(1)  # also in what the tests work out by themselves
TINY = ["data.dataset_size=100", "data.num_points=50", "training.max_epochs=2"]
TINY += ["model.patch_length=5", "model.hidden_size=3", "model.attention_size=4"]
QUARTERS = {"seed": 0, "val_fraction": 0.25, "test_fraction": 0.25}


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    return script.main()


def train_tiny(monkeypatch, artifacts, *extra):
    options = [word for override in (*TINY, *extra) for word in ("--set", override)]
    return run(monkeypatch, train, "--artifacts", artifacts, *options)


def make_model(shape=(500, 1), classes=CLASSES, **changes):
    torch.manual_seed(0)
    model = AttentionClassifier(classes, shape, **load_config()["model"] | changes)
    with torch.no_grad():  # away from the special start, so that every part matters
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def contents(folder):
    """{path: bytes} of every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
