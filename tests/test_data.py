import re

import numpy as np
import pytest
import torch

from data import SineWaveTorchDataset, make_splits, split_series
from data_utils import UserError, load_config


@pytest.fixture(scope="module")
def data_config():
    return load_config(overrides=["data.dataset_size=1000", "data.normal_ratio=0.7"])["data"]


@pytest.fixture(scope="module")
def splits(data_config):
    return make_splits(data_config)


def test_splits_have_their_sizes_and_the_same_share_of_each_class(splits):
    assert [len(split.labels) for split in splits] == [700, 100, 200]
    assert [int(split.labels.sum()) for split in splits] == [210, 30, 60]


def test_no_series_is_in_two_splits(splits):
    rows = np.concatenate([split.series for split in splits])
    assert len(np.unique(rows, axis=0)) == 1000


FRACTIONS = {"seed": 0, "val_fraction": 0.25, "test_fraction": 0.25}


def test_every_split_that_is_allowed_has_every_class():
    rng, allowed = np.random.default_rng(0), 0
    for _ in range(600):
        size, classes = rng.integers(20, 400), rng.integers(2, 6)
        val, test = rng.choice([0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9], size=2)
        labels = np.sort(np.append(np.arange(classes), rng.integers(classes, size=size - classes)))
        series = np.arange(size)[:, None] * np.ones(2)
        fractions = {"seed": 0, "val_fraction": val, "test_fraction": test}
        try:
            splits = split_series(series, labels, None, fractions)
        except UserError as error:
            assert re.search("data.val_fraction and data.test_fraction|would lack a class", str(error))
            continue
        allowed += 1
        assert [len(split.labels) for split in splits[1:]] == [round(val * size), round(test * size)]
        for split in splits:
            assert set(split.labels) == set(range(classes)) and split.flat_mask is None
            np.testing.assert_array_equal(split.labels, labels[split.series[:, 0].astype(int)])
    assert allowed > 50


def test_a_group_stays_in_one_split():
    groups = np.array(["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal"]).repeat(10)
    series, labels = np.arange(80)[:, None] * np.ones(5), np.arange(80) // 5 % 2
    splits = split_series(series, labels, None, FRACTIONS, groups)
    people = [set(groups[split.series[:, 0].astype(int)]) for split in splits]
    assert [len(names) for names in people] == [4, 2, 2] and len(set.union(*people)) == 8
    assert [len(split.labels) for split in splits] == [40, 20, 20]
    for wrong in (
        groups[1:],
        np.where(groups == "bob", None, groups),
        np.ma.masked_equal(groups, "bob"),
    ):
        with pytest.raises(UserError, match=r"need groups of the shape \(80,\), with none missing"):
            split_series(series, labels, None, FRACTIONS, wrong)
    labels = np.arange(80) // 40  # a person for each class
    with pytest.raises(UserError, match="cannot be split by data.val_fraction"):
        split_series(series, labels, None, FRACTIONS, groups=labels)


def test_copies_in_two_splits_are_refused_unless_they_are_one_group():
    rows = np.random.default_rng(0).normal(size=(12, 20))
    series, labels = np.tile(rows, (10, 1)), np.tile(np.arange(12) % 2, 10)
    with pytest.raises(UserError, match="copies of a series .* give them one number in groups"):
        split_series(series, labels, None, FRACTIONS)
    splits = split_series(series, labels, None, FRACTIONS, groups=np.tile(np.arange(12), 10))
    assert [len(np.unique(split.series, axis=0)) for split in splits] == [6, 3, 3]


def test_equal_waves_of_the_settings_may_be_split():
    ranges = ["data.frequency=[2,2]", "data.amplitude=[3,3]", "data.dataset_size=100"]
    assert len(make_splits(load_config(overrides=ranges)["data"]).test.labels) == 20


@pytest.mark.parametrize(
    "mask, said",
    [
        (lambda mask: mask[1:], r"flat_mask must be bool of the shape \(N, T\), here \(100, 5\)"),
        (lambda mask: 2 * mask, "flat_mask must be bool"),
        (lambda mask: ~mask, "series 0"),  # labels and mask swapped
        (lambda mask: mask & (np.arange(100) != 51)[:, None], "series 51 "),  # empty there
        (lambda mask: mask | (np.arange(100) == 53)[:, None], "series 53 "),  # all of its steps
    ],
)
def test_a_flat_mask_goes_with_its_series_and_must_fit(data_config, mask, said):
    series = np.arange(100)[:, None] * np.ones(5)
    good = (np.arange(100) > 49)[:, None] & (np.arange(5) > 2)
    for split in split_series(series, np.arange(100) > 49, good.tolist(), data_config):
        np.testing.assert_array_equal(split.flat_mask, good[split.series[:, 0].astype(int)])
    with pytest.raises(UserError, match=said):
        split_series(series, np.arange(100) > 49, mask(good), data_config)


def test_dataset_keeps_what_single_precision_would_round():
    series = np.array([[1e8, 1e8 + 0.5], [0, 1]])
    dataset = SineWaveTorchDataset(series, [1, 0])
    assert len(dataset) == 2
    values, label = dataset[0]
    assert values.tolist() == [1e8, 1e8 + 0.5]
    assert label.shape == () and label.dtype == torch.int64 and label.item() == 1
