"""Sine waves and flat segments; settings; what the scripts share."""

import argparse
import copy
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from constants import ANOMALOUS, ARTIFACTS_DIR, CONFIG_FILE, SETTINGS


class UserError(ValueError):
    """An error that the user can fix. A script shows it in one line; any other error is a bug."""


def add_flat_segments(waves, labels, data_config, rng):
    """Flatten a random segment in each of the waves (N, T) whose label (N,) is ANOMALOUS.

    Start and length are drawn from `flat_location` and `flat_length`. Returns new series, float64
    (N, T), and flat_mask, bool (N, T), True on the flat segments.
    """
    series = np.array(waves, dtype=np.float64)
    count, num_points = series.shape
    # Drawn for every wave, flattened or not, so that other labels do not change the random numbers.
    starts = (rng.uniform(*data_config["flat_location"], size=count) * num_points).astype(int)
    lengths = (rng.uniform(*data_config["flat_length"], size=count) * num_points).astype(int)
    # To hold a single step would change nothing: a segment has at least two.
    starts, lengths = starts.clip(max=num_points - 2), lengths.clip(min=2)
    flat_mask = np.zeros((count, num_points), dtype=bool)
    for row in np.flatnonzero(np.asarray(labels) == ANOMALOUS):
        flat = slice(starts[row], starts[row] + lengths[row])  # cut at the end of the series
        series[row, flat] = series[row, starts[row]]
        flat_mask[row, flat] = True
    return series, flat_mask


def generate_series(data_config, labels):
    """Draw a sine wave for each of the labels (N,), flatten a segment of the anomalous ones, add noise.

    Returns the series, float64 (N, T), and flat_mask, bool (N, T). The noise is drawn last, from the
    generator of the waves: another `noise` gives the same waves.
    """
    rng = np.random.default_rng(data_config["seed"])
    frequency = rng.uniform(*data_config["frequency"], size=(len(labels), 1))
    amplitude = rng.uniform(*data_config["amplitude"], size=(len(labels), 1))
    phase = rng.uniform(*data_config["phase"], size=(len(labels), 1))
    time = np.linspace(0, 2 * np.pi, data_config["num_points"])  # so a frequency of 1 is one cycle
    waves = amplitude * np.sin(frequency * time + phase)  # (N, T)
    series, flat_mask = add_flat_segments(waves, labels, data_config, rng)
    if data_config["noise"] > 0:
        series += data_config["noise"] * amplitude * rng.standard_normal(series.shape)
    return series, flat_mask


def load_config(path=CONFIG_FILE, overrides=()):
    """config.json, changed by the file `path`, which holds only what differs, then by the overrides.

    An override is "section.key=value". UserError, OSError.
    """
    config = {section: {} for section in SETTINGS}
    for file in (CONFIG_FILE, path):
        try:
            for section, settings in json.loads(Path(file).read_text(encoding="utf-8-sig")).items():
                config[section] |= settings
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{file} must be JSON with {', '.join(SETTINGS)} in it: {error}") from error
    return override_config(config, overrides)


def override_config(config, overrides):
    """A checked copy of a config, changed by strings "section.key=value": JSON, or a plain word."""
    config = copy.deepcopy(config)
    for override in overrides:
        name, _, text = override.partition("=")
        section, _, key = name.partition(".")
        if section not in config:
            raise UserError(f"--set takes {' or '.join(config)}.key=value here, got {override}")
        try:
            config[section][key] = json.loads(text)
        except ValueError:
            config[section][key] = text
    for section, settings in config.items():
        check_settings(section, settings)
    return config


def check_settings(section, settings):
    """Return a section of a config. UserError: a setting is missing, unknown or not allowed."""
    allowed = SETTINGS[section]
    for key in sorted(allowed.keys() ^ settings.keys()):  # in one of the two only; the first is reported
        fault = "lacks" if key in allowed else "does not know"
        raise UserError(f"the config {fault} {section}.{key}")
    for key, value in settings.items():
        if not _is_allowed(value, allowed[key]):
            raise UserError(f"{section}.{key} must be in {allowed[key]} of constants.py, got {value!r}")
    return settings


def _is_allowed(value, limits):
    if isinstance(limits, list):  # a range [min, max]
        is_pair = isinstance(value, list) and len(value) == 2
        return is_pair and all(_is_allowed(v, tuple(limits)) for v in value) and value[0] <= value[1]
    if isinstance(limits[0], (str, bool)):  # one of several words, or false or true
        return type(value) is type(limits[0]) and value in limits
    low, high = limits
    # An int may stand for a float. By type(), since isinstance(True, int) holds.
    return type(value) in (int, type(low)) and low <= value <= high


def make_parser(description):
    """A parser with `--artifacts`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS_DIR, help="the folder of the run")
    return parser


def run_script(main):
    """Run `main`. An error that the user can fix is one line and exit code 2; Ctrl-C is 130."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (UserError, OSError, MemoryError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


def write_file(path, write):
    """Call write(temporary path), then move that file to `path`: nobody sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        write(temporary)
        os.replace(temporary, path)
