"""Sine waves, flat segments and checked settings, in NumPy and the standard library.

The last two sections hold what every script shares: how files are written, how errors end it.
"""

import argparse
import contextlib
import csv
import difflib
import errno
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from constants import (
    ANOMALOUS,
    ARTIFACTS_DIR,
    CONFIG_FILE,
    EVALUATION_BATCH,
    READY_NAME,
    WRITING_NAME,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class UserError(ValueError):
    """What a user can mend. Scripts show it in one line; any other error is a bug and shows where."""


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


def read_series(path):
    """Read a CSV file of series, one per row, as an array (N, T).

    A header is left out: a first row without any number, or that counts 0, 1, 2, ... as pandas does.
    So is a first column that the header leaves empty or names where it counts the others: an index.

    Raises
    ------
    UserError : names the file, the line and what is wrong there.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot read the series {path}: {error}") from error

    first = 0  # column of the first value
    if len(rows) > 1:
        header = rows[0][1]
        numbers = [_finite_number(cell) for cell in header]
        names = set(numbers) == {None}
        named_index = not names and numbers == [None, *range(len(numbers) - 1)]
        if names or named_index or numbers == list(range(len(numbers))):
            rows = rows[1:]
        if named_index or (names and not header[0].strip()):
            first = 1
    if not rows:
        raise UserError(f"{path} holds no series: it takes one per row, values separated by commas")

    series = []
    for line, row in rows:
        values = [_finite_number(cell) for cell in row[first:]]
        if None in values:
            column = values.index(None)
            hint = ""
            if len(values) == 1:
                hint = "; commas must separate the values"
            elif column == 0 and None not in values[1:]:
                hint = "; if it is an index, take the first column out"
            raise UserError(
                f"{path}, line {line}, column {first + column + 1}:"
                f" {_show(row[first + column])} is no finite number{hint}"
            )
        if series and len(values) != len(series[0]):
            raise UserError(
                f"{path}, line {line}: {len(values)} values, but {len(series[0])} before it; all series"
                " must be of one length"
            )
        series.append(values)
    series = np.array(series)
    counted = np.arange(len(series)) + series[0, 0]
    if len(series) >= 10 and series[0, 0] in (0, 1) and np.array_equal(series[:, 0], counted):
        raise UserError(f"{path}: the first column counts the rows; take this index out")
    return series


def _finite_number(text):
    """The number that the text says, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


# ---------------------------------------------------------------- settings
# A rule is what is allowed, in words, and the test for it.


def _is_number(value):
    return type(value) in (int, float)  # and no bool; NaN and infinity fail the comparisons


def _integer(low):
    return f"an integer of at least {low}, below 2^63", lambda v: type(v) is int and low <= v < 2**63


def _number(low, high):
    return f"a number from {low:g} to {high:g}", lambda v: _is_number(v) and low <= v <= high


def _positive(high):
    return f"a number above 0, at most {high:g}", lambda v: _is_number(v) and 0 < v <= high


def _fraction():
    return "a number between 0 and 1, both excluded", lambda v: _is_number(v) and 0 < v < 1


def _range(low, high):
    return (
        f"[min, max] with {low:g} <= min <= max <= {high:g}",
        lambda v: (
            isinstance(v, list)
            and len(v) == 2
            and all(map(_is_number, v))
            and low <= v[0] <= v[1] <= high
        ),
    )


def _choice(*values):
    texts = ", ".join(json.dumps(value) for value in values)
    return f"one of {texts}", lambda v: type(v) in (bool, str) and v in values  # for Python, 1 == True


RULES = {
    "data": {
        "seed": _integer(0),
        "dataset_size": _integer(1),
        "num_points": _integer(2),
        "normal_ratio": _fraction(),
        "frequency": _range(1e-6, 1e6),
        "amplitude": _range(1e-6, 1e6),
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


def _show(value):
    """`value` as JSON, cut short: whatever stands in a config can stand in a message."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_keys(where, given, expected):
    if not isinstance(given, dict):
        raise UserError(f"{where} must be an object in braces, got {_show(given)}")
    for key in given:
        if key not in expected:
            (close,) = difflib.get_close_matches(str(key), expected, n=1, cutoff=0)
            raise UserError(f'{where} has the unknown key {_show(key)}; did you mean "{close}"?')
    for key in expected:
        if key not in given:
            raise UserError(f'{where} lacks the key "{key}"')


def check_config(config):
    """Return `config` if every key is known, there, and of an allowed value.

    Raises
    ------
    UserError : names the key, the value and what is allowed.
    """
    _check_keys("the config", config, RULES)
    for section, rules in RULES.items():
        _check_keys(f'section "{section}" of the config', config[section], rules)
        for key, (allowed, accepts) in rules.items():
            value = config[section][key]
            if not accepts(value):
                raise UserError(f"{section}.{key} must be {allowed}, got {_show(value)}")

    data = config["data"]
    num_points = data["num_points"]
    first_start, last_start = (int(location * num_points) for location in data["flat_location"])
    shortest, longest = (int(length * num_points) for length in data["flat_length"])
    segment = f"data.flat_location {data['flat_location']} and data.flat_length {data['flat_length']}"
    fewest = min(shortest, num_points - last_start)
    if fewest < 2:
        raise UserError(
            f"{segment} can leave {fewest} flat steps of {num_points}; at least 2 must remain"
        )
    if first_start == 0 and longest >= num_points:
        raise UserError(
            f"{segment} can make a whole series flat; lower the longest length or raise the first location"
        )
    check_patches(num_points, config["model"]["patch_length"])
    return config


def check_patches(num_points, patch_length):
    """Raise UserError unless a series is two or more whole patches."""
    patches, rest = divmod(num_points, patch_length)
    if rest or patches < 2:
        raise UserError(
            f"model.patch_length must divide the {num_points} points of a series into two or more"
            f" patches, got {patch_length}"
        )


def check_memory(config):
    """Raise UserError if a training takes more memory than the machine has, by a rough estimate."""
    data, model, training = config["data"], config["model"], config["training"]
    hidden, attention = model["hidden_size"], model["attention_size"]
    points = data["dataset_size"] * data["num_points"]
    weights = hidden * (16 * model["patch_length"] + 8 * hidden + 3 * attention)
    batch = min(training["batch_size"], data["dataset_size"])
    evaluated = min(EVALUATION_BATCH, data["dataset_size"])
    tokens = data["num_points"] // model["patch_length"]
    # Measured bytes. A point: in double and single precision, noise, mask. A weight: itself, its
    # gradient, two of Adam's, copies. A hidden unit of a token: its gates, in training for both ways.
    needed = 25 * points + 32 * weights + 1500 * batch
    needed += tokens * max(
        batch * (140 * hidden + 12 * attention), evaluated * (40 * hidden + 8 * attention)
    )
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows does not tell
        there = 16 * 2**30
    if needed > there:
        raise UserError(
            f"data.dataset_size {data['dataset_size']}, data.num_points {data['num_points']},"
            f" model.hidden_size {hidden}, model.attention_size {attention} and training.batch_size"
            f" {training['batch_size']} would take about {needed / 2**30:,.1f} GiB of memory; this machine"
            f" has {there / 2**30:.1f}"
        )


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
    UserError : the file cannot be read, `check_config` refuses what it says, or it takes too much
        memory.
    """
    try:
        config = _read_config(path)
        for override in overrides:
            _apply_override(config, override)
        check_config(config)
    except RecursionError as error:
        raise UserError(f"the config {path} or a --set value nests its brackets too deeply") from error
    check_memory(config)
    return config


def _read_config(path):
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors write a byte order mark
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise UserError(f"cannot read the config {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"the config {path} is not JSON: {error}") from error  # with line and column
    except ValueError as error:
        raise UserError(f"cannot read the config {path}: {error}") from error


def _without_duplicates(pairs):
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise UserError(f"the key {_show(key)} stands there twice")
    return dict(pairs)


def _apply_override(config, override):
    name, equals, text = override.partition("=")
    section, _, key = name.partition(".")
    if not (equals and key):
        raise UserError(f"--set takes section.key=value, got {_show(override)}")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(
            f"--set {_show(override)}: the value is not JSON; a string needs quotes, as in"
            """ --set 'model.scores_from="uniform"'"""
        ) from error
    # An unknown section or key is left to the check, which names the nearest.
    if isinstance(config, dict) and isinstance(config.setdefault(section, {}), dict):
        config[section][key] = value


# ---------------------------------------------------------------- files


def check_output(folder, *names, option="--artifacts"):
    """Find out before the work whether files of these names can be written into `folder` after it.

    Raises
    ------
    UserError : names the option, the file and the reason.
    """
    for path in (folder / name for name in names):
        try:
            if path.is_dir():
                raise OSError(errno.EISDIR, "it is a directory")
            finish_writing(folder)
            existing = next(parent for parent in path.parents if os.path.lexists(parent))
            tempfile.TemporaryFile(dir=existing).close()
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another {option}") from error


def write_files(folder, files, replaces=(), beside=None):
    """Put `files`, {name: bytes, not empty}, into `folder`: all or none, whatever happens.

    All are first written into a hidden folder. They count from the moment that this is renamed to
    READY_NAME; only then are they moved into place, by this process or, if it is killed, by the next.

    Parameters
    ----------
    replaces : files of these names that are not among `files` are removed.
    beside : (path, st_mtime_ns) of a file without which these are worth nothing.

    Raises
    ------
    UserError : the files cannot be written, or the one that they belong to is another by now.
    """
    staging = folder / WRITING_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            if beside and beside[0].stat().st_mtime_ns != beside[1]:
                raise UserError(f"{beside[0]} was replaced meanwhile: run this again")
            _move_into_place(folder)
            shutil.rmtree(staging, ignore_errors=True)  # a killed process may have left it
            try:
                staging.mkdir()
                for name, content in (dict.fromkeys(replaces, b"") | files).items():
                    (staging / name).write_bytes(content)  # an empty one stands for a removal
                os.rename(staging, folder / READY_NAME)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            _move_into_place(folder)
    except OSError as error:
        raise UserError(f"cannot write {', '.join(files)} into {folder}: {error.strerror}") from error


def finish_writing(folder):
    """Move into place what a killed `write_files` made ready."""
    if os.path.lexists(folder / READY_NAME):
        with _lock(folder):
            _move_into_place(folder)


def _move_into_place(folder):
    ready = folder / READY_NAME
    if not os.path.lexists(ready):
        return
    for path in ready.iterdir():
        if path.stat().st_size:
            os.replace(path, folder / path.name)
        else:
            (folder / path.name).unlink(missing_ok=True)
            path.unlink()
    ready.rmdir()


@contextlib.contextmanager
def _lock(folder):
    """Let one process at a time change `folder`; a killed one lets go. Windows cannot do that."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def json_bytes(content):
    """Indented JSON; NaN, which JSON lacks, is a ValueError."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def figure_bytes(figure, format="png"):
    """A Matplotlib figure as a file of the format."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, dpi=150)
    return buffer.getvalue()


# ---------------------------------------------------------------- scripts


class ScriptParser(argparse.ArgumentParser):
    """The options that scripts share; a wrong one is an error of one line."""

    def __init__(self, description, takes_config=False):
        super().__init__(description=description)
        if takes_config:
            self.add_argument(
                "--config", default=CONFIG_FILE, metavar="FILE", help="settings (default: config.json)"
            )
            self.add_argument(
                "--set",
                action="append",
                default=[],
                dest="overrides",
                metavar="SECTION.KEY=VALUE",
                help="change one setting, the value in JSON; may be given several times",
            )
        self.add_argument(
            "--artifacts",
            default=ARTIFACTS_DIR,
            type=Path,
            metavar="DIR",
            help="folder of the run (default: artifacts)",
        )

    def error(self, message):
        raise UserError(f"{message}; --help lists the options")


def run_script(main):
    """Run `main` and exit with its code; what a user can mend is one line `error: ...`, and code 2."""
    if sys.stdout:
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can hold any letter
    try:
        code = main()
        print(end="", flush=True)  # here, where its failure is reported as any other
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # `| head -1`: whom it was for has left
        code = 141  # as shells report it
    except (UserError, OSError, MemoryError) as error:
        print("error:", " ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        code = 2
    try:
        print(end="", flush=True)
    except OSError:  # stdout takes nothing any more: Python must not try again at its end
        sys.stdout = None
    sys.exit(code)
