"""How far does it carry? Trained on the default data, evaluated as it is on other data."""

import numpy as np
from matplotlib.figure import Figure

from constants import ANOMALOUS
from data import make_splits
from data_utils import figure_bytes, run_script, write_files
from evaluate import evaluate
from experiments.common import (
    mean_and_worst,
    measure_rows,
    parse_args,
    print_table,
    rows_of,
    settings,
    trained,
)

FIGURES = {
    "accuracy": "accuracy",
    "recall": "recall",
    "mass": "mass",
    "pointing": "pointing",
    "auc": "AUC",
}

# Settings of other data; all have other waves than the training.
OTHER_DATA = {
    "as in training": (),
    "frequency 4 to 8": ("data.frequency=[4, 8]",),
    "flat for 0.02 to 0.1": ("data.flat_length=[0.02, 0.1]",),
    "random phase": ("data.phase=[0, 6.283185307179586]",),
    "1 % noise": ("data.noise=0.01",),
    "2 % noise": ("data.noise=0.02",),
    "5 % noise": ("data.noise=0.05",),
    "10 % noise": ("data.noise=0.1",),
    "twice as many points": ("data.num_points=1000",),
}


def drifting(test, rng):
    """A trend of up to two amplitudes, up or down; where the series is flat it stays so."""
    num_points = test.series.shape[1]
    size = rng.uniform(-2, 2, size=(len(test.series), 1)) * np.abs(test.series).max(
        axis=1, keepdims=True
    )
    series = test.series + size * np.linspace(0, 1, num_points)
    held = np.take_along_axis(series, test.flat_mask.argmax(axis=1)[:, None], axis=1)
    return test._replace(series=np.where(test.flat_mask, held, series).astype(np.float32))


def with_second_segment(test, rng):
    """Anomalous series with a second flat segment, of a tenth of the series, apart from the first."""
    num_points = test.series.shape[1]
    length = num_points // 10
    series, flat_mask = test.series.copy(), test.flat_mask.copy()
    for row in np.flatnonzero(test.labels == ANOMALOUS):
        windows = np.lib.stride_tricks.sliding_window_view(test.flat_mask[row], length + 2)
        start = 1 + rng.choice(np.flatnonzero(~windows.any(axis=1)))  # a step apart on either side
        segment = slice(start, start + length)
        series[row, segment] = series[row, start]
        flat_mask[row, segment] = True
    return test._replace(series=series, flat_mask=flat_mask)


CHANGED_DATA = {"a drift": drifting, "a second flat segment": with_second_segment}


def transfer(config):
    """The figures on each kind of data, as {kind: {figure: value}}."""
    model, _ = trained(config, make_splits(config["data"]))
    seed = config["data"]["seed"] + 1000  # waves that no training has seen
    sizes = (f"data.dataset_size={config['data']['dataset_size']}",)
    tests = {
        name: make_splits(settings(seed, *sizes, *overrides)["data"]).test
        for name, overrides in OTHER_DATA.items()
    }
    for name, change in CHANGED_DATA.items():
        tests[name] = change(tests["as in training"], np.random.default_rng(seed))
    figures = {}
    for name, test in tests.items():
        metrics = evaluate(test, *model.predict(test.series))
        metrics |= metrics["attention"]
        figures[name] = {figure: metrics[figure] for figure in FIGURES}
    return figures


def heat_map(figures):
    """The worst seed's figures, {kind: {figure: value}}, as colours and numbers."""
    values = np.array([list(row.values()) for row in figures.values()])
    figure = Figure(figsize=(7, 0.4 * len(values) + 1.2), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(values, vmin=0.4, vmax=1, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axis.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            color="white" if value < 0.7 else "black",
        )
    axis.set_xticks(range(values.shape[1]), FIGURES.values())
    axis.set_yticks(range(len(values)), figures)
    figure.suptitle("Trained on the default data, tested on other data: the worst seed")
    figure.colorbar(image, ax=axis, label="the higher the better")
    return figure


def main():
    args = parse_args(__doc__, image="transfer.png")
    by_seed = measure_rows("transfer", rows_of({"default": ()}, transfer, args), args)["default"]
    by_kind = {kind: [figures[kind] for figures in by_seed] for kind in by_seed[0]}
    print_table(
        ["tested on", *FIGURES.values()],
        [
            [kind, *(mean_and_worst(figures, name, 3) for name in FIGURES)]
            for kind, figures in by_kind.items()
        ],
    )
    worst = {
        kind: {name: min(entry[name] for entry in figures) for name in FIGURES}
        for kind, figures in by_kind.items()
    }
    write_files(args.output.parent, {args.output.name: figure_bytes(heat_map(worst))})


if __name__ == "__main__":
    run_script(main)
