"""Sine waves, flat segments and checked settings, in NumPy and the standard library.

The last section holds what every script shares: how errors end it and how files are written.
"""

import contextlib
import difflib
import json
import os
import sys
from pathlib import Path

import numpy as np

from constants import ANOMALOUS, ARTIFACTS_DIR, CONFIG_FILE

# ---------------------------------------------------------------- signals


def sine_wave(time, frequency, amplitude, phase=0.0):
    """amplitude * sin(frequency * time + phase).

    Parameters
    ----------
    time : array (T,), in radians: over 0 to 2π, `frequency` is the number of cycles.
    frequency, amplitude, phase : numbers; or arrays (N, 1), for N waves at once.

    Returns
    -------
    array (T,), or (N, T), float64.
    """
    return amplitude * np.sin(frequency * np.asarray(time, dtype=np.float64) + phase)


def segment_mask(num_points, start, length):
    """True on the steps start .. start + length - 1, cut at the end of the series.

    Parameters
    ----------
    num_points : int, the length T of the series.
    start, length : ints; or int arrays (N,), for N series at once.

    Returns
    -------
    bool array (T,), or (N, T).

    Raises
    ------
    ValueError : a segment starts outside the series or has no length.
    """
    start, length = np.asarray(start), np.asarray(length)
    if np.any((start < 0) | (start >= num_points)):
        raise ValueError(f"start must lie in 0 .. {num_points - 1}, got {start}")
    if np.any(length < 1):
        raise ValueError(f"length must be at least 1, got {length}")
    steps = np.arange(num_points)
    return (steps >= start[..., None]) & (steps < (start + length)[..., None])


def flatten_segment(wave, start, length):
    """A copy of `wave` whose steps start .. start + length - 1 hold the value at `start`.

    Parameters
    ----------
    wave : array (T,); or (N, T), with `start` and `length` int arrays (N,).
    start, length : as in `segment_mask`, with its errors.

    Returns
    -------
    array of the shape of `wave`.
    """
    wave = np.asarray(wave)
    mask = segment_mask(wave.shape[-1], start, length)
    held = np.take_along_axis(wave, np.asarray(start)[..., None], axis=-1)
    return np.where(mask, held, wave)


def generate_series(data_config, labels):
    """Draw one sine wave per label; flatten a segment of the anomalous ones; add noise.

    Every random number comes from one generator, and the noise is drawn last: other
    settings of `noise` give the same waves.

    Parameters
    ----------
    data_config : the section `data` of a checked config.
    labels : int array (N,), 0 normal or 1 anomalous.

    Returns
    -------
    series : float32 array (N, T)
    flat_mask : bool array (N, T), True on the flat segment.
    """
    rng = np.random.default_rng(data_config["seed"])
    count, num_points = len(labels), data_config["num_points"]

    def draw(name):
        return rng.uniform(*data_config[name], size=count)

    frequency, amplitude, phase = draw("frequency"), draw("amplitude"), draw("phase")
    start = (draw("flat_location") * num_points).astype(int)
    length = (draw("flat_length") * num_points).astype(int)

    time = np.linspace(0, 2 * np.pi, num_points)
    series = sine_wave(time, frequency[:, None], amplitude[:, None], phase[:, None])
    flat_mask = np.zeros(series.shape, dtype=bool)
    flat = np.asarray(labels) == ANOMALOUS
    series[flat] = flatten_segment(series[flat], start[flat], length[flat])
    flat_mask[flat] = segment_mask(num_points, start[flat], length[flat])
    if data_config["noise"] > 0:
        series += data_config["noise"] * amplitude[:, None] * rng.standard_normal(series.shape)
    return series.astype(np.float32), flat_mask


# ---------------------------------------------------------------- settings
# A rule is what is allowed, in words, and the test for it.


def _is_number(value):
    return type(value) in (int, float)  # and no bool; NaN and infinity fail the comparisons


def _integer(low):
    return f"an integer of at least {low}", lambda v: type(v) is int and low <= v < 2**63


def _number(low, high):
    return f"a number from {low} to {high}", lambda v: _is_number(v) and low <= v <= high


def _positive(high):
    return f"a number above 0, at most {high}", lambda v: _is_number(v) and 0 < v <= high


def _fraction():
    return "a number between 0 and 1, both excluded", lambda v: _is_number(v) and 0 < v < 1


def _range(low, high):
    return (
        f"[min, max] with {low} <= min <= max <= {high}",
        lambda v: (
            isinstance(v, list)
            and len(v) == 2
            and all(map(_is_number, v))
            and low <= v[0] <= v[1] <= high
        ),
    )


def _choice(*values):
    texts = [json.dumps(value) for value in values]  # as text, since in Python True == 1
    return "one of " + ", ".join(texts), lambda v: json.dumps(v) in texts


RULES = {
    "data": {
        "seed": _integer(0),
        "dataset_size": _integer(1),
        "num_points": _integer(2),
        "normal_ratio": _fraction(),
        "frequency": _range(0, 1e6),
        "amplitude": _range(0, 1e6),
        "phase": _range(-1e6, 1e6),
        "flat_location": _range(0, 1),
        "flat_length": _range(0, 1),
        "noise": _number(0, 1e6),
        "val_fraction": _fraction(),
        "test_fraction": _fraction(),
    },
    "model": {
        "patch_length": _integer(1),
        "standardize": _choice(False, True),
        "difference_channel": _choice(False, True),
        "difference_clip": _positive(1e6),
        "hidden_size": _integer(1),
        "forget_bias": _number(-100, 100),
        "scores_from": _choice("state", "token_and_state", "uniform"),
        "attention_size": _integer(1),
        "zero_init_classifier": _choice(False, True),
    },
    "training": {
        "seed": _integer(0),
        "batch_size": _integer(1),
        "max_epochs": _integer(1),
        "patience": _integer(1),
        "learning_rate": _positive(1e6),
        "schedule": _choice("constant", "one_cycle"),
    },
}


def _check_keys(where, given, expected):
    if not isinstance(given, dict):
        raise ValueError(f"{where} must be an object in braces, got {json.dumps(given)}")
    for key in given:
        if key not in expected:
            close = difflib.get_close_matches(key, expected, n=1, cutoff=0)
            raise ValueError(f"{where} has the unknown key {key!r}; did you mean {close[0]!r}?")
    for key in expected:
        if key not in given:
            raise ValueError(f"{where} lacks the key {key!r}")


def check_config(config):
    """Return `config` if every key is known, there, and of an allowed value.

    Raises
    ------
    ValueError : names the key, the value and what is allowed.
    """
    _check_keys("the config", config, RULES)
    for section, rules in RULES.items():
        _check_keys(f"section {section!r} of the config", config[section], rules)
        for key, (allowed, accepts) in rules.items():
            value = config[section][key]
            if not accepts(value):
                raise ValueError(f"{section}.{key} must be {allowed}, got {json.dumps(value)}")

    data, model = config["data"], config["model"]
    num_points = data["num_points"]
    first_start, last_start = (int(location * num_points) for location in data["flat_location"])
    shortest, longest = (int(length * num_points) for length in data["flat_length"])
    segment = f"data.flat_location {data['flat_location']} and data.flat_length {data['flat_length']}"
    fewest = min(shortest, num_points - last_start)
    if fewest < 2:
        raise ValueError(
            f"{segment} can leave {fewest} flat steps of {num_points}; at least 2 must remain"
        )
    if first_start == 0 and longest >= num_points:
        raise ValueError(
            f"{segment} can make a whole series flat; lower the longest length or raise the first location"
        )
    patches, rest = divmod(num_points, model["patch_length"])
    if rest or patches < 2:
        raise ValueError(
            f"model.patch_length must divide data.num_points ({num_points}) into two or more patches,"
            f" got {model['patch_length']}"
        )
    return config


def load_config(path=CONFIG_FILE, overrides=()):
    """Read a JSON config, apply overrides such as "data.noise=0.02", check the result.

    Parameters
    ----------
    path : the config file.
    overrides : strings "section.key=value", the value in JSON; later ones win.

    Returns
    -------
    dict with the sections `data`, `model` and `training`.

    Raises
    ------
    ValueError : the file cannot be read, or `check_config` refuses what it says.
    """
    try:
        config = json.loads(
            Path(path).read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates
        )
    except OSError as error:
        raise ValueError(f"cannot read the config {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot read the config {path}: {error}") from error

    for override in overrides:
        name, equals, text = override.partition("=")
        section, _, key = name.partition(".")
        if not (equals and key):
            raise ValueError(f"--set takes section.key=value, got {override!r}")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"--set {name}: the value {text!r} is not JSON; a string needs its quotes"
            ) from error
        # An unknown section or key is left to the check, which names the nearest.
        if isinstance(config, dict) and isinstance(config.setdefault(section, {}), dict):
            config[section][key] = value
    return check_config(config)


def _without_duplicates(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} stands there twice")
    return dict(pairs)


# ---------------------------------------------------------------- scripts


def add_config_options(parser):
    """The options of the scripts that read a config: --config and --set."""
    parser.add_argument(
        "--config", default=CONFIG_FILE, metavar="FILE", help="settings (default: config.json)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="change one setting, the value in JSON; may be given several times",
    )


def add_artifacts_option(parser):
    """The option of every script: the folder of the run."""
    parser.add_argument(
        "--artifacts",
        default=ARTIFACTS_DIR,
        type=Path,
        metavar="DIR",
        help="folder of the run (default: artifacts)",
    )


def run_script(main):
    """Run `main`; end with one line `error: ...` and exit code 2 on what a user can mend."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


@contextlib.contextmanager
def whole_file(path):
    """Yield a temporary path beside `path`; move it there only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which names the format
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    """Write `content` as indented JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def save_figure(path, figure):
    """Write a Matplotlib figure in the format that the suffix names, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
