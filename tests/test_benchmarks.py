"""The benchmarks' events lie where their masks say; what is chosen and scored is worked out by hand."""

import numpy as np
import pytest
import torch

from data_utils import load_config
from experiments import benchmarks
from model import AttentionClassifier

LABELS = np.arange(400) % 4


def test_the_spikes_of_freq_shapes():
    series, mask = benchmarks.freq_shapes(np.random.default_rng(0), LABELS)
    assert series.shape == mask.shape == (400, 50, 1)
    for label, level in enumerate((-1.83, 1.83, -1.83, 1.83)):  # the mean of 1.75, 2 and 1.75
        assert series[LABELS == label][mask[LABELS == label]].mean() == pytest.approx(level, abs=0.05)
    assert abs(series[~mask].mean()) < 0.02
    starts = np.flatnonzero(np.diff(mask[LABELS == 2][0, :, 0].astype(int)) == 1)
    assert set(np.diff(starts)) <= {17}


def test_the_ramps_of_seq_comb():
    series, mask = benchmarks.seq_comb(np.random.default_rng(0), LABELS)
    assert not mask[LABELS == 0].any()
    for label, total in ((1, -2), (2, 2), (3, 0)):  # ramps that rise less those that fall
        rises = []
        for values, there in zip(series[LABELS == label], mask[LABELS == label]):
            first = np.flatnonzero(np.diff(there[:, 0].astype(int), prepend=0) == 1)
            rises.append(sum(np.sign(values[start + 9] - values[start])[0] for start in first))
        assert np.median(rises) == total


def test_the_quiet_parts_of_low_var():
    series, mask = benchmarks.low_var(np.random.default_rng(0), LABELS)
    for label, (channel, level) in enumerate(((0, -1.5), (0, 1.5), (1, -1.5), (1, 1.5))):
        there = mask[LABELS == label]
        assert not there[:, :, 1 - channel].any()
        values = series[LABELS == label][there]
        assert values.mean() == pytest.approx(level, abs=0.02) and values.std() < 0.12


def test_the_first_setting_that_is_good_enough_is_chosen():
    assert benchmarks.choose({"a": 0.98, "b": 0.996, "c": 1.0}) == "b"


def test_auprc_worked_out_by_hand():
    truth = np.array([[[True], [False], [True], [False]]])
    values = np.array([[[0.9], [0.8], [0.7], [0.1]]])
    # Both true steps are found first and third: precisions 1 and 2/3.
    assert benchmarks.auprc(values, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_integrated_gradients_add_up_to_the_change_of_the_logit():
    torch.manual_seed(0)
    model = AttentionClassifier(**load_config()["model"] | {"channels": 2, "classes": 3})
    tokens, classes = torch.randn(4, 5, 40), torch.tensor([0, 1, 2, 0])
    values = benchmarks.integrated_gradients(model, tokens, classes)
    assert values.shape == (4, 50, 2)

    def logits(tokens):
        return model.classifier(model.pool(model.lstm(tokens)[0])[0])[range(4), classes]

    change = (logits(tokens) - logits(0 * tokens)).detach()
    torch.testing.assert_close(values.sum(dim=(1, 2)).float(), change, rtol=0.02, atol=1e-3)
