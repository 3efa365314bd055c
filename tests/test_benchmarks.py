"""The benchmarks' events are what their labels say; the scores and the AUPRC are what they should be."""

import numpy as np
import pytest
from sklearn.utils.extmath import softmax

from data_utils import load_config
from experiments import benchmarks
from model import AttentionClassifier

LABELS = np.arange(400) % 4


def test_the_spikes_of_freq_shapes():
    series, noise = benchmarks.freq_shapes(np.random.default_rng(0), LABELS)
    for label, (sign, period) in enumerate(((-1, 10), (1, 10), (-1, 17), (1, 17))):
        events = sign * (series - noise)[LABELS == label, :, 0].round(6)
        assert np.unique(events).tolist() == [0, 1.75, 2]
        assert {*np.diff(np.flatnonzero(events[0] == 2))} <= {period}


def test_the_ramps_of_seq_comb():
    series, noise = benchmarks.seq_comb(np.random.default_rng(0), LABELS)
    first = np.diff(series != noise, axis=1, prepend=False) & (series != noise)
    rows, steps, _ = np.nonzero(first)
    rises = np.bincount(rows, np.sign(series[rows, steps + 9, 0] - series[rows, steps, 0]), 400)
    for label, total in enumerate((0, -2, 2, 0)):  # ramps that rise less those that fall
        assert np.median(rises[LABELS == label]) == total and first[LABELS == label].any() == (label > 0)


def test_the_quiet_parts_of_low_var():
    series, noise = benchmarks.low_var(np.random.default_rng(0), LABELS)
    for label, (channel, level) in enumerate(((0, -1.5), (0, 1.5), (1, -1.5), (1, 1.5))):
        part, event = series[LABELS == label], (series != noise)[LABELS == label]
        assert not event[:, :, 1 - channel].any()
        assert part[event].mean() == pytest.approx(level, abs=0.02) and part[event].std() < 0.12


def test_scores_are_those_of_the_weights_and_auprc_is_worked_out_by_hand():
    model = AttentionClassifier((0, 1), (50, 1), **load_config()["model"])
    series = np.random.default_rng(0).normal(size=(2, 50, 1))
    scores = benchmarks.scores_by_channel(model, series)[:, ::10, 0]  # a token has ten steps
    np.testing.assert_allclose(softmax(scores), 10 * model.predict(series)[1][:, ::10], rtol=1e-5)
    truth, values = np.array([[1, 0, 1, 0], [0, 0, 0, 0]]), np.array([[0.9, 0.8, 0.7, 0.1]] * 2)
    assert benchmarks.auprc(values, truth) == pytest.approx((1 + 2 / 3) / 2)  # of the first
