"""Sine waves and flat segments; the settings of a run; and what all scripts share."""

import argparse
import contextlib
import copy
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from constants import ANOMALOUS, ARTIFACTS_DIR, CONFIG_FILE


class UserError(ValueError):
    """An error that the user can fix. A script shows it in one line; any other error is a bug."""


# ---------------------------------------------------------------- signals


def sine_wave(time, frequency, amplitude, phase=0.0):
    """amplitude * sin(frequency * time + phase), a float64 array (T,).

    `time` (T,) is in radians: over 0 to 2π, the frequency is the number of cycles. With a frequency,
    an amplitude or a phase that is an array (N, 1), it is N waves at once, (N, T).
    """
    return amplitude * np.sin(frequency * np.asarray(time, dtype=np.float64) + phase)


def flatten_segment(wave, start, length):
    """A copy of `wave` (T,) whose steps start .. start + length - 1 hold the value at `start`.

    A segment that runs over the end of the wave is cut there. ValueError: it starts outside the wave,
    or has no length.
    """
    if not 0 <= start < len(wave) or length < 1:
        raise ValueError(f"no segment of {length} steps can start at step {start} of {len(wave)}")
    series = np.array(wave)
    series[start : start + length] = series[start]
    return series


def add_flat_segments(waves, labels, data_config, rng):
    """Flatten one random segment in each wave that is labelled anomalous.

    Parameters
    ----------
    waves : array (N, T), sine waves or anything else; not modified.
    labels : int array (N,), 0 normal or 1 anomalous.
    data_config : dict with `flat_location` and `flat_length`, ranges [min, max] of the start and the
        length of the segment as fractions of the series. A segment has at least 2 steps.
    rng : numpy.random.Generator

    Returns
    -------
    series : array (N, T)
    flat_mask : bool array (N, T), True on the flat segments.
    """
    count, num_points = waves.shape
    starts = (rng.uniform(*data_config["flat_location"], size=count) * num_points).astype(int)
    lengths = (rng.uniform(*data_config["flat_length"], size=count) * num_points).astype(int)
    lengths = lengths.clip(min=2)  # to hold a single step would change nothing
    series, flat_mask = np.array(waves), np.zeros(waves.shape, dtype=bool)
    for row in np.flatnonzero(np.asarray(labels) == ANOMALOUS):
        start, length = starts[row], lengths[row]
        series[row] = flatten_segment(waves[row], start, length)
        flat_mask[row, start : start + length] = True
    return series, flat_mask


def generate_series(data_config, labels):
    """Draw a sine wave for each of the labels (N,), flatten a segment of the anomalous ones, add noise.

    Returns the series, float32 (N, T), and flat_mask, bool (N, T). All random numbers come from one
    generator, and the noise is drawn last: another `noise` gives the same waves.
    """
    rng = np.random.default_rng(data_config["seed"])
    frequency, amplitude, phase = (
        rng.uniform(*data_config[name], size=(len(labels), 1))
        for name in ("frequency", "amplitude", "phase")
    )
    time = np.linspace(0, 2 * np.pi, data_config["num_points"])
    waves = sine_wave(time, frequency, amplitude, phase)
    series, flat_mask = add_flat_segments(waves, labels, data_config, rng)
    if data_config["noise"] > 0:
        series += data_config["noise"] * amplitude * rng.standard_normal(series.shape)
    return series.astype(np.float32), flat_mask


# ---------------------------------------------------------------- settings

# The kinds of value; error messages append the limits.
INTEGER, NUMBER, NUMBER_OR_NULL = "an integer from", "a number from", "null or a number from"
RANGE, CHOICE = "[min, max] with both from", "either"

# For each setting: the kind of value, then the lowest and the highest one allowed, or the choices. The
# keys of "model" and "training" are the arguments of AttentionClassifier and Trainer, in model.py.
SETTINGS = {
    "data": {
        "seed": (INTEGER, 0, 2**32 - 1),
        "dataset_size": (INTEGER, 20, 1_000_000),  # series in all three splits
        "num_points": (INTEGER, 20, 100_000),  # time steps of a series
        "normal_ratio": (NUMBER, 0.01, 0.99),  # share of the normal series
        "frequency": (RANGE, 0.01, 1000),  # cycles in a series
        "amplitude": (RANGE, 0.001, 1000),
        "phase": (RANGE, -1000, 1000),  # radians
        "flat_location": (RANGE, 0, 0.9),  # start of the flat segment, as a fraction of the series
        "flat_length": (RANGE, 0, 0.9),  # its length, as a fraction of the series
        "noise": (NUMBER, 0, 100),  # standard deviation, as a fraction of the amplitude
        "val_fraction": (NUMBER, 0.01, 0.9),
        "test_fraction": (NUMBER, 0.01, 0.9),
    },
    "model": {
        "patch_length": (INTEGER, 1, 50_000),
        "standardize": (CHOICE, False, True),
        "difference_channel": (CHOICE, False, True),
        "roughness": (CHOICE, False, True),
        "difference_clip": (NUMBER_OR_NULL, 0.001, 1000),
        "hidden_size": (INTEGER, 1, 1024),
        "forget_bias": (NUMBER, -100, 100),
        "attention": (CHOICE, False, True),
        "attention_size": (INTEGER, 1, 1024),
        "zero_init_classifier": (CHOICE, False, True),
    },
    "training": {
        "seed": (INTEGER, 0, 2**32 - 1),
        "batch_size": (INTEGER, 1, 10_000),
        "max_epochs": (INTEGER, 1, 10_000),
        "patience": (INTEGER, 1, 10_000),
        "learning_rate": (NUMBER, 1e-8, 100),
        "schedule": (CHOICE, "constant", "one_cycle"),
    },
}


def load_config(path=CONFIG_FILE, overrides=()):
    """Read a JSON config, a dict of the sections in SETTINGS, and apply the overrides.

    OSError: the file cannot be read. UserError: it is not JSON, or a setting is not allowed.
    """
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"the config {path} is not JSON: {error}") from error
    return override_config(check_config(config), overrides)


def override_config(config, overrides):
    """A checked copy of `config`, changed by strings "section.key=value": JSON, or a plain word."""
    config = copy.deepcopy(config)
    for override in overrides:
        name, equals, text = override.partition("=")
        section, _, key = name.partition(".")
        if not (equals and key):
            raise UserError(f"--set takes section.key=value, got {override}")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        config.setdefault(section, {})[key] = value
    return check_config(config)


def check_config(config):
    """Return `config`. UserError: a setting is missing, unknown or of a value that is not allowed."""
    _check_keys("the config", config, SETTINGS)
    for section, settings in SETTINGS.items():
        _check_keys(f'section "{section}" of the config', config[section], settings)
        for key, (kind, *limits) in settings.items():
            value = config[section][key]
            if not _is_allowed(value, kind, limits):
                allowed = (" or " if kind == CHOICE else " to ").join(map(json.dumps, limits))
                raise UserError(f"{section}.{key} must be {kind} {allowed}, got {json.dumps(value)}")

    data = config["data"]
    check_patches(data["num_points"], config["model"]["patch_length"])
    names = ("dataset_size", "normal_ratio", "val_fraction", "test_fraction")
    size, normal, val, test = (data[name] for name in names)
    # The number of series of the rarer class in the smallest split.
    if size * min(normal, 1 - normal) * min(val, test, 1 - val - test) < 2:
        given = ", ".join(f"data.{name} {data[name]}" for name in names)
        raise UserError(f"{given}: one of the splits has fewer than 2 series of a class")
    return config


def _check_keys(where, given, known):
    if not isinstance(given, dict):
        raise UserError(f"{where} must be an object in braces, got {json.dumps(given)}")
    if set(given) != set(known):
        wrong = ", ".join(map(json.dumps, sorted(set(given) ^ set(known))))
        raise UserError(f"{where} takes the keys {', '.join(known)}; missing or unknown: {wrong}")


def _is_allowed(value, kind, limits):
    if kind == CHOICE:
        return type(value) in (bool, str) and value in limits  # the type, because 1 == True
    if kind == RANGE:
        if not isinstance(value, list) or len(value) != 2:
            return False
        return all(_is_allowed(end, NUMBER, limits) for end in value) and value[0] <= value[1]
    if kind == NUMBER_OR_NULL and value is None:
        return True
    types = (int,) if kind == INTEGER else (int, float)
    return type(value) in types and limits[0] <= value <= limits[1]  # False for NaN


def check_patches(num_points, patch_length):
    """Raise UserError unless a series is two or more whole patches."""
    if num_points % patch_length or num_points < 2 * patch_length:
        cut = f"does not cut series of {num_points} points into two or more whole patches"
        raise UserError(f"model.patch_length {patch_length} {cut}")


# ---------------------------------------------------------------- scripts


def make_parser(description, config=False, overrides=False):
    """A parser with `--artifacts`, and with `--config` and `--set` for the scripts that take them."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--artifacts", type=Path, default=ARTIFACTS_DIR, metavar="DIR", help="the folder of the run")
    if config:
        add("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help="the settings")
    if overrides:
        change = "change one setting; may be given several times"
        add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help=change)
    return parser


def run_script(main):
    """Run `main` and exit with its code. An error that the user can fix is one line, and code 2."""
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except (UserError, OSError, MemoryError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        code = 2
    sys.exit(code)


@contextlib.contextmanager
def whole_file(path):
    """Give a temporary path to write to, then move the file into place: nobody sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        yield temporary
        os.replace(temporary, path)


def save_json(path, content):
    with whole_file(path) as temporary:
        text = json.dumps(content, indent=2, default=float)  # NumPy's numbers become floats
        temporary.write_text(text + "\n", encoding="utf-8")


def save_plot(path, figure):
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
