import numpy as np
import pytest
import torch

from data import SineWaveTorchDataset, make_splits, plot_samples
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


def test_every_split_of_every_allowed_setting_has_both_classes():
    rng, allowed = np.random.default_rng(0), 0
    for _ in range(600):
        size = rng.integers(20, 400)
        ratio, val, test = rng.choice([0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99], size=3)
        changes = (f"data.dataset_size={size}", "data.num_points=20", f"data.normal_ratio={ratio}")
        fractions = (f"data.val_fraction={min(val, 0.9)}", f"data.test_fraction={min(test, 0.9)}")
        try:
            config = load_config(overrides=[*changes, *fractions])
        except UserError:
            continue
        allowed += 1
        for split in make_splits(config["data"]):
            assert set(split.labels) == {0, 1}
    assert allowed > 50


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
    figure = plot_samples([splits.train, splits.val])
    assert [len(axis.patches) for axis in figure.axes] == [0, 0, 1, 1] * 2
