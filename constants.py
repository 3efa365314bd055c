"""What never changes: paths, file names, labels, colours, and what each setting may be."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent
CONFIG_FILE = PROJECT_DIR / "config.json"
ARTIFACTS_DIR = Path("artifacts")  # in the folder where the script is started

# The files of a run, in its artifacts folder. All but the checkpoint are deleted before a new one is saved.
CHECKPOINT_NAME = "model.pt"
HISTORY_NAME = "history.json"
HISTORY_PLOT_NAME = "history.png"
METRICS_NAME = "metrics.json"
ATTENTION_PLOT_NAME = "attention.png"
DERIVED_NAMES = (HISTORY_NAME, HISTORY_PLOT_NAME, METRICS_NAME, ATTENTION_PLOT_NAME)

NORMAL, ANOMALOUS = 0, 1  # anomalous is the positive class
LABEL_NAMES = ("normal", "anomalous")  # LABEL_NAMES[label]

# Colours that can be told apart in grey and by colour-blind readers (Okabe and Ito's palette).
LINE_COLORS = ("#0072B2", "#D55E00")
FLAT_COLOR = "#E69F00"

# What each setting may be. A new one goes here, and into config.json and those in configs/.
#   (int, lowest, highest), (float, lowest, highest): a number
#   (list, lowest, highest): a range [min, max] within these limits
#   (str, choice, ...), (bool, False, True): a choice
# model.py explains the settings of the model and of the training.
SETTINGS = {
    "data.seed": (int, 0, 2**32 - 1),
    "data.dataset_size": (int, 20, 1_000_000),  # series in all three splits
    "data.num_points": (int, 20, 100_000),  # time steps of a series
    "data.normal_ratio": (float, 0.01, 0.99),  # share of the normal series
    "data.frequency": (list, 0.01, 1000),  # cycles in a series
    "data.amplitude": (list, 0.001, 1000),
    "data.phase": (list, -1000, 1000),  # radians
    "data.flat_location": (list, 0, 0.9),  # start of the flat segment, as a fraction of the series
    "data.flat_length": (list, 0, 0.9),  # its length, as a fraction of the series
    "data.noise": (float, 0, 100),  # standard deviation, as a fraction of the amplitude
    "data.val_fraction": (float, 0.01, 0.9),  # of all series
    "data.test_fraction": (float, 0.01, 0.9),
    "model.patch_length": (int, 1, 50_000),
    "model.channels": (int, 1, 10_000),
    "model.classes": (int, 2, 10_000),
    "model.standardize": (str, "series", "training_set", "none"),
    "model.differences": (bool, False, True),
    "model.smallest_change": (float, 1e-6, 1000),
    "model.hidden_size": (int, 1, 1024),
    "model.forget_bias": (float, -100, 100),
    "model.attention": (bool, False, True),
    "model.attention_size": (int, 1, 1024),
    "training.seed": (int, 0, 2**32 - 1),
    "training.batch_size": (int, 1, 10_000),
    "training.max_epochs": (int, 1, 10_000),
    "training.patience": (int, 1, 10_000),
    "training.learning_rate": (float, 1e-8, 100),
    "training.schedule": (str, "constant", "one_cycle"),
}
