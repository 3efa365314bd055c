import copy
import json

import numpy as np
import pytest
import torch

from constants import SETTINGS
from data_utils import (
    UserError,
    add_flat_segments,
    check_config,
    check_labels,
    check_series,
    flatten_segment,
    generate_series,
    load_config,
    override_config,
    save_json,
    sine_wave,
    write_file,
)


@pytest.fixture
def config():
    return load_config()


def test_sine_wave_at_points_known_in_closed_form():
    time = np.array([0, np.pi / 4, np.pi / 2, np.pi])
    wave = sine_wave(time, frequency=2, amplitude=3)
    np.testing.assert_allclose(wave, [0, 3, 0, 0], atol=1e-12)
    assert wave.dtype == np.float64
    shifted = sine_wave(time, 1, 2, phase=np.pi / 2)
    np.testing.assert_allclose(shifted, [2, np.sqrt(2), 0, -2], atol=1e-12)


def test_flatten_segment_holds_the_first_value_and_nothing_else_changes():
    wave = np.array([5.0, 6, 7, 8, 9])
    np.testing.assert_array_equal(flatten_segment(wave, 1, 3), [5, 6, 6, 6, 9])
    np.testing.assert_array_equal(flatten_segment(wave, 3, 10), [5, 6, 7, 8, 8])  # cut at the end
    np.testing.assert_array_equal(wave, [5, 6, 7, 8, 9])


@pytest.mark.parametrize("start, length", [(-1, 2), (5, 2), (0, 0), (2, -1)])
def test_flatten_segment_refuses_what_is_no_segment(start, length):
    with pytest.raises(ValueError, match=f"no segment of {length} steps can start at step {start} of 5"):
        flatten_segment(np.arange(5.0), start, length)


def test_add_flat_segments_to_waves_of_any_origin():
    waves = np.cumsum(np.ones((40, 20), dtype=np.float32), axis=1)  # no two neighbours are equal
    before, labels = waves.copy(), np.arange(40) % 2
    ranges = {"flat_location": [0.5, 0.9], "flat_length": [0.01, 0.3]}
    series, flat_mask = add_flat_segments(waves, labels, ranges, np.random.default_rng(0))
    np.testing.assert_array_equal(waves, before)
    np.testing.assert_array_equal(series[labels == 0], waves[labels == 0])
    assert not flat_mask[labels == 0].any()
    np.testing.assert_array_equal(series[~flat_mask], waves[~flat_mask])
    for row, mask in zip(series[labels == 1], flat_mask[labels == 1]):
        steps = np.flatnonzero(mask)
        assert 10 <= steps[0] <= 18 and 2 <= len(steps) <= 6  # at least 2, even for 0.01 of 20 steps
        assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1))
        assert np.all(row[steps] == row[steps[0]])


def test_the_default_data_are_the_same_numbers_in_the_same_order(config):
    """Every number of the README is of these series."""
    labels, rng = np.repeat([0, 1], 50), np.random.default_rng(0)
    limits = [(1, 4), (1, 10), (0, 0), (0, 0.9), (0.1, 0.5)]
    drawn = np.array([rng.uniform(low, high, size=100) for low, high in limits])
    series, flat_mask = generate_series(config["data"], labels)
    for row, (frequency, amplitude, _, location, fraction) in enumerate(drawn.T):
        wave = [amplitude * np.sin(frequency * 2 * np.pi * step / 499) for step in range(500)]
        start, end = int(500 * location), int(500 * location) + int(500 * fraction)
        flat = [bool(labels[row]) and start <= step < end for step in range(500)]
        expected = np.where(flat, wave[start], wave)
        np.testing.assert_allclose(series[row], expected, atol=1e-5)
        np.testing.assert_array_equal(flat_mask[row], flat)


def test_noise_is_added_to_the_same_waves_and_scales_with_the_amplitude(config):
    labels = np.repeat([0, 1], 200)
    clean, mask = generate_series(config["data"], labels)
    noisy, noisy_mask = generate_series(config["data"] | {"noise": 0.05}, labels)
    np.testing.assert_array_equal(mask, noisy_mask)
    noise = noisy - clean
    ratio = noise[:200].std(axis=1) / np.abs(clean[:200]).max(axis=1)
    assert abs(ratio.mean() - 0.05) < 0.001 and np.all(np.abs(ratio - 0.05) < 0.01)


# ---------------------------------------------------------------- the gate


class Frame:
    """What a table of another library is to NumPy: rows by __array__, columns by []."""

    def __init__(self, rows):
        self.rows = rows

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype=dtype)

    def __getitem__(self, key):
        raise KeyError(key)


def test_the_gate_takes_numbers_in_any_container():
    expected = np.array([[1.0, 2, 3], [4, 5, 6]])
    rows = [[1, 2, 3], [4, 5, 6]]
    masked = np.ma.array(expected, mask=False)
    big_endian, single = expected.astype(">f4"), torch.tensor(rows)
    for same in (rows, expected.astype(np.int8), big_endian, masked, single, Frame(rows)):
        checked = check_series(same)
        assert checked.dtype == np.float64 and checked.dtype.isnative
        np.testing.assert_array_equal(checked, expected)
        checked[:] = 0  # a copy
    assert check_series([1, 2]).shape == (1, 2) and check_series(np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert check_series([[1e39, 1e149]])[0, 1] == 1e149
    for same in ([0, 1, 1], np.array([False, True, True]), Frame([0, 1, 1]), torch.tensor([0.0, 1, 1])):
        assert check_labels(same, 3).tolist() == [0, 1, 1]
    for same in ([2, 0, 1], [1, 1, 1]):
        assert check_labels(same, 3).tolist() == same


@pytest.mark.parametrize(
    "series, said",
    [
        ([[1, 2], [1, 2, 3]], "series must be an array of numbers: .*inhomogeneous"),
        (torch.ones(5, requires_grad=True), "series must be an array of numbers: .*requires grad"),
        (np.array([[1, None]]), "series must be numbers, got an array of object; from pandas, pass"),
        (np.ones((2, 2, 5, 1)), r"or \(N, T, C\), got \(2, 2, 5, 1\)"),
        (np.ones((0, 5)), r"or \(N, T, C\), got \(0, 5\)"),
        ([[1.0] * 5] * 300 + [[np.nan] + [1.0] * 4], "series 300 holds NaN"),
        (np.ma.masked_equal([[1, 2], [3, -9]], -9), "series 1 holds NaN, infinity, a masked value"),
        ([[0, -1e200]], "series 0 holds .* one beyond 1e150"),
    ],
)
def test_the_gate_names_the_series_that_is_wrong(series, said):
    with pytest.raises(UserError, match=said):
        check_series(series)


@pytest.mark.parametrize(
    "labels, said",
    [
        ([1, 2, 1], "0 and 1, or 0 .. K-1, got 1, 2; pass labels == the anomalous one"),
        ([0, 2, 3], "got 0, 2, 3; .* or np.unique.* if K > 2"),
        ([0, 0.5, np.nan], "got 0, 0.5, nan; pass"),
        ([0, 1], r"3 series need labels of the shape \(3,\), got \(2,\)"),
        (["up", "down", "up"], "labels must be numbers, got an array of <U4; pass labels =="),
    ],
)
def test_the_gate_names_the_label_that_is_wrong(labels, said):
    with pytest.raises(UserError, match=said):
        check_labels(labels, 3)
    with pytest.raises(UserError, match=said):
        add_flat_segments(np.ones((3, 20)), labels, load_config()["data"], np.random.default_rng(0))


# ---------------------------------------------------------------- settings


def test_overrides_are_json_or_words_and_the_last_one_wins(config):
    overrides = ["data.noise=0.5", "training.schedule=constant", "data.noise=0.02"]
    changed = override_config(config, overrides)
    assert changed["data"]["noise"] == 0.02 and changed["training"]["schedule"] == "constant"
    assert override_config(config, ['training.schedule="constant"', "data.noise=0.02"]) == changed
    assert config == load_config()


def wrong_values(kind, *limits):
    """Values that a setting must refuse, by its entry in the table."""
    values = ["word", {}, [], [1, 2, 3], float("nan"), float("inf")]
    if kind in (bool, str):
        return [*values, None, 1, 0]
    low, high, *null = limits
    values += [low - 1, high + 1, True]
    if kind is list:
        return [*values, None, low, [low - 1, high], [low, high + 1], [high, low], [low], ["a", high]]
    return values + ([] if null else [None]) + ([low + 0.5] if kind is int else [])


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_refuses_what_its_entry_does_not_allow(config, name):
    section, key = name.split(".")
    for value in wrong_values(*SETTINGS[name]):
        changed = copy.deepcopy(config)
        changed[section][key] = value
        with pytest.raises(UserError, match=f"^{name} must be .*, got "):
            check_config(changed)
    del config[section][key]
    with pytest.raises(UserError, match=f"^the config lacks {name}$"):
        check_config(config)


@pytest.mark.parametrize(
    "override, said",
    [
        ("noise=1", "--set takes section.key=value, got noise=1"),
        ("data.nois=1", "the config does not know data.nois$"),
        ("dat.noise=1", "the config does not know dat.noise$"),
        ("data=1", "--set takes section.key=value, got data=1"),
    ],
)
def test_wrong_overrides_are_named(override, said):
    with pytest.raises(UserError, match=said):
        load_config(overrides=[override])


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"data": 1}', '{"data": {}, "data": {}}', "\xff"])
def test_files_that_hold_no_config(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match="config"):
        load_config(tmp_path / "config.json")


# ---------------------------------------------------------------- files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.json"
    save_json(path, {"a": [1, np.float32(0.5)]})
    assert json.loads(path.read_text()) == {"a": [1, 0.5]}
    with pytest.raises(ZeroDivisionError):
        write_file(path, lambda temporary: temporary.write_text("half of") / 0)
    assert json.loads(path.read_text()) == {"a": [1, 0.5]}
    assert [path.name for path in path.parent.iterdir()] == ["file.json"]
