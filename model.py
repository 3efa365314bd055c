"""Attention; the BiLSTM-attention classifier; its early-stopping trainer; its checkpoint."""

import copy
import math
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data import check_series
from data_utils import UserError, check_settings, write_file

EVALUATION_BATCH = 256  # series at once when no gradients are kept


class AttentionPooling(nn.Module):
    """Additive attention (Bahdanau et al. 2015) with one learned query (Yang et al. 2016)."""

    def __init__(self, state_size, attention_size):
        super().__init__()
        self.hidden = nn.Linear(state_size, attention_size)  # W and b
        self.query = nn.Linear(attention_size, 1, bias=False)  # w; a bias would cancel in the softmax

    def forward(self, states):
        """Hidden states h_i (B, P, S) -> context vector c (B, S) and attention weights a_i (B, P)."""
        scores = self.query(torch.tanh(self.hidden(states))).squeeze(2)  # e_i = w · tanh(W h_i + b)
        weights = scores.softmax(dim=1)  # a_i = exp(e_i) / Σ_j exp(e_j)
        context = (weights.unsqueeze(2) * states).sum(dim=1)  # c = Σ_i a_i h_i
        return context, weights


class MeanPooling(nn.Module):
    """Equal weights: no attention."""

    def forward(self, states):
        return states.mean(dim=1), torch.full(states.shape[:2], 1 / states.shape[1])


@contextmanager
def one_thread():
    """Compute in one thread: faster for so small a network, and the same for any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class AttentionClassifier(nn.Module):
    """A bidirectional LSTM (Hochreiter & Schmidhuber 1997) on patches (Nie et al. 2023); attention.

    classes: the names of the K classes. shape: (T, C) of the series. settings: the section `model` of a
    config. For another way of pooling, set `pool` in a subclass. UserError: T steps are no whole patches.
    """

    def __init__(self, classes, shape, **settings):
        super().__init__()
        self.classes, self.shape = tuple(classes), tuple(shape)
        self.settings = check_settings("model", settings)
        steps, channels = self.shape
        self.patch_length = settings["patch_length"]
        # See `change`; 1.5 patches were best on validation series.
        self.lag = math.ceil(1.5 * self.patch_length) if settings["differences"] else 0
        if steps % self.patch_length or steps <= self.lag:
            wanted = f"a multiple of {self.patch_length} and more than {self.lag}"
            raise UserError(f"T = {steps} must be {wanted}: change model.patch_length")
        # Of the training set, see `learn_scale`; NaN until then. Buffers are saved like parameters.
        self.register_buffer("mean", torch.full((channels,), math.nan).double())
        self.register_buffer("deviation", torch.full((channels,), math.nan).double())

        hidden_size = settings["hidden_size"]
        token_size = self.patch_length * channels * (1 + settings["differences"])
        self.lstm = nn.LSTM(token_size, hidden_size, batch_first=True, bidirectional=True)
        forget_gates = slice(hidden_size, 2 * hidden_size)  # in the order input, forget, cell, output
        with torch.no_grad():  # bias_hh is added to bias_ih: change one of them only
            self.lstm.bias_ih_l0[forget_gates] += settings["forget_bias"]
            self.lstm.bias_ih_l0_reverse[forget_gates] += settings["forget_bias"]
        # Made in any case, so that the linear layer below starts with the same random numbers.
        attention = AttentionPooling(2 * hidden_size, settings["attention_size"])
        self.pool = attention if settings["attention"] else MeanPooling()
        self.classifier = nn.Linear(2 * hidden_size, len(self.classes) - 1)  # the first logit is 0

    def forward(self, series):
        """Series (B, T, C) -> logits (B, K), and attention (B, T) of sum 1."""
        logits, weights = self.classify(self.tokenize(series))
        # The steps of a token share its weight.
        return logits, weights.repeat_interleave(self.patch_length, dim=1) / self.patch_length

    def classify(self, tokens):
        """Tokens (B, P, F) -> logits (B, K), attention weights (B, P)."""
        states, _ = self.lstm(tokens)  # (B, P, 2H)
        context, weights = self.pool(states)  # (B, 2H), (B, P)
        return self.logits(context), weights

    def logits(self, context):
        """Vectors (..., 2H) -> logits (..., K). Only their differences count: the first is always 0."""
        return F.pad(self.classifier(context), (1, 0))

    def tokenize(self, series):
        """Series (B, T, C) -> tokens (B, P, F): the values of a patch, and their changes.

        P = T / patch_length. asinh keeps changes below `smallest_change` linear, and takes the logarithm of
        larger ones. So a jump is not much larger than a slope, and a flat part stays near 0.
        """
        features = [self.scale(series)]  # (B, T, C)
        if self.settings["differences"]:
            features.append(torch.asinh(self.change(features[0]) / self.settings["smallest_change"]))
        values = torch.cat(features, dim=2)  # (B, T, C or 2C)
        patches = values.unflatten(1, (-1, self.patch_length))  # (B, P, patch_length, C or 2C)
        return patches.flatten(2)

    def change(self, values):
        """How much values (B, T, C) change over the `lag` steps around each; near an end, the last `lag`."""
        steps = values.shape[1]
        first = (torch.arange(steps) - self.lag // 2).clamp(0, steps - 1 - self.lag)
        return values[:, first + self.lag] - values[:, first]

    def scale(self, series):
        """Standardize series (B, T, C), each channel by itself, to float32."""
        if self.settings["standardize"] == "series":
            # A constant series must become exactly 0, but means are rounded: subtract the first step first.
            series = series.double() - series[:, :1]
            series = series - series.mean(dim=1, keepdim=True)
            series = series / series.std(dim=1, keepdim=True).clamp_min(1e-150)  # never divide by 0
        elif self.settings["standardize"] == "training_set":
            series = (series - self.mean) / self.deviation
        return series.float()

    @one_thread()
    def learn_scale(self, series):
        """Keep mean and standard deviation of each channel of the training series (N, T, C)."""
        values = series.flatten(0, 1)  # (N T, C)
        varies = (values != values[0]).any(dim=0)
        self.mean.copy_(values.mean(dim=0))
        self.deviation.copy_(values.std(dim=0).where(varies, 1))  # of a constant channel, 1

    @one_thread()
    @torch.inference_mode()
    def predict(self, series):
        """Classify raw series, as `check_series` takes them, in batches to spare memory.

        Returns two float32 arrays: the probability of each class (N, K), and the attention (N, T).
        UserError: no such series, or another number of steps or channels than in the training.
        """
        series = check_series(series)
        if series.shape[1:] != self.shape:
            raise UserError(f"(T, C) of the series is {series.shape[1:]}, in the training {self.shape}")
        self.eval()
        results = [self(batch) for batch in torch.from_numpy(series).split(EVALUATION_BATCH)]
        logits, attention = map(torch.cat, zip(*results))
        if not logits.isfinite().all():
            raise UserError("no answer: the values are too large, or `learn_scale` was not called")
        return logits.softmax(dim=1).numpy(), attention.numpy()


@dataclass
class Trainer:
    """Adam on cross-entropy with early stopping, for any model with this forward."""

    model: nn.Module  # forward(series) -> (logits (B, K), anything)
    seed: int  # for the order of the training series
    batch_size: int
    max_epochs: int
    patience: int  # epochs without a lower validation loss after which the training stops
    learning_rate: float

    @one_thread()
    def fit(self, train_set, val_set, on_epoch=None):
        """Train, then give the model back its parameters of the lowest validation loss.

        Both sets are datasets of (series (T, C), label ()). Calls on_epoch(epoch, train_loss, val_loss,
        val_accuracy, seconds) after each epoch, counted from 1. Returns a dict with these four values of
        each epoch, as lists, and with `best_epoch`. UserError: no finite validation loss.
        """
        order = torch.Generator().manual_seed(self.seed)
        loader = DataLoader(train_set, self.batch_size, shuffle=True, generator=order)
        val_loader = DataLoader(val_set, EVALUATION_BATCH)
        options = {"lr": self.learning_rate, "fused": True}  # fused is faster
        optimizer = torch.optim.Adam(self.model.parameters(), **options)
        history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "seconds": []}
        best_loss, best_epoch, best_parameters = math.inf, 0, None
        for epoch in range(1, self.max_epochs + 1):
            started = time.perf_counter()
            train_loss, _ = self._run_epoch(loader, optimizer)
            val_loss, val_accuracy = self._run_epoch(val_loader)
            results = train_loss, val_loss, val_accuracy, time.perf_counter() - started
            for values, result in zip(history.values(), results):
                values.append(result)
            if on_epoch:
                on_epoch(epoch, *results)
            if val_loss < best_loss:
                best_loss, best_epoch = val_loss, epoch
                best_parameters = copy.deepcopy(self.model.state_dict())
            if epoch - best_epoch >= self.patience:
                break
        if best_parameters is None:
            raise UserError("the validation loss is no finite number: try a lower learning rate")
        self.model.load_state_dict(best_parameters)
        return history | {"best_epoch": best_epoch}

    def _run_epoch(self, loader, optimizer=None):
        """One pass; with an optimizer, a training one. Returns the mean loss and the accuracy."""
        self.model.train(optimizer is not None)
        total, correct = 0.0, 0
        with torch.set_grad_enabled(optimizer is not None):
            for series, labels in loader:
                logits, _ = self.model(series)
                loss = F.cross_entropy(logits, labels)
                if optimizer:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                total += loss.item() * len(labels)
                correct += (logits.argmax(dim=1) == labels).sum().item()
        return total / len(loader.dataset), correct / len(loader.dataset)


def save_checkpoint(path, model, run=None):
    """Save a network in one file. `run`: the settings and the history, given by train.py only."""
    parts = model.classes, model.shape, model.settings, model.state_dict()
    content = {"run": run, type(model).__name__: parts}  # so that nobody loads it as another class
    write_file(path, lambda temporary: torch.save(content, temporary))


def read_checkpoint(path):
    """The content of a file that `save_checkpoint` wrote; of any other, and of none, an empty dict."""
    with suppress(Exception):  # a broken file can raise anything
        # weights_only: a pickle can run any code, this refuses all but tensors and plain values.
        return dict(torch.load(path, weights_only=True))
    return {}


def load_checkpoint(path, network=AttentionClassifier):
    """Return (model, run); `run` is None if train.py did not save it. UserError: no such network."""
    content = read_checkpoint(path)
    try:
        run, (classes, shape, settings, parameters) = content["run"], content[network.__name__]
        model = network(classes, shape, **settings)
        model.load_state_dict(parameters)  # a RuntimeError if they do not fit
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        fault = f"is missing, or holds no {network.__name__} of this version"
        raise UserError(f"{path} {fault}: run train.py, or pass network= in Python") from error
    return model, run
