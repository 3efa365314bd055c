"""Sine waves and flat segments; checks of what comes in; settings; what the scripts share."""

import argparse
import copy
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from constants import ANOMALOUS, ARTIFACTS_DIR, CHECKPOINT_NAME, CONFIG_FILE, HISTORY_NAME, SETTINGS


class UserError(ValueError):
    """An error that the user can fix. A script shows it in one line; any other error is a bug."""


# ---------------------------------------------------------------- sine waves and flat segments


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
    """Flatten one random segment in each of the waves (N, T) that is labelled anomalous.

    The waves may be sine waves or anything else, also of several channels (N, T, C). `data_config` holds
    `flat_location` and `flat_length`, the ranges [min, max] of the start and the length of a segment, as
    fractions of the series. Returns new series, float64 of the same shape, and flat_mask, bool (N, T),
    True on the flat segments.
    """
    series = check_series(waves)  # a copy
    labels = check_labels(labels, len(series), classes=2)
    count, num_points = series.shape[:2]
    # Drawn for every wave, flattened or not, so that other labels do not change the random numbers.
    starts = (rng.uniform(*data_config["flat_location"], size=count) * num_points).astype(int)
    lengths = (rng.uniform(*data_config["flat_length"], size=count) * num_points).astype(int)
    # To hold a single step would change nothing: a segment has at least two.
    starts, lengths = starts.clip(max=num_points - 2), lengths.clip(min=2)
    flat_mask = np.zeros((count, num_points), dtype=bool)
    for row in np.flatnonzero(labels == ANOMALOUS):
        series[row] = flatten_segment(series[row], starts[row], lengths[row])
        flat_mask[row, starts[row] : starts[row] + lengths[row]] = True
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
    time = np.linspace(0, 2 * np.pi, data_config["num_points"])
    waves = sine_wave(time, frequency, amplitude, phase)
    series, flat_mask = add_flat_segments(waves, labels, data_config, rng)
    if data_config["noise"] > 0:
        series += data_config["noise"] * amplitude * rng.standard_normal(series.shape)
    return series, flat_mask


# ---------------------------------------------------------------- the gate for series and labels


def check_series(series):
    """Array-like of numbers -> a new float64 array (N, T), or (N, T, C) if there are C channels.

    A single series (T,) becomes (1, T). UserError: no such array, or a value that is no number or too large.
    """
    array = _numbers(series, "series", hint="; from pandas, pass .to_numpy(float)")
    array = array[None] if array.ndim == 1 else array
    if array.ndim not in (2, 3) or array.size == 0:
        raise UserError(f"series must have the shape (N, T) or (N, T, C), got {array.shape}")
    good = (np.abs(array) < 1e150).reshape(len(array), -1).all(axis=1)  # so that squares stay finite
    if not good.all():
        raise UserError(
            f"series {np.argmin(good)} holds NaN, infinity, a masked value or one beyond 1e150"
        )
    return array


def check_labels(labels, count, classes=None):
    """Array-like of 0 (normal) and 1 (anomalous), or of 0 .. K-1 -> int64 array (count,).

    UserError: other labels. K is `classes`; without it, as many as there are different ones, at least 2.
    """
    hint = "; pass labels == the anomalous one, or np.unique(labels, return_inverse=True)[1] if K > 2"
    array = _numbers(labels, "labels", hint)
    if array.shape != (count,):
        raise UserError(f"{count} series need labels of the shape ({count},), got {array.shape}")
    held = np.unique(array)
    classes = classes or max(2, len(held))
    if not np.isin(held, np.arange(classes)).all():
        shown = ", ".join(f"{label:g}" for label in held[:5]) + (", ..." if len(held) > 5 else "")
        raise UserError(f"labels must be 0 and 1, or 0 .. K-1, got {shown}{hint}")
    return array.astype(np.int64)


def _numbers(values, name, hint):
    """A new float64 array, with NaN for masked values."""
    try:
        array = np.ma.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # unequal lists; tensors with a gradient
        raise UserError(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":  # bool, int, unsigned, float
        raise UserError(f"{name} must be numbers, got an array of {array.dtype}{hint}")
    return array.astype(np.float64).filled(np.nan)


# ---------------------------------------------------------------- settings


def load_config(path=CONFIG_FILE, overrides=()):
    """Read and check a JSON config, then change it by overrides "section.key=value". UserError, OSError."""
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except ValueError as error:
        raise UserError(f"the config {path} cannot be read: {error}") from error
    return override_config(config, overrides)


def _unique(pairs):
    """A dict of pairs (name, value). ValueError: a name stands twice; JSON would take the last."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name stands twice among {', '.join(names)}")
    return dict(pairs)


def override_config(config, overrides):
    """A copy of a config, changed by strings "section.key=value": JSON, or a plain word. UserError."""
    config = copy.deepcopy(check_config(config))
    for override in overrides:
        name, equals, text = override.partition("=")
        section, _, key = name.partition(".")
        if not (equals and key):
            raise UserError(f"--set takes section.key=value, got {override}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        config.setdefault(section, {})[key] = value
    return check_config(config)


def check_config(config):
    """Return `config`. UserError: a setting is missing, unknown or not allowed."""
    try:
        given = {f"{name}.{key}": value for name, part in config.items() for key, value in part.items()}
    except AttributeError as error:  # no dict, or one whose values are none
        raise UserError("a config has the sections data, model and training") from error
    missing, unknown = SETTINGS.keys() - given.keys(), given.keys() - SETTINGS.keys()
    for fault, names in (("lacks", missing), ("does not know", unknown)):
        if names:
            raise UserError(f"the config {fault} {', '.join(sorted(names))}")
    for name, (kind, *limits) in SETTINGS.items():
        if not _is_allowed(given[name], kind, limits):
            allowed = f"{kind.__name__} in {json.dumps(limits)}"
            raise UserError(f"{name} must be {allowed}, got {given[name]!r}")
    return config


def _is_allowed(value, kind, limits):
    if kind is list:  # a range [min, max]
        is_pair = isinstance(value, list) and len(value) == 2
        return is_pair and all(_is_allowed(end, float, limits) for end in value) and value[0] <= value[1]
    if kind in (str, bool):  # a choice
        return type(value) is kind and value in limits
    # A number: an int may stand for a float, but True is not an int here.
    return type(value) in (int, kind) and limits[0] <= value <= limits[1]


# ---------------------------------------------------------------- what the scripts share


def make_parser(description, config=False, overrides=False):
    """A parser with `--artifacts`, and with `--config` and `--set` for the scripts that take them."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--artifacts", type=Path, default=ARTIFACTS_DIR, metavar="DIR", help="the folder of the run")
    if config:
        add("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help="the settings")
    if overrides:
        add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated")
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


def is_run(folder):
    """Whether train.py made it, with generated sine waves.

    `save_checkpoint` alone, for series of your own, leaves no history.
    """
    return all((folder / name).is_file() for name in (CHECKPOINT_NAME, HISTORY_NAME))


def write_file(path, write):
    """Call write(temporary path), then move that file to `path`: nobody sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        write(temporary)
        os.replace(temporary, path)


def save_json(path, content):
    text = json.dumps(content, indent=2, default=float)  # NumPy's numbers become floats
    write_file(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def save_plot(path, figure):
    suffixes = sorted(figure.canvas.get_supported_filetypes())
    if path.suffix.lower()[1:] not in suffixes:
        raise UserError(f"a picture must be one of {', '.join(suffixes)}, got {path}")
    write_file(path, lambda temporary: figure.savefig(temporary, dpi=150))
