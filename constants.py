"""What never changes: where things lie, what the classes are called, how pictures look."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent
CONFIG_FILE = PROJECT_DIR / "config.json"
ARTIFACTS_DIR = PROJECT_DIR / "artifacts"

# Files of one run, inside the artifacts folder.
CHECKPOINT_NAME = "model.pt"
HISTORY_NAME = "history.json"
HISTORY_PLOT_NAME = "history.png"
METRICS_NAME = "metrics.json"
ATTENTION_PLOT_NAME = "attention.png"
RUN_NAMES = (CHECKPOINT_NAME, HISTORY_NAME, HISTORY_PLOT_NAME, METRICS_NAME, ATTENTION_PLOT_NAME)

# Others in that folder.
SAMPLES_PLOT_NAME = "samples.png"
WRITING_NAME = ".writing"  # folder of files being written
READY_NAME = ".ready"  # folder of whole files on their way into place

PICTURE_SUFFIXES = (".png", ".svg", ".pdf", ".jpg")

LABEL_NAMES = ("normal", "anomalous")  # LABEL_NAMES[label]; anomalous is the positive class
NORMAL, ANOMALOUS = 0, 1

# More threads wait for each other at every time step of so small an LSTM: measured, see the README.
NUM_THREADS = 1
EVALUATION_BATCH = 256  # series at once where no gradients are kept

# Colours that stay apart in grey and for colour-blind readers (Okabe and Ito's palette).
LINE_COLORS = ("#0072B2", "#D55E00")
FLAT_COLOR = "#E69F00"
