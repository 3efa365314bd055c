"""What never changes: paths, file names, class names and colours."""

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
