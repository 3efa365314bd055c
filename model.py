"""The BiLSTM-attention classifier, its early-stopping trainer and its checkpoint."""

import copy
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

from data_utils import UserError, check_config, check_series, is_run, write_file

torch.set_num_threads(1)  # faster for an LSTM, and the results are the same for any number of cores

EVALUATION_BATCH = 256  # series at once when no gradients are kept
LAG = 1.5  # patches that a change spans, see `change`; chosen on validation series


class AttentionClassifier(nn.Module):
    """Classifies series as normal or anomalous, and tells where it looked.

    Additive attention (Bahdanau et al. 2015) with one learned query (Yang et al. 2016), over the hidden
    states of a bidirectional LSTM (Hochreiter & Schmidhuber 1997), on patches (Nie et al. 2023).
    For another network, override `tokenize` or `pool` in a subclass.
    """

    def __init__(
        self,
        patch_length,  # time steps of a token; with 1, each step is a token
        channels,  # values per time step: 1 for series (B, T), C for series (B, T, C)
        classes,  # 2: one logit, above 0 for anomalous; K > 2: a logit for each class
        standardize,  # values by "series" (each by itself), by the "training_set", or "none"
        differences,  # whether a token also holds the change around each of its steps
        smallest_change,  # in the unit of the scaled values: the log scale begins there, see `tokenize`
        hidden_size,  # hidden units of the LSTM, per direction
        # Added to the initial bias of the forget gates: 0 is PyTorch's own. At -8, as in
        # configs/labelled.json, they start almost closed: each state first describes its own token.
        forget_bias,
        attention,  # whether weights are learned; if not, all are equal, which is mean pooling
        attention_size,  # hidden units of the network that computes the scores
    ):
        super().__init__()
        # The arguments above, but not what Python adds: `save_checkpoint` compares them with its config.
        self.settings = {n: v for n, v in dict(locals()).items() if n not in ("self", "__class__")}
        self.patch_length = patch_length
        self.lag = math.ceil(LAG * patch_length) if differences else 0
        self.channels = channels
        self.standardize = standardize
        self.differences = differences
        self.smallest_change = smallest_change
        self.attention = attention
        # Mean and deviation of each channel of the training set, NaN until `learn_units`. Buffers are
        # saved with the parameters.
        self.register_buffer("mean", torch.full((channels,), torch.nan, dtype=torch.float64))
        self.register_buffer("deviation", self.mean.clone())

        token_size = patch_length * channels * (1 + differences)
        self.lstm = nn.LSTM(token_size, hidden_size, batch_first=True, bidirectional=True)
        forget_gates = slice(hidden_size, 2 * hidden_size)  # in the order input, forget, cell, output
        with torch.no_grad():  # PyTorch adds a second bias, bias_hh, to this one: one is enough
            self.lstm.bias_ih_l0[forget_gates] += forget_bias
            self.lstm.bias_ih_l0_reverse[forget_gates] += forget_bias
        self.score = nn.Sequential(
            nn.Linear(2 * hidden_size, attention_size),
            nn.Tanh(),
            nn.Linear(attention_size, 1, bias=False),  # a bias would cancel in the softmax
        )
        self.classifier = nn.Linear(2 * hidden_size, 1 if classes == 2 else classes)

    def forward(self, series):
        """Series (B, T) or (B, T, C) -> logits (B,) or (B, K), and attention (B, T) of sum 1."""
        tokens = self.tokenize(series)  # (B, P, F): P = T / patch_length tokens of F features
        states, _ = self.lstm(tokens)  # (B, P, 2H)
        context, weights = self.pool(states)  # (B, 2H), (B, P)
        logits = self.classifier(context).squeeze(1)  # (B,), or (B, K) for K > 2 classes
        # The steps of a token share its weight.
        attention = weights.repeat_interleave(self.patch_length, dim=1) / self.patch_length  # (B, T)
        return logits, attention

    def pool(self, states):
        """Hidden states h_i (B, P, 2H) -> context vector c (B, 2H) and attention weights a_i (B, P)."""
        scores = self.score(states).squeeze(2)  # e_i = w · tanh(W h_i + b)
        if not self.attention:
            scores = torch.zeros_like(scores)  # equal weights: mean pooling
        weights = scores.softmax(dim=1)  # a_i = exp(e_i) / Σ_j exp(e_j)
        context = (weights.unsqueeze(2) * states).sum(dim=1)  # c = Σ_i a_i h_i
        return context, weights

    def tokenize(self, series):
        """Series (B, T) or (B, T, C) -> tokens (B, P, F): the values of a patch, and their changes.

        The change around each step is on a logarithmic scale: asinh(change / smallest_change) is about
        linear below the smallest change, and about a logarithm above it. So a jump is not much larger
        than a slope, and a flat part is far smaller than both.
        """
        features = [self.scale(self.check_shape(series))]  # (B, T, C)
        if self.differences:
            features.append(torch.asinh(self.change(features[0]) / self.smallest_change))
        steps = torch.cat(features, dim=2)  # (B, T, C or 2C)
        patches = steps.unflatten(1, (-1, self.patch_length))  # (B, P, patch_length, C or 2C)
        return patches.flatten(2)

    def change(self, values):
        """The change of values (B, T, C) over the `lag` steps around each step.

        Steps near the ends get the first or the last change that lies within the series.
        """
        steps = values.shape[1]
        first = torch.arange(steps) - self.lag // 2  # step t is in the middle of first .. first + lag
        first = first.clamp(0, steps - 1 - self.lag)
        return values[:, first + self.lag] - values[:, first]

    def check_shape(self, series):
        """Series (B, T) or (B, T, C) as (B, T, C). UserError: no whole patches, or other channels."""
        given = f"series of the shape (N, {', '.join(map(str, series.shape[1:]))})"
        series = series.unsqueeze(2) if series.ndim == 2 else series
        steps, channels = series.shape[1:]
        if channels != self.channels:
            raise UserError(f"{given} have {channels} channels, but model.channels is {self.channels}")
        if steps % self.patch_length or steps <= self.lag:  # no change would fit in
            wanted = f"whole patches of {self.patch_length} steps, more than {self.lag} steps in all"
            raise UserError(f"{given} are not {wanted}: change model.patch_length, or crop the series")
        return series

    def scale(self, series):
        """Standardize series (B, T, C), each channel by itself, to float32."""
        if self.standardize == "none":
            return series.float()
        if self.standardize == "series":
            # Subtracting the first step makes a constant series exactly 0; the mean could be rounded.
            series = series.double() - series[:, :1]
            series = series - series.mean(dim=1, keepdim=True)
            deviation = series.std(dim=1, keepdim=True).clamp_min(1e-150)  # never divide by 0
            return (series / deviation).float()
        if self.mean.isnan().any():
            raise UserError('standardize="training_set" needs learn_units first, as in train.train')
        return ((series - self.mean) / self.deviation).float()

    def learn_units(self, series):
        """Keep mean and standard deviation of each channel of the training series (N, T) or (N, T, C)."""
        values = self.check_shape(series).flatten(0, 1)  # (N T, C)
        constant = (values == values[0]).all(dim=0)  # rounding could make their deviation more than 0
        if constant.any():
            raise UserError(f"channel {constant.int().argmax()} is constant in the whole training set")
        self.mean.copy_(values.mean(dim=0))
        self.deviation.copy_(values.std(dim=0))

    @torch.inference_mode()
    def predict(self, series):
        """Classify raw series in batches, to spare memory.

        series: array-like (N, T) or (N, T, C), or (T,) for one. Returns float32 arrays: the probability
        of anomalous (N,), or of each of K > 2 classes (N, K); and the attention (N, T). UserError: no
        such series.
        """
        self.eval()
        batches = torch.from_numpy(check_series(series)).split(EVALUATION_BATCH)
        logits, attention = zip(*(self(batch) for batch in batches))  # a tuple of each
        logits, attention = torch.cat(logits), torch.cat(attention)
        probability = (logits.sigmoid() if logits.ndim == 1 else logits.softmax(dim=1)).numpy()
        if np.isnan(probability).any():
            row = np.argwhere(np.isnan(probability))[0, 0]
            raise UserError(f"the answer to series {row} is not a number")
        return probability, attention.numpy()


@dataclass
class Trainer:
    """Adam on cross-entropy with early stopping, for any model with this forward."""

    model: nn.Module  # forward(series) -> (logits (B,) or (B, K), attention)
    seed: int  # for the order of the training series
    batch_size: int
    max_epochs: int
    patience: int  # epochs without a lower validation loss after which the training stops
    learning_rate: float  # the highest one, if the schedule changes it
    schedule: str  # of the learning rate: "constant", or "one_cycle" (Smith & Topin 2019)

    def fit(self, train_set, val_set, on_epoch=None):
        """Train, then give the model back its parameters of the lowest validation loss.

        Both sets are datasets of (series (T,) or (T, C), label ()). Calls on_epoch(epoch, train_loss,
        val_loss, val_accuracy, seconds) after each epoch, counted from 1. Returns a dict with lists of
        these `train_loss`, `val_loss`, `val_accuracy` and `seconds`, but not of an epoch whose `val_loss`
        is NaN, and with `best_epoch` and `total_seconds`. UserError: no finite validation loss.
        """
        order = torch.Generator().manual_seed(self.seed)
        loader = DataLoader(train_set, self.batch_size, shuffle=True, generator=order)
        val_loader = DataLoader(val_set, EVALUATION_BATCH)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate, fused=True)
        scheduler, rising_epochs = None, 0
        if self.schedule == "one_cycle":
            # The rate rises for 30 % of the steps, PyTorch's default, then falls to almost 0.
            rising_epochs, steps = 0.3 * self.max_epochs, self.max_epochs * len(loader)
            scheduler = OneCycleLR(optimizer, self.learning_rate, steps, cycle_momentum=False)

        history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "seconds": []}
        best_loss, best_epoch, best_parameters = math.inf, 0, None
        for epoch in range(1, self.max_epochs + 1):
            started = time.perf_counter()
            results = {"train_loss": self._train_epoch(loader, optimizer, scheduler)}
            results["val_loss"], results["val_accuracy"] = self._validate(val_loader)
            results["seconds"] = time.perf_counter() - started
            if on_epoch:
                on_epoch(epoch, *results.values())
            if math.isnan(results["val_loss"]):
                break  # mostly the parameters are NaN too, and will stay so
            for name, value in results.items():
                history[name].append(value)
            if results["val_loss"] < best_loss:
                best_loss, best_epoch = results["val_loss"], epoch
                best_parameters = copy.deepcopy(self.model.state_dict())
            # While the rate rises the loss may rise as well: that must not use up the patience.
            if epoch - max(best_epoch, rising_epochs) >= self.patience:
                break
        if best_parameters is None:
            raise UserError("the validation loss is no finite number: try a lower learning rate")
        self.model.load_state_dict(best_parameters)
        return history | {"best_epoch": best_epoch, "total_seconds": sum(history["seconds"])}

    def _train_epoch(self, loader, optimizer, scheduler):
        """The mean loss over the training series, while the parameters change."""
        self.model.train()
        total = 0.0
        for series, labels in loader:
            logits, _ = self.model(series)
            loss = cross_entropy(logits, labels)
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
        logits = torch.cat([self.model(series)[0] for series, _ in loader])
        labels = torch.cat([labels for _, labels in loader])
        predicted = logits > 0 if logits.ndim == 1 else logits.argmax(dim=1)
        return cross_entropy(logits, labels).item(), (predicted == labels).double().mean().item()


def cross_entropy(logits, labels):
    """Of logits (B,) for two classes, or (B, K), and labels (B,): the mean loss."""
    if logits.ndim == 1:
        return F.binary_cross_entropy_with_logits(logits, labels.float())
    return F.cross_entropy(logits, labels)


def save_checkpoint(path, model, config):
    """Save the parameters, the name of the network's class and the whole config.

    UserError: the folder holds a run of train.py, or the config is not the one of this model.
    """
    path = Path(path)
    # Beside an old history, it would pass for a run of train.py, which deletes the history before.
    if is_run(path.parent):
        raise UserError(f"{path.parent} holds a run of train.py: choose another folder")
    if check_config(config)["model"] != model.settings:
        raise UserError(f"the model was not made with this config, but with {model.settings}")
    content = {"config": config, "network": type(model).__name__, "parameters": model.state_dict()}
    write_file(path, lambda temporary: torch.save(content, temporary))


def load_checkpoint(path, network=AttentionClassifier):
    """Return (model, config). UserError: missing, broken, of another class, or of an older version."""
    try:
        # weights_only: a pickle can run any code, this refuses all but tensors and plain values.
        checkpoint = torch.load(path, weights_only=True)
        name, config, parameters = checkpoint["network"], checkpoint["config"], checkpoint["parameters"]
    except Exception as error:  # a broken file can raise anything
        raise UserError(f"{path} is missing, or no checkpoint: run train.py first") from error
    if name != network.__name__:
        raise UserError(f"{path} holds a {name}: in Python, pass network={name} to load_checkpoint")
    try:
        model = network(**check_config(config)["model"])
        model.load_state_dict(parameters)
    except (UserError, RuntimeError) as error:  # a RuntimeError is PyTorch's, of the parameters
        raise UserError(f"{path} is of an older version of the program, train again: {error}") from error
    return model, config
