"""The BiLSTM-attention classifier, its early-stopping trainer and its checkpoint."""

import copy
import io
import math
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from constants import CHECKPOINT_NAME, EVALUATION_BATCH
from data_utils import UserError, check_config, check_patches, finish_writing

# ---------------------------------------------------------------- model


class AttentionClassifier(nn.Module):
    """Is there a flat segment in the series, and where did the network look?

    Additive attention (Bahdanau et al. 2015) over the hidden states of a bidirectional LSTM
    (Hochreiter & Schmidhuber 1997), as in Zhou et al. 2016, on patches (Nie et al. 2023).

    Parameters
    ----------
    patch_length : time steps per token; 1 is one token per step.
    standardize : whether each series is brought to mean 0 and standard deviation 1.
    difference_channel : whether a token also holds the difference at each of its steps, which is
        the change over one patch length around the step.
    difference_clip : where the differences are clipped, as a multiple of their mean size.
    hidden_size : hidden units of the LSTM, per direction.
    forget_bias : added to the forget gates' initial bias; below 0 the memory starts short.
    scores_from : what the scores see: "state", "token_and_state", or nothing ("uniform").
    attention_size : hidden units of the network that computes the scores.
    zero_init_classifier : whether every series starts at probability 0.5.
    """

    def __init__(
        self,
        patch_length,
        standardize,
        difference_channel,
        difference_clip,
        hidden_size,
        forget_bias,
        scores_from,
        attention_size,
        zero_init_classifier,
    ):
        super().__init__()
        self.patch_length = patch_length
        self.standardize = standardize
        self.difference_channel = difference_channel
        self.difference_clip = difference_clip
        self.scores_from = scores_from

        token_size = patch_length * (2 if difference_channel else 1)
        state_size = 2 * hidden_size
        self.lstm = nn.LSTM(token_size, hidden_size, batch_first=True, bidirectional=True)
        score_input_size = {
            "state": state_size,
            "token_and_state": token_size + state_size,
            "uniform": None,
        }[scores_from]
        if score_input_size:
            self.score = nn.Sequential(
                nn.Linear(score_input_size, attention_size), nn.Tanh(), nn.Linear(attention_size, 1)
            )
        self.classifier = nn.Linear(state_size, 1)

        with torch.no_grad():
            # PyTorch stacks the gates' biases: input, forget, cell, output.
            for bias in (self.lstm.bias_ih_l0, self.lstm.bias_ih_l0_reverse):
                bias[hidden_size : 2 * hidden_size] += forget_bias
            if zero_init_classifier:
                self.classifier.weight.zero_()
                self.classifier.bias.zero_()

    def forward(self, series):
        """Series (B, T) -> logits (B,) and attention (B, T), each row of which sums to 1."""
        tokens = self.tokenize(series)  # (B, N, F): N = T / patch_length tokens of F features
        states, _ = self.lstm(tokens)  # (B, N, 2H)
        scores = self.attention_scores(tokens, states)  # (B, N)
        weights = scores.softmax(dim=1)  # (B, N)
        context = (weights.unsqueeze(2) * states).sum(dim=1)  # (B, 2H)
        logits = self.classifier(context).squeeze(1)  # (B,)
        # The steps of a token share its weight.
        attention = weights.repeat_interleave(self.patch_length, dim=1) / self.patch_length  # (B, T)
        return logits, attention

    def attention_scores(self, tokens, states):
        """How much each token matters, before the softmax: (B, N)."""
        if self.scores_from == "uniform":
            return states.new_zeros(states.shape[:2])
        if self.scores_from == "token_and_state":
            states = torch.cat([tokens, states], dim=2)
        return self.score(states).squeeze(2)

    def tokenize(self, series):
        """Series (B, T) -> tokens (B, N, F): the values of a patch, then its differences."""
        series = standardize(series) if self.standardize else series.float()
        patches = [series.unflatten(1, (-1, self.patch_length))]  # (B, N, patch_length)
        if self.difference_channel:
            differences = clipped_difference(series, self.patch_length, self.difference_clip)
            patches.append(differences.unflatten(1, (-1, self.patch_length)))
        return torch.cat(patches, dim=2)

    def predict(self, series, batch_size=EVALUATION_BATCH):
        """Classify raw series, batch by batch.

        Parameters
        ----------
        series : array-like (N, T), or (T,) for one.
        batch_size : series per forward pass; the result does not depend on it.

        Returns
        -------
        probability : array (N,), of being anomalous
        attention : array (N, T)

        Raises
        ------
        UserError : wrong number of dimensions, no series, not numbers, NaN, infinity or masked
            values, a length that is not two or more whole patches, values too large for the network;
            a batch size below 1.
        """
        if np.ma.is_masked(series):
            raise UserError("series holds masked values")
        series = np.atleast_2d(np.asarray(series))
        if series.dtype.kind not in "iuf":
            raise UserError(f"series must hold real numbers, got dtype {series.dtype}")
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        if series.ndim != 2 or series.size == 0:
            raise UserError(f"series must have the shape (N, T) or (T,), got {series.shape}")
        check_patches(series.shape[1], self.patch_length)

        probability = np.empty(len(series), dtype=np.float32)
        attention = np.empty(series.shape, dtype=np.float32)
        self.eval()
        with torch.inference_mode():
            for first in range(0, len(series), batch_size):
                rows = slice(first, first + batch_size)
                batch = torch.from_numpy(series[rows].astype(np.float64))
                logits, weights = self(batch)
                # Without standardising, huge values overflow, at once or on the way to the logit.
                values = batch if self.standardize else batch.float()
                finite = values.isfinite().all(dim=1) & logits.isfinite()
                if not finite.all():
                    number = first + finite.int().argmin().item()
                    raise UserError(f"series {number} holds NaN, infinity or too large values")
                probability[rows] = logits.sigmoid().numpy()
                attention[rows] = weights.numpy()
        return probability, attention


def standardize(series):
    """Bring each series (B, T) to mean 0 and standard deviation 1; a constant one becomes 0."""
    # From the first value, so that a constant becomes exactly 0; and first to at most 1 in size,
    # so that the squares of tiny and huge values stay in range.
    shifted = series.double() - series[:, :1].double()
    shifted = shifted / _nonzero(shifted.abs().amax(dim=1, keepdim=True))
    centered = shifted - shifted.mean(dim=1, keepdim=True)
    return (centered / _nonzero(centered.std(dim=1, keepdim=True))).float()


def clipped_difference(series, lag, clip):
    """Difference at each step of series (B, T): the change over `lag` steps around it.

    A lag of 1 is the first difference. A longer one sees the wave move when there is noise.
    In units of the series' mean absolute change, clipped at ±`clip`: where the flat segment ends the wave
    jumps; unclipped, this would be the loudest event of the series and draw the attention.
    """
    change = series[:, lag:] - series[:, :-lag]  # (B, T - lag)
    change = F.pad(change.unsqueeze(1), ((lag + 1) // 2, lag // 2), mode="replicate").squeeze(1)
    return (change / _nonzero(change.abs().mean(dim=1, keepdim=True))).clamp(-clip, clip)


def _nonzero(scale):
    return scale.clamp_min(torch.finfo(scale.dtype).tiny)


# ---------------------------------------------------------------- training


DIVERGED_LOSS = 100  # nats per series, where guessing costs 0.7: the weights have blown up


class Trainer:
    """Adam on binary cross-entropy, stopped early; knows nothing of the model but its forward.

    Parameters
    ----------
    model : module with forward(series) -> (logits, attention).
    batch_size, max_epochs, learning_rate : as usual.
    patience : epochs without a lower validation loss after which training stops.
    schedule : "constant", or "one_cycle" (Smith & Topin 2019): the learning rate rises to
        `learning_rate` and falls to almost 0 over `max_epochs`.
    seed : of the order of the training series.
    """

    def __init__(self, model, batch_size, max_epochs, patience, learning_rate, schedule, seed):
        self.model = model
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.seed = seed

    def fit(self, train_set, val_set, on_epoch=None):
        """Train, then give the model back its weights of the lowest validation loss.

        Parameters
        ----------
        train_set, val_set : datasets of (series (T,), label ()).
        on_epoch : called after each epoch as on_epoch(number, train_loss=, val_loss=,
            val_accuracy=, seconds=), the number from 1.

        Returns
        -------
        dict : lists with one entry per epoch `train_loss`, `val_loss`, `val_accuracy`,
            `seconds`; then their sum `total_seconds`, `best_epoch` (0: none was finished) and `ended`:
            "done", "stopped early", "interrupted" (by Ctrl-C) or "diverged" (a loss that is no
            number, or above DIVERGED_LOSS).
        """
        loader = DataLoader(
            train_set, self.batch_size, shuffle=True, generator=torch.Generator().manual_seed(self.seed)
        )
        val_loader = DataLoader(val_set, EVALUATION_BATCH)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)
        if self.schedule == "one_cycle":
            steps = self.max_epochs * len(loader)
            scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, self.learning_rate, total_steps=steps
            )
        else:
            scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)  # changes nothing

        best_loss, best_epoch, best_weights = math.inf, 0, None
        epochs, ended = [], "done"
        try:
            for number in range(1, self.max_epochs + 1):
                started = time.perf_counter()
                train_loss = self._train_epoch(loader, optimizer, scheduler)
                val_loss, val_accuracy = self._validate(val_loader)
                if not (train_loss < DIVERGED_LOSS and val_loss < DIVERGED_LOSS):  # NaN is not
                    ended = "diverged"
                    break
                epoch = {
                    "train_loss": train_loss,
                    "val_loss": val_loss,
                    "val_accuracy": val_accuracy,
                    "seconds": time.perf_counter() - started,
                }
                epochs.append(epoch)
                if val_loss < best_loss:
                    weights = copy.deepcopy(self.model.state_dict())  # first: Ctrl-C parts no values
                    best_loss, best_epoch, best_weights = val_loss, number, weights
                if on_epoch:
                    on_epoch(number, **epoch)
                if number - best_epoch >= self.patience:
                    ended = "stopped early"
                    break
        except KeyboardInterrupt:
            ended = "interrupted"
        if best_epoch:
            self.model.load_state_dict(best_weights)
        names = ("train_loss", "val_loss", "val_accuracy", "seconds")
        history = {name: [epoch[name] for epoch in epochs] for name in names}
        total = sum(history["seconds"])
        return history | {"total_seconds": total, "best_epoch": best_epoch, "ended": ended}

    def _train_epoch(self, loader, optimizer, scheduler):
        self.model.train()
        total = 0.0
        for series, labels in loader:
            logits, _ = self.model(series)
            loss = F.binary_cross_entropy_with_logits(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(labels)
        return total / len(loader.dataset)

    @torch.no_grad()
    def _validate(self, loader):
        self.model.eval()
        loss, correct = 0.0, 0
        for series, labels in loader:
            logits, _ = self.model(series)
            loss += F.binary_cross_entropy_with_logits(logits, labels, reduction="sum").item()
            correct += ((logits > 0) == (labels > 0.5)).sum().item()
        return loss / len(loader.dataset), correct / len(loader.dataset)


# ---------------------------------------------------------------- checkpoint


def checkpoint_bytes(model, config):
    """A checkpoint file: the weights and the whole config. Equal ones are equal byte by byte."""
    buffer = io.BytesIO()
    torch.save({"config": config, "weights": model.state_dict()}, buffer)
    return buffer.getvalue()


def load_checkpoint(path):
    """Return (model, config) of a checkpoint; no code in the file is run.

    Raises
    ------
    UserError : there is no such file, it cannot be read, it is damaged, or no checkpoint of this
        project.
    """
    try:
        finish_writing(Path(path).parent)  # a killed train.py may have left that to do
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # PyTorch does not look at the checksums
                raise zipfile.BadZipFile
        with warnings.catch_warnings(action="ignore"):  # about files made by other software
            # weights_only: a pickle can run any code, this refuses all but tensors and plain values.
            checkpoint = torch.load(path, weights_only=True)
        config, weights = checkpoint["config"], checkpoint["weights"]
    except FileNotFoundError as error:
        raise UserError(f"no checkpoint {path}: run train.py first") from error
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # such a file can fail in any way
        raise UserError(
            f"the checkpoint {path} is damaged, or not of this project: run train.py again"
        ) from error
    try:
        model = AttentionClassifier(**check_config(config)["model"])
        model.load_state_dict(weights)
    except ValueError as error:
        raise UserError(f"the settings in {path} are not for this version: {error}") from error
    except Exception as error:  # weights can be of any kind
        raise UserError(f"the weights in {path} do not fit its settings: run train.py again") from error
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError(f"the weights in {path} are not all finite numbers: run train.py again")
    return model, config


def load_run(folder):
    """(model, config, loaded) of a run; with `beside=loaded`, `write_files` writes only beside this run."""
    path = Path(folder, CHECKPOINT_NAME)
    model, config = load_checkpoint(path)
    return model, config, (path, path.stat().st_mtime_ns)
