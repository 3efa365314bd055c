"""How far does it carry? Trained on the default data, tested as it is on other data."""

import numpy as np

from data import make_splits
from data_utils import add_flat_segments, run_script
from experiments.common import SCORES, measure, parse_args, print_results, scores, settings
from train import train

# All have other waves than the training.
OTHER_DATA = {
    "as in training": (),
    "frequency 4 to 8": ("data.frequency=[4, 8]",),
    "flat for 0.02 to 0.1": ("data.flat_length=[0.02, 0.1]",),
    "random phase": ("data.phase=[0, 6.283185307179586]",),
    "2 % noise": ("data.noise=0.02",),
    "5 % noise": ("data.noise=0.05",),
    "10 % noise": ("data.noise=0.1",),
    "twice as many points": ("data.num_points=1000",),
}


def add_trend(test, rng):
    """A straight trend of up to two amplitudes, up or down, outside the flat segments."""
    num_points = test.series.shape[1]
    amplitude = np.abs(test.series).max(axis=1, keepdims=True)
    trend = rng.uniform(-2, 2, size=(len(amplitude), 1)) * amplitude * np.linspace(0, 1, num_points)
    series = test.series + trend
    held = np.take_along_axis(series, test.flat_mask.argmax(axis=1)[:, None], axis=1)
    return test._replace(series=np.where(test.flat_mask, held, series).astype(np.float32))


def add_second_segment(test, rng):
    """A second flat segment in the anomalous series, a tenth of the series long, anywhere."""
    ranges = {"flat_location": [0, 0.9], "flat_length": [0.1, 0.1]}
    series, flat_mask = add_flat_segments(test.series, test.labels, ranges, rng)
    return test._replace(series=series, flat_mask=flat_mask | test.flat_mask)


CHANGED_DATA = {"a trend": add_trend, "a second flat segment": add_second_segment}


def robustness(args, seed):
    """The scores on each kind of data, as {kind: scores}."""
    config = settings(args, seed)
    model, _ = train(config, make_splits(config["data"]))
    other_seed = seed + 1000  # waves that no training has seen
    tests = {
        kind: make_splits(settings(args, other_seed, *overrides)["data"]).test
        for kind, overrides in OTHER_DATA.items()
    }
    for kind, change in CHANGED_DATA.items():
        tests[kind] = change(tests["as in training"], np.random.default_rng(other_seed))
    return {kind: scores(model, test) for kind, test in tests.items()}


def main():
    args = parse_args(__doc__)
    by_seed = measure("trained on the default data", args, robustness)
    results = {kind: [results[kind] for results in by_seed] for kind in by_seed[0]}
    print_results("tested on", {"accuracy": ("accuracy", 3), "recall": ("recall", 3)} | SCORES, results)


if __name__ == "__main__":
    run_script(main)
