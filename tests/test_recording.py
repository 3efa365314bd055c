"""A recording: its windows, what is named as its fault, and the flat places that are found."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import cbook

from constants import CLASSES
from data import LabelledSeries, Splits
from data_utils import UserError, load_config
from experiments import recording as experiment
from own_data.recording import find_places, make_recording_splits
from train import train

CONFIG, COUNTS = load_config(), {"train": 2000, "val": 200, "test": 200}
WALK = np.random.default_rng(0).normal(size=8000).cumsum()


def predict(windows):
    """A network that sees exactly where a window is constant."""
    flat = np.diff(windows, axis=1, append=np.nan) == 0
    anomalous = np.where(flat.sum(axis=1) > 20, 0.9, 0.1)
    return np.stack([1 - anomalous, anomalous], axis=1), flat / flat.sum(axis=1, keepdims=True).clip(1)


SCRIPTED = SimpleNamespace(predict=predict, lag=0, shape=(100, 1), classes=CLASSES)


def test_windows_lie_in_their_parts_with_noise_on_flat_segments_alone():
    noisy = load_config(overrides=["data.noise=1"])
    splits, other = (make_recording_splits(np.arange(8000), c, 100) for c in (CONFIG, noisy))
    assert splits.classes == CLASSES and splits.train.series.shape == (7000, 100, 1)
    for split, (start, stop) in zip(splits, ((0, 4000), (4000, 6000), (6000, 8000))):
        assert start <= split.series.min() and split.series.max() < stop
        assert np.array_equal(split.flat_mask.any(axis=1), split.labels == 1)
    assert np.array_equal((other.train.series != splits.train.series)[:, :, 0], splits.train.flat_mask)


WRONG = {
    "3999 numbers: at least 4000 are needed": WALK[:3999],
    "one row or one column of numbers": np.ones((3, 4000)),
    "series 0 holds NaN": [1.0, np.nan] * 2000,
}


@pytest.mark.parametrize("said, values", WRONG.items())
def test_what_is_no_recording(said, values):
    with pytest.raises(UserError, match=said):
        make_recording_splits(values, CONFIG)


def test_faults_are_named_and_healthy_recordings_left_alone(capsys):
    gap, spike = np.sin(np.arange(16_000) / 30).reshape(2, 8000)
    gap[3000:3200], spike[5000] = -999, 100
    make_recording_splits(gap, CONFIG)
    said = capsys.readouterr().out
    assert "1 stretches of 50 or more equal values" in said
    assert "from step 2999 to 3000, 3199 to 3200:" in said  # so the gap is 3000 to 3199
    find_places(SCRIPTED, spike)
    assert "from step 4999 to 5000, 5000 to 5001:" in capsys.readouterr().out
    membrane = np.fromfile(cbook.get_sample_data("membrane.dat", asfileobj=False), dtype=np.float32)
    for healthy in (WALK, membrane):
        make_recording_splits(healthy, CONFIG)
        find_places(SCRIPTED, healthy)
    assert capsys.readouterr().out == ""


def test_places_are_found_to_the_last_step():
    values = WALK.copy()
    values[400:470] = values[7900:] = 1
    for same in (values, values[:, np.newaxis], values[np.newaxis].tolist()):
        assert find_places(SCRIPTED, same) == [(400, 469, 0.9), (7900, 7999, 0.9)]
    with pytest.raises(UserError, match="trained on make_recording_splits"):
        find_places(SimpleNamespace(shape=(100, 2), classes=CLASSES), values)


def test_a_trained_network_finds_a_stuck_sensor():
    model, _ = train(CONFIG, make_recording_splits(WALK, CONFIG, counts=COUNTS))
    start, stop, probability = find_places(model, np.append(WALK, [WALK[-1]] * 140))[-1]
    assert 7990 < start < 8050 and stop == 8140 and probability > 0.9


def test_the_longest_run_takes_its_number_from_validation_windows():
    series = np.tile(np.arange(10.0), (7, 1))
    for row, run in zip(series, (1, 2, 5, 6, 4, 3, 1)):
        row[:run] = 0  # windows of ten steps that begin with so many equal values
    windows = LabelledSeries(series[:, :, np.newaxis], np.array([0, 0, 1, 1, 1, 0, 0]), None)
    splits = Splits(None, windows.take(slice(0, 4)), windows.take(slice(4, 7)), CLASSES)
    assert experiment.longest_run(splits)[0].tolist() == [1, 0, 0]  # at least 3.5 equal values
