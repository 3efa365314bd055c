"""What several tests need. Scripts run in this process, which saves the seconds of their imports."""

import sys

import torch

import train

TINY = (
    "data.dataset_size=100",
    "data.num_points=50",
    "model.patch_length=5",
    "model.hidden_size=3",
    "model.attention_size=4",
    "training.max_epochs=2",
)


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr("signal.signal", lambda *args: None)  # Ctrl-C must still end the tests
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    return script.main()


def tiny_options(*extra):
    """The options of a tiny training."""
    return [word for override in (*TINY, *extra) for word in ("--set", override)]


def train_tiny(monkeypatch, artifacts, *extra):
    return run(monkeypatch, train, "--artifacts", artifacts, *tiny_options(*extra))


def contents(folder):
    """{path: bytes} of every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def published_by(network):
    """The parameters of an AttentionClassifier under the names of the article, with the bias that we leave out."""
    parameters = {
        name.replace("score", "attention").replace("classifier", "classifier.0"): value.detach()
        for name, value in network.named_parameters()
    }
    return parameters | {"attention.2.bias": torch.ones(1)}
