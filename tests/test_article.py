"""The measurements of the article's network, on cases that are worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import published_by

from data import make_splits
from data_utils import UserError, load_config
from experiments import article
from model import AttentionClassifier


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AttentionClassifier(**load_config(article.ARTICLE)["model"])


def test_published_parameters_make_the_same_network(tmp_path, network):
    path, series = tmp_path / "theirs.pth", np.sin(np.linspace(0, 6, 50))
    torch.save(published_by(network), path)
    for mine, theirs in zip(network.predict(series), article.load_published(path).predict(series)):
        np.testing.assert_array_equal(mine, theirs)


def test_other_files_are_refused(tmp_path, network):
    path = tmp_path / "theirs.pth"
    with pytest.raises(UserError, match="is missing, or no file of the article's parameters"):
        article.load_published(path)
    torch.save(published_by(network) | {"attention.0.bias": torch.ones(3)}, path)
    with pytest.raises(UserError, match="theirs.pth does not fit the article's network"):
        article.load_published(path)


def test_the_mask_is_shifted_to_where_the_attention_lies():
    flat_mask, attention = np.zeros((2, 300), dtype=bool), np.zeros((2, 300))
    flat_mask[0, 100:150], flat_mask[1, 280:] = True, True
    attention[0, [130, 179]] = 0.5  # only the shift 179 - 149 holds both
    attention[1, 12] = 1  # no shift holds it, unless the mask came in again at the start
    assert article.best_shift(attention, flat_mask) == (30, 0.5)


def test_the_attention_is_added_up_by_place():
    flat_mask, attention = np.zeros((2, 300), dtype=bool), np.full((2, 300), 1 / 300)
    flat_mask[0, 100:160] = True
    flat_mask[1, 200:250] = True  # only 50 steps are left behind it: it does not count
    attention[1] = np.eye(300)[250]
    expected = {"first": 40 / 300, "rest": 20 / 300, "behind": 80 / 300, "jump": 10 / 300}
    assert article.attention_by_place(attention, flat_mask) == pytest.approx(expected)
    attention[0] = np.eye(300)[155]
    expected = {"first": 0, "rest": 1, "behind": 0, "jump": 1}
    assert article.attention_by_place(attention, flat_mask) == expected
    attention[0] = np.eye(300)[165]
    expected = {"first": 0, "rest": 0, "behind": 1, "jump": 0}
    assert article.attention_by_place(attention, flat_mask) == expected


def test_the_jump_is_taken_out_or_left_alone():
    waves = np.array([[0.0, 1, 2, 3, 4, 5], [0.0, 2, 4, 6, 8, 10]])
    series = np.array([[0.0, 1, 1, 1, 4, 5], [0.0, 0, 4, 6, 8, 10]])
    flat_mask = np.array([[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], dtype=bool)
    seen = []

    def predict(kind):
        seen.append(kind.tolist())
        return np.array([0.9, 0.1 * len(seen) + 0.3]), None  # 0.4, 0.5 and 0.6 for the second

    shares = article.called_anomalous(SimpleNamespace(predict=predict), series, waves, flat_mask)
    assert shares == {"flat_and_jump": 0.5, "flat": 0.5, "jump_alone": 1}
    assert seen == [
        series.tolist(),
        [[0, 1, 1, 1, 2, 3], [0, 0, 2, 4, 6, 8]],
        [[0, 1, 2, 3, 6, 7], [0, 2, 6, 8, 10, 12]],
    ]


def test_the_waves_are_those_of_the_series():
    data_config = load_config()["data"] | {"dataset_size": 100}
    test, waves = make_splits(data_config).test, article.waves_of(data_config)
    held = waves[np.arange(len(waves)), test.flat_mask.argmax(axis=1)][:, None]
    expected = np.where(test.flat_mask, held, waves)
    np.testing.assert_array_equal(expected[:, :-1], test.series[:, :-1])
    assert np.diff(waves[:, :-1]).all()  # nothing is flat, but for the last two steps


class Sums:
    """Each state is a sum of all tokens, so its gradient lies on all of them alike."""

    def __init__(self, patch_length):
        self.patch_length = patch_length
        self.tokenize = lambda series: series.float().unflatten(1, (-1, patch_length))

    def lstm(self, tokens):
        return tokens.sum(dim=1, keepdim=True).expand_as(tokens), None

    def predict(self, series):
        return None, np.full(series.shape, 1 / series.shape[1], dtype=np.float32)


# Of 60 steps; a state on each ten. Six tokens of ten steps make 36 pairs, 16 of them at most one token
# apart, 34 at most four. With one step per token, the states are at the steps 5, 15, ..., 55.
SHARES = {
    10: {"own": 6 / 36, "within_10": 16 / 36, "within_40": 34 / 36, "earlier": 15 / 36},
    1: {
        "own": 6 / 360,
        "within_10": (16 + 21 + 21 + 21 + 21 + 15) / 360,
        "within_40": (46 + 56 + 60 + 60 + 55 + 45) / 360,
        "earlier": (5 + 15 + 25 + 35 + 45 + 55) / 360,
    },
}


@pytest.mark.parametrize("patch_length", SHARES)
def test_the_gradient_by_distance_and_the_traced_attention(patch_length):
    flat_mask = np.zeros((2, 60), dtype=bool)
    flat_mask[:, 10:25] = True
    results = article.examine_states(Sums(patch_length), np.random.rand(2, 60), flat_mask)
    traced = {"traced_mass": 15 / 60, "traced_pointing": 15 / 60, "traced_auc": 0.5}
    expected = SHARES[patch_length] | traced
    assert {name: results[name] for name in expected} == pytest.approx(expected, abs=1e-6)
