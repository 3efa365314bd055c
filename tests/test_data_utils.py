import copy

import numpy as np
import pytest

from constants import SETTINGS
from data_utils import UserError, add_flat_segments, check_settings, generate_series, load_config


@pytest.mark.parametrize("phase", [0, 1.5])
def test_the_default_data_are_the_same_numbers_in_the_same_order(phase):
    """Every number of the README is of these series (with the phase 0)."""
    labels, rng = np.repeat([0, 1], 50), np.random.default_rng(0)
    limits = [(1, 4), (1, 10), (phase, phase), (0, 0.9), (0.1, 0.5)]
    drawn = np.array([rng.uniform(low, high, size=100) for low, high in limits])
    series, flat_mask = generate_series(load_config()["data"] | {"phase": [phase, phase]}, labels)
    for row, (frequency, amplitude, _, location, fraction) in enumerate(drawn.T):
        wave = [amplitude * np.sin(frequency * 2 * np.pi * step / 499 + phase) for step in range(500)]
        start, end = int(500 * location), int(500 * location) + int(500 * fraction)
        flat = [bool(labels[row]) and start <= step < end for step in range(500)]
        np.testing.assert_allclose(series[row], np.where(flat, wave[start], wave), atol=1e-12)
        np.testing.assert_array_equal(flat_mask[row], flat)


def test_add_flat_segments_to_waves_of_any_origin():
    waves = np.cumsum(np.ones((200, 8), dtype=np.float32), axis=1)  # no two steps are equal
    before, labels = waves.copy(), np.arange(200) % 2
    ranges = {"flat_location": [0.5, 0.9], "flat_length": [0.01, 0.5]}
    series, flat_mask = add_flat_segments(waves, labels, ranges, np.random.default_rng(0))
    np.testing.assert_array_equal(waves, before)
    np.testing.assert_array_equal(series[~flat_mask], waves[~flat_mask])
    np.testing.assert_array_equal(flat_mask.any(axis=1), labels == 1)
    segments = set()  # start, length
    for row, mask in zip(series[labels == 1], flat_mask[labels == 1]):
        steps = np.flatnonzero(mask)
        assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1))
        assert np.all(row[steps] == 1 + steps[0])  # the values of the wave count its steps from 1
        segments.add((steps[0], len(steps)))
    assert segments == {(4, 2), (4, 3), (5, 2), (5, 3), (6, 2)}  # at least 2, even for 0.01 of 8 steps


def test_noise_is_added_to_the_same_waves_and_scales_with_the_amplitude():
    data_config, labels = load_config()["data"], np.repeat([0, 1], 200)
    clean, mask = generate_series(data_config, labels)
    noisy, noisy_mask = generate_series(data_config | {"noise": 0.05}, labels)
    np.testing.assert_array_equal(mask, noisy_mask)
    ratio = (noisy - clean)[:200].std(axis=1) / np.abs(clean[:200]).max(axis=1)
    assert abs(ratio.mean() - 0.05) < 0.001 and np.all(np.abs(ratio - 0.05) < 0.01)


def test_a_file_and_then_the_overrides_are_laid_over_the_config(tmp_path):
    default, path = load_config(), tmp_path / "mine.json"
    path.write_text('\ufeff{"data": {"noise": 0.5, "seed": 3}}', encoding="utf-8")  # as Windows saves it
    config = load_config(path, ["data.noise=0.1", "model.standardize=none", "data.noise=0.02"])
    expected = copy.deepcopy(default)
    expected["data"] |= {"noise": 0.02, "seed": 3}
    expected["model"]["standardize"] = "none"
    assert config == expected
    assert load_config(overrides=['model.standardize="none"'])["model"] == expected["model"]


def wrong_values(limits):
    """Values that a setting must refuse, by its entry in the table."""
    values = ["word", {}, [], [1, 2, 3], None, float("nan"), float("inf")]
    low, high = limits[0], limits[-1]
    if isinstance(limits, list):
        return [*values, low, [low - 1, high], [low, high + 1], [high, low], [low], ["a", high]]
    if isinstance(low, (str, bool)):
        return [*values, 1, 0]
    return [*values, low - 1, high + 1, True] + ([low + 0.5] if isinstance(low, int) else [])


@pytest.mark.parametrize("section", SETTINGS)
def test_each_setting_refuses_what_its_entry_does_not_allow(section):
    good = load_config()[section]
    for name, limits in SETTINGS[section].items():
        for value in wrong_values(limits):
            with pytest.raises(UserError, match=rf"^{section}\.{name} must be in .*, got "):
                check_settings(section, good | {name: value})
        with pytest.raises(UserError, match=f"^the config lacks {section}.{name}$"):
            check_settings(section, {key: value for key, value in good.items() if key != name})
        edges = limits if isinstance(limits, tuple) else [limits, [limits[0]] * 2, [limits[1]] * 2]
        for value in edges:
            assert check_settings(section, good | {name: value})[name] == value


def test_wrong_overrides_are_named():
    for override, said in {
        "noise=1": "--set takes data or model or training.key=value here, got noise=1",
        "data.nois=1": "the config does not know data.nois$",
        "data.noise": "data.noise must be in .*, got ''",
    }.items():
        with pytest.raises(UserError, match=said):
            load_config(overrides=[override])


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"data": 1}', '{"dat": {}}', "\xff"])
def test_files_that_hold_no_config(tmp_path, text):
    (tmp_path / "mine.json").write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match="mine.json must be JSON with data, model, training in it"):
        load_config(tmp_path / "mine.json")
