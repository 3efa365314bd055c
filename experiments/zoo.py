"""Networks beside the default one; each class may be the `network` of `train.train`."""

import torch
from torch import nn

from model import AttentionClassifier

# Of the rates 0.0005, 0.001, 0.002, 0.004, 0.008 with 3, 10 or 20 epochs, those with the lowest validation
# loss of the Transformer, without noise, as the mean of the seeds 100, 101 and 102. Nobody looked at attention.
FAIR_TRAINING = (
    "training.learning_rate=0.004",
    "training.max_epochs=20",
    "training.patience=20",
)


class Encoder(nn.Module):
    """Tokens with learned positions through a layer of a Transformer's encoder (Vaswani et al. 2017)."""

    def __init__(self, places, token_size, state_size):
        super().__init__()
        self.project = nn.Linear(token_size, state_size)
        self.position = nn.Parameter(0.02 * torch.randn(places, state_size))
        options = {"dim_feedforward": 2 * state_size, "dropout": 0, "batch_first": True}
        # norm_first: the layer normalises its inputs, as in GPT-2.
        self.layer = nn.TransformerEncoderLayer(state_size, nhead=4, norm_first=True, **options)

    def forward(self, tokens):
        """Tokens (B, P, F) -> states (B, P, S), and None where an LSTM returns its memory."""
        return self.layer(self.project(tokens) + self.position), None


class Transformer(AttentionClassifier):
    """Self-attention in place of the LSTM, below the same attention."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        places = self.shape[0] // self.patch_length
        self.lstm = Encoder(places, self.lstm.input_size, 2 * self.lstm.hidden_size)


class LastPooling(nn.Module):
    """No attention: what each direction of the LSTM holds when it has read the whole series."""

    def forward(self, states):
        """States (B, P, 2H) -> context vector (B, 2H), and weights (B, P): half at each end."""
        forwards, backwards = states.chunk(2, dim=2)
        weights = torch.zeros(states.shape[:2])
        weights[:, [0, -1]] = 0.5
        return torch.cat([forwards[:, -1], backwards[:, 0]], dim=1), weights


class LastState(AttentionClassifier):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.pool = LastPooling()


class OwnUnit(AttentionClassifier):
    """Changes in units of their mean size in the series: an event anywhere rescales all of them."""

    def tokenize(self, series):
        values = self.scale(series)  # (B, T, C)
        change = self.change(values)
        unit = change.abs().mean(dim=1, keepdim=True).clamp_min(1e-37)  # never divide by 0
        steps = torch.cat([values, change / unit], dim=2)  # (B, T, 2C)
        return steps.unflatten(1, (-1, self.patch_length)).flatten(2)
