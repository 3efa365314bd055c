"""What does attention buy? The same network with and without it, and the article's own settings."""

from constants import PROJECT_DIR
from data_utils import run_script
from experiments.common import (
    NETWORKS,
    Row,
    measure_rows,
    parse_args,
    print_attention_table,
    print_table,
    rows_of,
    settings,
    train_and_evaluate,
)

ARTICLE = PROJECT_DIR / "configs" / "article.json"


def main():
    args = parse_args(__doc__)
    rows = rows_of(NETWORKS, train_and_evaluate, args) + [
        Row("the article's settings", settings(seed, quick=args.quick, path=ARTICLE), train_and_evaluate)
        for seed in args.seeds[:3]  # one such training takes minutes
    ]
    results = measure_rows("attention", rows, args)
    print_attention_table("network", results)
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
