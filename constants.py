"""What never changes: paths, file names, labels, colours, and what each setting may be."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent
CONFIG_FILE = PROJECT_DIR / "config.json"
ARTIFACTS_DIR = Path("artifacts")  # in the folder where the script is started

# The files of a run, inside its artifacts folder: the model, and what is derived from it.
CHECKPOINT_NAME = "model.pt"
HISTORY_NAME = "history.json"
HISTORY_PLOT_NAME = "history.png"
METRICS_NAME = "metrics.json"
ATTENTION_PLOT_NAME = "attention.png"
DERIVED_NAMES = (HISTORY_NAME, HISTORY_PLOT_NAME, METRICS_NAME, ATTENTION_PLOT_NAME)

SAMPLES_PLOT_NAME = "samples.png"  # a picture of the data, drawn by data.py

NORMAL, ANOMALOUS = 0, 1  # anomalous is the positive class
LABEL_NAMES = ("normal", "anomalous")  # LABEL_NAMES[label]

# Colours that stay apart in grey and for colour-blind readers (Okabe and Ito's palette).
LINE_COLORS = ("#0072B2", "#D55E00")
FLAT_COLOR = "#E69F00"

# What each setting may be: its type, then the lowest and the highest value of numbers, or the choices.
# A list is a range [min, max]; None stands for null. What the settings of "model" and "training" mean
# is said in model.py.
SETTINGS = {
    "data": {
        "seed": (int, 0, 2**32 - 1),
        "dataset_size": (int, 20, 1_000_000),  # series in all three splits
        "num_points": (int, 20, 100_000),  # time steps of a series
        "normal_ratio": (float, 0.01, 0.99),  # share of the normal series
        "frequency": (list, 0.01, 1000),  # cycles in a series
        "amplitude": (list, 0.001, 1000),
        "phase": (list, -1000, 1000),  # radians
        "flat_location": (list, 0, 0.9),  # start of the flat segment, as a fraction of the series
        "flat_length": (list, 0, 0.9),  # its length, as a fraction of the series
        "noise": (float, 0, 100),  # standard deviation, as a fraction of the amplitude
        "val_fraction": (float, 0.01, 0.9),  # of all series
        "test_fraction": (float, 0.01, 0.9),
    },
    "model": {
        "patch_length": (int, 1, 50_000),
        "standardize": (bool, False, True),
        "difference_channel": (bool, False, True),
        "roughness": (bool, False, True),
        "difference_clip": (float, 0.001, 1000, None),
        "hidden_size": (int, 1, 1024),
        "forget_bias": (float, -100, 100),
        "attention": (bool, False, True),
        "attention_size": (int, 1, 1024),
        "zero_init_classifier": (bool, False, True),
    },
    "training": {
        "seed": (int, 0, 2**32 - 1),
        "batch_size": (int, 1, 10_000),
        "max_epochs": (int, 1, 10_000),
        "patience": (int, 1, 10_000),
        "learning_rate": (float, 1e-8, 100),
        "schedule": (str, "constant", "one_cycle"),
    },
}
