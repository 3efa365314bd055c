"""How far does it carry? Tested on other data than those of the training, or trained on fewer series."""

import numpy as np

from data import make_splits
from data_utils import add_flat_segments, run_script
from experiments import common
from train import train

DATA = {
    "as in training": (),
    "frequency 4 to 8": ("data.frequency=[4, 8]",),
    "half a cycle to one cycle": ("data.frequency=[0.5, 1]",),
    "flat for 0.02 to 0.1": ("data.flat_length=[0.02, 0.1]",),
    "random phase": ("data.phase=[0, 6.283185307179586]",),
    **{f"{percent} % noise": (f"data.noise={percent / 100}",) for percent in (2, 5, 10)},
}
SECOND = {"flat_location": [0, 0.9], "flat_length": [0.1, 0.1]}
COLUMNS = common.SCORES | {"normal called anomalous": ("false_alarms", 3, max)} | common.EXCHANGE


def make_tests(args, seed):
    """Test splits {kind: split}, of other waves or of the same waves, changed."""
    configs = {kind: common.settings(args, seed, *overrides) for kind, overrides in DATA.items()}
    tests = {kind: make_splits(config["data"]).test for kind, config in configs.items()}
    test = tests["as in training"]
    series, mask, steps = test.series, test.flat_mask, test.series.shape[1]
    amplitude = np.abs(series).max(axis=1, keepdims=True)
    time = np.where(mask, mask.argmax(axis=1, keepdims=True), np.arange(steps))  # it stops in a segment
    twice_flat, second = add_flat_segments(
        series[:, :, 0], test.labels, SECOND, np.random.default_rng(seed)
    )
    changed = {
        "a trend of two amplitudes": series + 2 * amplitude * time[:, :, None] / steps,
        "16 levels": (((series / amplitude + 1) * 7.5).round() / 7.5 - 1) * amplitude,
        "whole numbers": series.round(),
        "clipped at 0.8 amplitudes": series.clip(-0.8 * amplitude, 0.8 * amplitude),
        "step 100 off by 2,000 amplitudes": series + 2000 * amplitude * np.eye(steps)[:, [100]],
    }
    tests |= {kind: test._replace(series=values) for kind, values in changed.items()}
    twice = test._replace(series=twice_flat[:, :, None], flat_mask=mask | second)
    return tests | {"a second flat segment": twice}


def carry(args, seed, size):
    """{kind of the test: scores}, trained on `size` series, each of them 14,000 / size times."""
    sizes = f"data.dataset_size={round(size / 0.7)}", f"training.max_epochs={14_000 // size}"
    config = common.settings(args, seed, *sizes, "training.patience=200")
    model, _ = train(config, make_splits(config["data"]))
    tests = make_tests(args, seed + 1000)  # waves that no training has seen
    if size < 7000:
        tests = {f"as in training, trained on {size} series": tests["as in training"]}
    results = {kind: common.scores(model, test) for kind, test in tests.items()}
    for scores in results.values():
        scores["false_alarms"] = 1 - scores["classes"]["normal"]["recall"]
    return results


def main():
    args = common.parse_args(__doc__)
    trained = common.measure(args, carry, {f"{size} series": (size,) for size in (7000, 700, 210, 70)})
    results = {kind: [of[kind] for of in runs] for runs in trained.values() for kind in runs[0]}
    table = common.table("tested on", COLUMNS, results)
    common.write_results(args, __file__, "How far does it carry?", table)


if __name__ == "__main__":
    run_script(main)
