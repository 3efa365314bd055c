"""What never changes: paths, file names, class names, colours, and what each setting may be."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent
CONFIG_FILE = PROJECT_DIR / "config.json"
ARTIFACTS_DIR = Path("artifacts")  # in the folder where the script is started

# The files of a run, in its artifacts folder.
CHECKPOINT_NAME = "model.pt"
METRICS_NAME = "metrics.json"
ATTENTION_PLOT_NAME = "attention.png"

CLASSES = ("normal", "anomalous")  # CLASSES[label], of generated series
NORMAL, ANOMALOUS = 0, 1

# Colours that can be told apart in grey and by colour-blind readers (Okabe and Ito's palette).
LINE_COLORS = ("#0072B2", "#D55E00")
FLAT_COLOR = "#E69F00"

# What each setting of config.json may be:
#   (1, 1024): a whole number from 1 to 1024
#   (0.0, 100.0): a number from 0 to 100
#   [0.0, 0.9]: a range [min, max] within 0 to 0.9
#   ("series", "none"), (False, True): one of these
SETTINGS = {
    "data": {
        "seed": (0, 2**32 - 1),
        "dataset_size": (20, 1_000_000),  # series in all three splits
        "num_points": (20, 100_000),  # time steps of a generated series
        "normal_ratio": (0.01, 0.99),  # share of the normal series
        "frequency": [0.01, 1000.0],  # cycles in a series
        "amplitude": [0.001, 1000.0],
        "phase": [-1000.0, 1000.0],  # radians
        "flat_location": [0.0, 0.9],  # start of the flat segment, as a fraction of the series
        "flat_length": [0.0, 0.9],  # its length, as a fraction of the series
        "noise": (0.0, 100.0),  # standard deviation, as a fraction of the amplitude
        "val_fraction": (0.01, 0.9),  # of all series
        "test_fraction": (0.01, 0.9),
    },
    "model": {
        "patch_length": (1, 50_000),  # time steps of a token
        "standardize": ("series", "training_set", "none"),  # by each series itself, or the training set
        "differences": (False, True),  # whether a token also holds the change around each of its steps
        "smallest_change": (1e-6, 1000.0),  # of scaled values: larger changes count by their logarithm
        "hidden_size": (1, 1024),  # hidden units of the LSTM, per direction
        "forget_bias": (-100.0, 100.0),  # added to the forget gates' bias at first; low: a short memory
        "attention": (False, True),  # false: equal weights, which is mean pooling
        "attention_size": (1, 1024),  # hidden units of the network that computes the scores
    },
    "training": {
        "seed": (0, 2**32 - 1),
        "batch_size": (1, 10_000),
        "max_epochs": (1, 10_000),
        "patience": (1, 10_000),  # epochs without a lower validation loss that end the training
        "learning_rate": (1e-8, 100.0),
    },
}
