"""The BiLSTM-attention classifier, its early-stopping trainer and its checkpoint."""

import contextlib
import copy
import io
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from data_utils import UserError, check_config, check_patches

EVALUATION_BATCH = 256  # series at once when no gradients are kept
SMALLEST_SCALE = 1e-30  # a constant series is divided by this, not by 0
LARGEST_VALUE = 1e38  # of a series; beyond it, single precision overflows


@contextlib.contextmanager
def one_thread():
    """PyTorch on one thread: more would wait for each other at every time step of the LSTM."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---------------------------------------------------------------- model


class AttentionClassifier(nn.Module):
    """Tells anomalous series from normal ones, and where it looked.

    Additive attention (Bahdanau et al. 2015) over the hidden states of a bidirectional LSTM
    (Hochreiter & Schmidhuber 1997), as in Zhou et al. 2016, on patches (Nie et al. 2023).

    Parameters
    ----------
    patch_length : time steps per token; with 1, each step is a token.
    standardize : whether each series is brought to mean 0 and standard deviation 1.
    difference_channel : whether a token also holds, for each step, the change over `patch_length` steps.
    roughness : whether a token also holds the mean size of its changes, over 1 and over `patch_length`
        steps.
    difference_clip : where differences and roughness are clipped, in their units, or None. Unclipped, the
        jump at the end of a flat segment would be louder than the segment.
    hidden_size : hidden units of the LSTM, per direction.
    forget_bias : added to the initial bias of the forget gates. Far below 0, the LSTM forgets quickly at
        first: each state speaks of its own token, and so does the weight that it gets.
    attention : whether weights are learned; if not, all are equal, which is mean pooling.
    attention_size : hidden units of the network that computes the scores.
    zero_init_classifier : whether all probabilities are 0.5 before the training, so that its first steps
        do not depend on random weights of the classifier.
    """

    def __init__(
        self,
        patch_length,
        standardize,
        difference_channel,
        roughness,
        difference_clip,
        hidden_size,
        forget_bias,
        attention,
        attention_size,
        zero_init_classifier,
    ):
        super().__init__()
        self.patch_length = patch_length
        self.standardize = standardize
        self.difference_channel = difference_channel
        self.roughness = roughness
        self.difference_clip = difference_clip
        self.attention = attention

        token_size = patch_length * (2 if difference_channel else 1) + (2 if roughness else 0)
        self.lstm = nn.LSTM(token_size, hidden_size, batch_first=True, bidirectional=True)
        self.score = nn.Sequential(
            nn.Linear(2 * hidden_size, attention_size),
            nn.Tanh(),
            nn.Linear(attention_size, 1, bias=False),  # a bias would cancel in the softmax
        )
        self.classifier = nn.Linear(2 * hidden_size, 1)

        with torch.no_grad():
            # PyTorch stacks the biases of four gates: input, forget, cell, output.
            for bias in (self.lstm.bias_ih_l0, self.lstm.bias_ih_l0_reverse):
                bias[hidden_size : 2 * hidden_size] += forget_bias
            if zero_init_classifier:
                self.classifier.weight.zero_()
                self.classifier.bias.zero_()

    def forward(self, series):
        """Series (B, T) -> logits (B,) and attention (B, T), each row of which sums to 1."""
        tokens = self.tokenize(series)  # (B, P, F): P = T / patch_length tokens of F features
        states, _ = self.lstm(tokens)  # (B, P, 2H)
        scores = self.score(states).squeeze(2)  # (B, P)
        if not self.attention:
            scores = torch.zeros_like(scores)  # equal weights: mean pooling
        weights = scores.softmax(dim=1)  # (B, P)
        context = (weights.unsqueeze(2) * states).sum(dim=1)  # (B, 2H)
        logits = self.classifier(context).squeeze(1)  # (B,)
        # The steps of a token share its weight.
        attention = weights.repeat_interleave(self.patch_length, dim=1) / self.patch_length  # (B, T)
        return logits, attention

    def tokenize(self, series):
        """Series (B, T) -> tokens (B, P, F): the values of a patch, its differences, its roughness."""
        check_patches(series.shape[1], self.patch_length)
        series = z_score(series) if self.standardize else series.float()
        patches = [series.unflatten(1, (-1, self.patch_length))]  # (B, P, patch_length)
        if self.difference_channel:
            change = clipped_difference(series, self.patch_length, self.difference_clip)
            patches.append(change.unflatten(1, (-1, self.patch_length)))
        if self.roughness:
            # One step tells an exactly flat patch from a slow wave, a whole patch sees through noise.
            for lag in (1, self.patch_length):
                change = difference(series, lag).abs().unflatten(1, (-1, self.patch_length))
                patches.append(roughness(change, self.difference_clip))  # (B, P, 1)
        return torch.cat(patches, dim=2)

    @one_thread()
    def predict(self, series):
        """Classify raw series, batch by batch, so that memory does not grow with their number.

        series: array-like (N, T), or (T,) for one, of two or more whole patches. Returns float32 arrays,
        the probability of being anomalous (N,) and the attention (N, T). UserError: NaN, other shapes.
        """
        try:
            series = np.atleast_2d(np.asarray(series))
            if series.dtype.kind not in "biuf" or series.ndim != 2 or series.size == 0:
                raise ValueError(f"got an array of {series.dtype} of the shape {series.shape}")
        except (ValueError, TypeError, RuntimeError) as error:  # the last two: of PyTorch's tensors
            raise UserError(f"series must be numbers of the shape (N, T) or (T,): {error}") from error
        probability, attention = np.empty(len(series), np.float32), np.empty(series.shape, np.float32)
        self.eval()
        with torch.inference_mode():
            for first in range(0, len(series), EVALUATION_BATCH):
                rows = slice(first, first + EVALUATION_BATCH)
                batch = series[rows].astype(np.float64)
                bad = np.flatnonzero(~(np.abs(batch) < LARGEST_VALUE).all(axis=1))
                if len(bad):
                    raise UserError(f"series {first + bad[0]} holds NaN, infinity or too large values")
                logits, weights = self(torch.from_numpy(batch))
                probability[rows], attention[rows] = logits.sigmoid().numpy(), weights.numpy()
        return probability, attention


def z_score(series):
    """Bring each series (B, T) to mean 0 and standard deviation 1; a constant one becomes 0."""
    shifted = series.double() - series[:, :1].double()  # a constant becomes exactly 0
    centered = shifted - shifted.mean(dim=1, keepdim=True)
    return (centered / centered.std(dim=1, keepdim=True).clamp_min(SMALLEST_SCALE)).float()


def difference(series, lag):
    """Difference at each step of series (B, T): the change over `lag` steps around it."""
    change = series[:, lag:] - series[:, :-lag]  # (B, T - lag)
    return F.pad(change[:, None], ((lag + 1) // 2, lag // 2), mode="replicate")[:, 0]  # (B, T)


def clipped_difference(series, lag, clip=None):
    """Differences (B, T), and the clip, in units of their mean size.

    A longer lag makes the wave's movement larger beside the noise.
    """
    change = difference(series, lag)
    change = change / change.abs().mean(dim=1, keepdim=True).clamp_min(SMALLEST_SCALE)
    return change if clip is None else change.clamp(-clip, clip)


def roughness(change, clip=None):
    """Mean of the sizes `change` (B, P, patch_length) in each patch, in units of its median: (B, P, 1).

    A spike does not move the median. Where more than half of a series is constant the median is 0:
    hence at least a twentieth of the mean.
    """
    size = change.mean(dim=2, keepdim=True)
    mean, median = size.mean(dim=1, keepdim=True), size.median(dim=1, keepdim=True).values
    size = size / median.maximum(mean / 20).clamp_min(SMALLEST_SCALE)
    return size if clip is None else size.clamp_max(clip)


# ---------------------------------------------------------------- training


@dataclass
class Trainer:
    """Adam on binary cross-entropy with early stopping; knows nothing of the model but its forward."""

    model: nn.Module  # forward(series) -> (logits, attention)
    seed: int  # for the order of the training series
    batch_size: int
    max_epochs: int
    patience: int  # epochs without a lower validation loss after which the training stops
    learning_rate: float  # the highest one, if the schedule changes it
    schedule: str  # "constant", or "one_cycle" (Smith & Topin 2019): it rises, then falls to almost 0

    @one_thread()
    def fit(self, train_set, val_set, on_epoch=None):
        """Train, then give the model back its weights of the lowest validation loss.

        Both sets are datasets of (series (T,), label ()). After each epoch, counted from 1, it calls
        on_epoch(epoch, train_loss, val_loss, val_accuracy, seconds). Returns a dict with a list for each
        of these names; `total_seconds`; `best_epoch`, 0 if there is none; `ended`, why it ended.
        """
        order = torch.Generator().manual_seed(self.seed)
        loader = DataLoader(train_set, self.batch_size, shuffle=True, generator=order)
        val_loader = DataLoader(val_set, EVALUATION_BATCH)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)
        scheduler = None
        if self.schedule == "one_cycle":
            steps = self.max_epochs * len(loader)
            scheduler = OneCycleLR(optimizer, self.learning_rate, steps, cycle_momentum=False)

        history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "seconds": []}
        best_loss, best_epoch, best_weights = math.inf, 0, None
        ended = "all epochs done"
        try:
            for epoch in range(1, self.max_epochs + 1):
                started = time.perf_counter()
                train_loss = self._train_epoch(loader, optimizer, scheduler)
                val_loss, val_accuracy = self._validate(val_loader)
                results = (train_loss, val_loss, val_accuracy, time.perf_counter() - started)
                if math.isnan(val_loss):  # the weights are NaN too, and will stay so
                    ended = "stopped because the loss became NaN, try a lower learning rate"
                    break
                for name, value in zip(history, results):
                    history[name].append(value)
                if val_loss < best_loss:
                    weights = copy.deepcopy(self.model.state_dict())  # first, as Ctrl-C may cut it off
                    best_loss, best_epoch, best_weights = val_loss, epoch, weights
                if on_epoch:
                    on_epoch(epoch, *results)
                if epoch - best_epoch >= self.patience:
                    ended = "stopped early"
                    break
        except KeyboardInterrupt:
            if not best_weights:
                raise
            ended = "interrupted"
        if best_weights:
            self.model.load_state_dict(best_weights)
        history |= {"total_seconds": sum(history["seconds"]), "best_epoch": best_epoch, "ended": ended}
        return history

    def _train_epoch(self, loader, optimizer, scheduler):
        """The mean loss over the training series, while the weights change."""
        self.model.train()
        total = 0.0
        for series, labels in loader:
            logits, _ = self.model(series)
            loss = F.binary_cross_entropy_with_logits(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
            total += loss.item() * len(labels)
        return total / len(loader.dataset)

    @torch.no_grad()
    def _validate(self, loader):
        """The mean loss and the accuracy."""
        self.model.eval()
        outputs = [(self.model(series)[0], labels) for series, labels in loader]
        logits, labels = map(torch.cat, zip(*outputs))
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        return loss.item(), ((logits > 0) == (labels > 0.5)).double().mean().item()


# ---------------------------------------------------------------- checkpoint


def save_checkpoint(path, model, config):
    """Save the weights and the whole config."""
    buffer = io.BytesIO()
    torch.save({"config": config, "weights": model.state_dict()}, buffer)
    Path(path).write_bytes(buffer.getvalue())


def load_checkpoint(path):
    """Return (model, config). UserError: the file is not there, or no checkpoint of this program."""
    try:
        content = io.BytesIO(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"no checkpoint {path}: run train.py first") from error
    try:
        # weights_only: a pickle can run any code, this refuses all but tensors and plain values.
        checkpoint = torch.load(content, weights_only=True)
        config = check_config(checkpoint["config"])
        model = AttentionClassifier(**config["model"])
        model.load_state_dict(checkpoint["weights"])
    except Exception as error:  # a broken file can raise anything
        raise UserError(f"{path} is damaged, or no checkpoint of this version of the program") from error
    return model, config
