import numpy as np
import pytest
import torch

from data import SineWaveTorchDataset, make_splits, plot_samples, split_series
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


def test_every_split_that_is_allowed_has_both_classes():
    rng, allowed = np.random.default_rng(0), 0
    for _ in range(600):
        size = rng.integers(20, 400)
        ratio, val, test = rng.choice([0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99], size=3)
        labels = (np.arange(size) >= ratio * size).astype(int)
        series = np.arange(size)[:, None] * np.ones(2)
        fractions = {"seed": 0, "val_fraction": val, "test_fraction": test}
        try:
            splits = split_series(series, labels, None, fractions)
        except UserError as error:
            assert "of a class are too few" in str(error)
            continue
        allowed += 1
        assert [len(split.labels) for split in splits[1:]] == [round(val * size), round(test * size)]
        for split in splits:
            assert set(split.labels) == {0, 1} and split.flat_mask is None
            np.testing.assert_array_equal(split.labels, labels[split.series[:, 0].astype(int)])
    assert allowed > 50


def test_a_flat_mask_goes_with_its_series_and_must_fit(data_config):
    series = np.arange(100)[:, None] * np.ones(5)
    for split in split_series(series, np.arange(100) % 2, (series > 50).tolist(), data_config):
        np.testing.assert_array_equal(split.flat_mask, split.series > 50)
    with pytest.raises(UserError, match=r"flat_mask must be bool of the shape \(100, 5\)"):
        split_series(series, np.arange(100) % 2, series[1:] > 50, data_config)
    with pytest.raises(UserError, match="flat_mask must be bool"):
        split_series(series, np.arange(100) % 2, (series > 50).astype(int), data_config)


def test_dataset_keeps_what_single_precision_would_round():
    series = np.array([[1e8, 1e8 + 0.5], [0, 1]])
    dataset = SineWaveTorchDataset(series, [1, 0])
    assert len(dataset) == 2
    values, label = dataset[0]
    assert values.tolist() == [1e8, 1e8 + 0.5]
    assert label.shape == () and label.dtype == torch.float32 and label.item() == 1


def test_samples_picture_shades_the_anomalous_series_only(splits):
    figure = plot_samples({"train": splits.train, "val": splits.val})
    assert [len(axis.patches) for axis in figure.axes] == [0, 0, 1, 1] * 2
