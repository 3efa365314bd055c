"""Where does it fail? Test series at 5 % noise that are misjudged or looked at in the wrong place."""

import numpy as np

from constants import ANOMALOUS
from data import make_splits
from data_utils import figure_bytes, run_script, write_files
from experiments.common import Row, measure_rows, parse_args, print_table, settings, trained
from plot_attention import plot_attention

GROUPS = (
    "normal, called anomalous",
    "anomalous, called normal",
    "found, most attention elsewhere",
    "found, most attention on it",
)


def examine(config):
    """A test split, its predictions and, for each series, the number of its group or -1."""
    splits = make_splits(config["data"])
    model, _ = trained(config, splits)
    test = splits.test
    probability, attention = model.predict(test.series)
    called, truly = probability > 0.5, test.labels == ANOMALOUS
    on_it = (attention * test.flat_mask).sum(axis=1) > 0.5
    conditions = [~truly & called, truly & ~called, truly & ~on_it, truly]  # the first that holds
    return test, probability, attention, np.select(conditions, range(4), -1)


def describe(config):
    """For each group the number of its series and, of each, two things that may explain it."""
    test, _, _, groups = examine(config)
    flat_steps = test.flat_mask.sum(axis=1)
    held = np.abs((test.series * test.flat_mask).sum(axis=1)) / flat_steps.clip(min=1)
    height = held / np.abs(test.series).max(axis=1)
    return {
        name: {
            "flat_steps": flat_steps[groups == group].tolist(),
            "height": height[groups == group].tolist(),
        }
        for group, name in enumerate(GROUPS)
    }


def main():
    args = parse_args(__doc__, image="failures.png")
    configs = [settings(seed, "data.noise=0.05", quick=args.quick) for seed in args.seeds]
    by_seed = measure_rows("failures", [Row("5 % noise", config, describe) for config in configs], args)
    rows = []
    for name in GROUPS:
        flat_steps, height = (
            [value for figures in by_seed["5 % noise"] for value in figures[name][key]]
            for key in ("flat_steps", "height")
        )
        explained = (
            [f"{np.median(flat_steps):.0f}", f"{np.median(height):.2f}"] if any(flat_steps) else ["", ""]
        )
        rows.append([name, str(len(flat_steps)), *explained])
    print_table(
        [
            "test series of all seeds",
            "number",
            "flat steps, median",
            "height of the flat segment, median",
        ],
        rows,
    )

    test, probability, attention, groups = examine(configs[0])
    mass = (attention * test.flat_mask).sum(axis=1)
    worst = np.lexsort((mass, np.where(groups < 0, len(GROUPS), groups)))  # by group, then by mass
    chosen = np.concatenate([worst[groups[worst] == group][:1] for group in range(3)])
    figure = plot_attention(
        chosen,
        test.series[chosen],
        probability[chosen],
        attention[chosen],
        test.labels[chosen],
        test.flat_mask[chosen],
    )
    write_files(args.output.parent, {args.output.name: figure_bytes(figure)})


if __name__ == "__main__":
    run_script(main)
