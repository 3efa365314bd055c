import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from constants import CONFIG_FILE, PROJECT_DIR
from data_utils import (
    check_config,
    flatten_segment,
    generate_series,
    json_bytes,
    load_config,
    read_series,
    segment_mask,
    sine_wave,
)


@pytest.fixture
def config():
    return load_config()


def test_sine_wave_at_points_known_in_closed_form():
    time = np.array([0, np.pi / 4, np.pi / 2, np.pi])
    wave = sine_wave(time, frequency=2, amplitude=3)
    np.testing.assert_allclose(wave, [0, 3, 0, 0], atol=1e-12)
    assert wave.dtype == np.float64
    np.testing.assert_allclose(
        sine_wave(time, 1, 2, phase=np.pi / 2), [2, np.sqrt(2), 0, -2], atol=1e-12
    )


def test_sine_wave_of_many_series_is_each_of_them():
    time = np.linspace(0, 2 * np.pi, 7)
    frequency, amplitude, phase = (
        np.array([[1.0], [2.5]]),
        np.array([[3.0], [4.0]]),
        np.array([[0.0], [0.3]]),
    )
    both = sine_wave(time, frequency, amplitude, phase)
    for i in range(2):
        np.testing.assert_array_equal(both[i], sine_wave(time, frequency[i], amplitude[i], phase[i]))


def test_flatten_segment_holds_the_first_value_and_nothing_else_changes():
    wave = np.array([5.0, 6, 7, 8, 9])
    np.testing.assert_array_equal(flatten_segment(wave, 1, 3), [5, 6, 6, 6, 9])
    np.testing.assert_array_equal(wave, [5, 6, 7, 8, 9])


def test_flatten_segment_is_cut_at_the_end():
    np.testing.assert_array_equal(flatten_segment(np.arange(5.0), 3, 10), [0, 1, 2, 3, 3])
    np.testing.assert_array_equal(segment_mask(5, 3, 10), [0, 0, 0, 1, 1])


def test_flatten_segment_of_many_series():
    waves = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    expected = [[1, 1, 1, 4], [5, 6, 7, 7]]
    np.testing.assert_array_equal(flatten_segment(waves, np.array([0, 2]), np.array([3, 2])), expected)


@pytest.mark.parametrize("start, length", [(-1, 2), (5, 2), (0, 0), (2, -1)])
def test_flatten_segment_refuses_what_is_no_segment(start, length):
    with pytest.raises(ValueError, match="start must lie in 0 .. 4" if length == 2 else "at least 1"):
        flatten_segment(np.arange(5.0), start, length)


def test_generated_series_stay_in_their_ranges(config):
    data = config["data"]
    labels = np.repeat([0, 1], 300)
    series, mask = generate_series(data, labels)
    assert series.shape == mask.shape == (600, 500) and series.dtype == np.float32
    assert not mask[:300].any()
    peaks = np.abs(series[:300]).max(axis=1)  # a cycle or more: the peak is the amplitude
    assert 0.99 < peaks.min() < 1.2 and 9.8 < peaks.max() <= 10
    # sin(f t) is zero at t = kπ / f: inside 0 to 2π, with f from 1 to 4, for k = 1 .. 2 to 7.
    crossings = (np.diff(np.sign(series[:300, 1:]), axis=1) != 0).sum(axis=1)
    assert crossings.min() == 2 and crossings.max() == 7
    for row, flat in zip(series[300:], mask[300:]):
        steps = np.flatnonzero(flat)
        assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1))  # one segment
        assert steps[0] <= 450 and 50 <= len(steps) <= 250
        assert np.all(row[steps] == row[steps[0]])


def test_noise_is_added_to_the_same_waves_and_scales_with_the_amplitude(config):
    labels = np.repeat([0, 1], 200)
    clean, mask = generate_series(config["data"], labels)
    noisy, noisy_mask = generate_series(config["data"] | {"noise": 0.05}, labels)
    np.testing.assert_array_equal(mask, noisy_mask)
    amplitude = np.abs(clean[:200]).max(axis=1)
    ratio = (noisy - clean)[:200].std(axis=1) / amplitude
    assert abs(ratio.mean() - 0.05) < 0.001
    assert np.all(np.abs(ratio - 0.05) < 0.01)
    # The flat segment is noisy too: in each series its noise, over the amplitude, is as strong.
    difference = (noisy - clean)[200:]
    inside = np.array([row[flat].std() for row, flat in zip(difference, mask[200:])])
    outside = np.array([row[~flat].std() for row, flat in zip(difference, mask[200:])])
    assert abs(np.median(inside / outside) - 1) < 0.05


def test_phase_shifts_the_wave(config):
    labels = np.zeros(100, dtype=int)
    series, _ = generate_series(config["data"] | {"phase": [np.pi / 2, np.pi / 2]}, labels)
    np.testing.assert_allclose(
        series[:, 0], np.abs(series).max(axis=1), rtol=1e-6
    )  # a cosine starts at its peak


def test_same_seed_same_data_other_seed_other_data(config):
    labels = np.repeat([0, 1], 20)
    first, _ = generate_series(config["data"], labels)
    again, _ = generate_series(config["data"], labels)
    other, _ = generate_series(config["data"] | {"seed": 1}, labels)
    np.testing.assert_array_equal(first, again)
    assert not np.any(np.all(first == other, axis=1))


@pytest.mark.parametrize(
    "path", [CONFIG_FILE, *sorted((PROJECT_DIR / "configs").glob("*.json"))], ids=lambda p: p.name
)
def test_every_config_of_the_repository_is_valid(path):
    assert set(load_config(path)) == {"data", "model", "training"}


def test_overrides_are_read_as_json_and_the_last_one_wins():
    config = load_config(overrides=["data.noise=0.5", 'model.scores_from="uniform"', "data.noise=0.02"])
    assert config["data"]["noise"] == 0.02
    assert config["model"]["scores_from"] == "uniform"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.flat_location=[0, 0.996]"],
        ["data.flat_length=[0.004, 0.998]"],
        ["data.flat_length=[0.1, 1]", "data.flat_location=[0.002, 0.9]"],
        ["training.batch_size=1000000000"],
    ],
)
def test_settings_at_the_edge_of_what_is_allowed(overrides):
    load_config(overrides=overrides)


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + CONFIG_FILE.read_bytes())
    assert load_config(tmp_path / "config.json") == load_config()


def test_json_has_no_nan():
    assert json.loads(json_bytes({"a": [1, 0.5]})) == {"a": [1, 0.5]}
    with pytest.raises(ValueError):
        json_bytes({"a": float("nan")})


def test_missing_keys_are_named(config):
    for section in config:
        for key in config[section]:
            lacking = copy.deepcopy(config)
            del lacking[section][key]
            with pytest.raises(ValueError, match=f'"{section}" of the config lacks the key "{key}"'):
                check_config(lacking)


NUMBERS = st.integers(0, 1000) | st.floats(0, 1) | st.integers() | st.floats()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=5)
    | st.lists(NUMBERS, min_size=2, max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [(section, key) for section, rules in load_config().items() for key in rules]


@hypothesis_settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(document=JSON, changes=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=3))
def test_the_config_reader_accepts_or_raises_value_error(tmp_path_factory, document, changes):
    config = load_config()
    for (section, key), value in changes.items():
        config[section][key] = value
    path = tmp_path_factory.getbasetemp() / "random.json"
    for content in (document, config):
        path.write_text(json.dumps(content))
        try:
            assert load_config(path) == content
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5,-3\n4,5,6e0\n",
        "\ufeff1, 2.5 ,-3\r\n\r\n4,5,6\r\n",
        "a,b,c\n1,2.5,-3\n4,5,6\n",
        ",0,1,2\n0,1,2.5,-3\n1,4,5,6\n",
        "0,1,2\n1,2.5,-3\n4,5,6\n",
        "id,0,1,2\na,1,2.5,-3\nb,4,5,6\n",
        ",x,y,z\na,1,2.5,-3\nb,4,5,6\n",
    ],
    ids=["plain", "byte order mark", "header", "pandas", "no index", "named index", "names"],
)
def test_read_series(tmp_path, text):
    (tmp_path / "series.csv").write_text(text, encoding="utf-8")
    series = read_series(tmp_path / "series.csv")
    np.testing.assert_array_equal(series, [[1, 2.5, -3], [4, 5, 6]])
