import numpy as np
import pytest
import torch

from data import SineWaveTorchDataset, make_splits, plot_samples
from data_utils import load_config


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


def test_masks_belong_to_their_series(splits):
    for series, labels, mask in splits:
        assert np.array_equal(mask.any(axis=1), labels == 1)
        for row, flat in zip(series[labels == 1], mask[labels == 1]):
            start, end = np.flatnonzero(flat)[[0, -1]]
            assert np.all(row[start : end + 1] == row[start])
            assert start == 0 or row[start - 1] != row[start]
            assert end == 499 or row[end + 1] != row[end]


def test_splits_follow_the_seed(data_config, splits):
    again, other = make_splits(data_config), make_splits(data_config | {"seed": 1})
    for a, b in zip(splits, again):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)
    assert not np.array_equal(splits.test.series, other.test.series)


def test_seeds_can_be_of_any_size(data_config):
    assert len(make_splits(data_config | {"seed": 2**63 - 1}).test.labels) > 0


def test_dataset_gives_single_precision_tensors(splits):
    dataset = SineWaveTorchDataset(splits.val.series, splits.val.labels)
    assert len(dataset) == 100
    series, label = dataset[3]
    assert series.shape == (500,) and series.dtype == torch.float32
    assert label.shape == () and label.dtype == torch.float32
    np.testing.assert_array_equal(series, splits.val.series[3])
    assert label.item() == splits.val.labels[3]


def test_dataset_refuses_labels_of_another_number(splits):
    with pytest.raises(ValueError, match="100 series but 99 labels"):
        SineWaveTorchDataset(splits.val.series, splits.val.labels[1:])


def test_samples_picture_shades_the_anomalous_series_only(splits):
    figure = plot_samples(splits.train, per_class=2)
    shaded = [len(axis.patches) for axis in figure.axes]
    assert shaded == [0, 1, 0, 1]  # row by row: normal, anomalous
