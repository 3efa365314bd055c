"""What do the inputs and the initial weights buy? Each taken away, the rest as it is."""

from data_utils import run_script
from experiments.common import (
    Row,
    mean_and_worst,
    measure_rows,
    parse_args,
    print_table,
    settings,
    train_and_evaluate,
)

VARIANTS = {
    "default": (),
    "patches of 5": ("model.patch_length=5",),
    "patches of 20": ("model.patch_length=20",),
    "no patches: 1 step per token": ("model.patch_length=1",),
    "no difference channel": ("model.difference_channel=false",),
    "differences not clipped": ("model.difference_clip=1000000",),
    "forget bias 0": ("model.forget_bias=0",),
    "classifier not zero at the start": ("model.zero_init_classifier=false",),
}


def main():
    args = parse_args(__doc__)
    rows = [
        Row(label, settings(seed, *overrides, quick=args.quick), train_and_evaluate)
        for label, overrides in VARIANTS.items()
        for seed in args.seeds
    ]
    print_table(
        ["settings", "accuracy", "mass", "pointing", "AUC", "training, s"],
        [
            [
                label,
                mean_and_worst(figures, "accuracy"),
                *(mean_and_worst(figures, name, 3) for name in ("mass", "pointing", "auc")),
                mean_and_worst(figures, "seconds", 1, max),
            ]
            for label, figures in measure_rows("inputs", rows, args).items()
        ],
    )


if __name__ == "__main__":
    run_script(main)
