#!/usr/bin/env bash
# captum 0.9.0 with torch 2.13.0: DeepLift through attention over time. One would expect that the
# attributions of a series add up to the change of the output (as attribute() documents) and do not depend
# on the other series of the batch. The class documentation warns of built-in recurrent layers; the network
# below has none, only nn.Tanh and nn.Softmax, both in captum's list of supported activations.
# What happens instead: with attention pooling, the attributions of an event on a quiet line add up to 23
# times the change of the output, and those of a wave explained in the same call are altered by the event:
# their peak moves from step 12 to 32, where the event is. No error or warning tells. The rule for
# nn.Softmax subtracts a mean (issue 1367 of the project), taken over the whole batch, in which steps that
# hardly changed have huge multipliers; the product of weights and features has no rule. Mean pooling and
# IntegratedGradients (IG) are right. Output that was seen:
#   mean, wave: change 0.0115, DeepLift alone 0.0115 (peak 5), in batch 0.0115 (peak 5), IG 0.0115
#   mean, event: change 0.0565, DeepLift alone 0.0565 (peak 32), in batch 0.0565 (peak 32), IG 0.0565
#   attention, wave: change -0.0433, DeepLift alone -0.0980 (peak 12), in batch -0.0696 (peak 32), IG -0.0433
#   attention, event: change 0.0408, DeepLift alone 0.9558 (peak 32), in batch 0.4914 (peak 32), IG 0.0408
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 captum==0.9.0 numpy==2.4.6
"$tmp/venv/bin/python" -W ignore - <<'EOF'
import torch
from torch import nn
from captum.attr import DeepLift, IntegratedGradients
class Net(nn.Module):
    def __init__(self, pooling):
        super().__init__()
        self.pooling, self.embed = pooling, nn.Sequential(nn.Conv1d(1, 8, 5, padding=2), nn.Tanh())
        self.score, self.soft, self.out = nn.Linear(8, 1), nn.Softmax(dim=1), nn.Linear(8, 1)
    def forward(self, x):
        h = self.embed(x).transpose(1, 2)  # (batch, time, 8)
        attended = (self.soft(self.score(h)) * h).sum(1)
        return self.out(h.mean(1) if self.pooling == "mean" else attended)[:, 0]
t = torch.arange(50, dtype=torch.float64)
event = 3 * torch.exp(-(((t - 30) / 3) ** 2)) + 1e-4 * torch.sin(t**2)
x = torch.stack([torch.sin(t / 4) + 0.5 * torch.cos(t**2), event])[:, None]
for pooling in ("mean", "attention"):
    torch.manual_seed(0)  # the same weights for both poolings
    net = Net(pooling).double().eval()
    dl, change = DeepLift(net), (net(x) - net(0 * x)).detach()  # the baseline is 0
    alone, batch = torch.cat([dl.attribute(s[None]) for s in x]).detach(), dl.attribute(x).detach()
    a, b = alone.sum((1, 2)), batch.sum((1, 2))
    ig = IntegratedGradients(net).attribute(x, n_steps=200).detach().sum((1, 2))
    for i, name in enumerate(("wave", "event")):
        print(f"{pooling}, {name}: change {change[i]:.4f}, DeepLift alone {a[i]:.4f}"
              f" (peak {alone[i].argmax()}), in batch {b[i]:.4f} (peak {batch[i].argmax()}), IG {ig[i]:.4f}")
    off = torch.stack([a / change - 1, b / a - 1]).abs() > 0.2
    if off.ne(pooling == "attention").any() or ((ig / change - 1).abs() > 0.01).any():
        raise SystemExit("The behaviour has changed.")
EOF
