"""What reproduces the tables and pictures. Each module is run by `python -m experiments.NAME`."""

import os

# Before NumPy is loaded: times are those of one core, and sums do not depend on the number of cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
