"""What does attention buy? The same network with and without it, and the article's own settings."""

from constants import PROJECT_DIR
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

ARTICLE = PROJECT_DIR / "configs" / "article.json"
NETWORKS = {
    "scores from the states (default)": (),
    "scores from tokens and states": ('model.scores_from="token_and_state"',),
    "uniform: no attention": ('model.scores_from="uniform"',),
}


def main():
    args = parse_args(__doc__)
    rows = [
        Row(label, settings(seed, *overrides, quick=args.quick), train_and_evaluate)
        for label, overrides in NETWORKS.items()
        for seed in args.seeds
    ]
    rows += [
        Row("the article's settings", settings(seed, quick=args.quick, path=ARTICLE), train_and_evaluate)
        for seed in args.seeds[:3]  # one such training takes minutes
    ]
    results = measure_rows("attention", rows, args)
    print_table(
        ["network", "accuracy", "mass", "pointing", "AUC", "training, s"],
        [
            [
                label,
                mean_and_worst(figures, "accuracy"),
                *(mean_and_worst(figures, name, 3) for name in ("mass", "pointing", "auc")),
                mean_and_worst(figures, "seconds", 1, max),
            ]
            for label, figures in results.items()
        ],
    )
    print()
    print_table(
        [
            "network",
            "seed",
            "accuracy",
            "precision",
            "recall",
            "F1",
            "ROC AUC",
            "confusion matrix",
            "epochs",
        ],
        [
            [
                label,
                str(seed),
                *(f"{entry[name]:.4f}" for name in ("accuracy", "precision", "recall", "f1", "roc_auc")),
                str(entry["confusion_matrix"]),
                str(entry["epochs"]),
            ]
            for label, figures in results.items()
            for seed, entry in enumerate(figures)
        ],
    )


if __name__ == "__main__":
    run_script(main)
