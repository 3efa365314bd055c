"""What do the inputs and the initial weights buy? Each taken away, the rest as it is."""

from data_utils import run_script
from experiments.common import (
    measure_rows,
    parse_args,
    print_attention_table,
    rows_of,
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
    results = measure_rows("inputs", rows_of(VARIANTS, train_and_evaluate, args), args)
    print_attention_table("settings", results)


if __name__ == "__main__":
    run_script(main)
