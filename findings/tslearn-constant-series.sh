#!/usr/bin/env bash
# tslearn 0.10.0: TimeSeriesScalerMeanVariance on a series that does not change (a flat sensor).
# One would expect zeros, whatever the constant is: mu, 0 by default, is documented as the mean of
# the output, a report of NaN (issue 52 of the project) was answered by dividing by 1 where the
# deviation is zero, and the constant 0.5 does come out as zeros.
# What happens instead: the mean of 100 times 0.1 is not exactly 0.1 in floating point, so the
# standard deviation is about 1e-17. The scaler replaces only a deviation of exactly 0 and divides
# the rounding error by itself: 0.1 becomes a row of ones, 0.7 a row of minus ones, and the sign
# depends on the length, too. There is no warning. A flat channel so gets a made-up level, and the
# distance of two scaled flat series is 20, more than the 14 between a scaled sine wave and a
# scaled cosine wave. Output that was seen:
#   0.5 x 100 -> 0.0 (std 0.0e+00)
#   36.6 x 100 -> 0.0 (std 0.0e+00)
#   0.1 x 100 -> 1.0 (std 2.8e-17)
#   0.7 x 100 -> -1.0 (std 2.2e-16)
#   0.1 x 1000 -> -1.0 (std 1.4e-17)
#   36.6 x 1000 -> -1.0 (std 1.4e-14)
#   distance of the scaled 0.1 x 100 and 0.7 x 100: 20.0
#   distance of a scaled sine and cosine wave:      14.1
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet tslearn==0.10.0 numpy==2.4.6 scipy==1.17.1
"$tmp/venv/bin/python" -W ignore - <<'EOF'
import numpy as np
from tslearn.preprocessing import TimeSeriesScalerMeanVariance
def scale(series):
    return TimeSeriesScalerMeanVariance().fit_transform(series[None])[0, :, 0]
seen = []
for value, length in ((0.5, 100), (36.6, 100), (0.1, 100), (0.7, 100), (0.1, 1000), (36.6, 1000)):
    flat = np.full(length, value)
    out = scale(flat)
    seen.append(float(out[0]))
    assert (out == out[0]).all()
    print(f"{value} x {length} -> {out[0]} (std {flat.std():.1e})")
gap = np.linalg.norm(scale(np.full(100, 0.1)) - scale(np.full(100, 0.7)))
t = 2 * np.pi * np.arange(100) / 25
waves = np.linalg.norm(scale(np.sin(t)) - scale(np.cos(t)))
print(f"distance of the scaled 0.1 x 100 and 0.7 x 100: {gap:.1f}")
print(f"distance of a scaled sine and cosine wave:      {waves:.1f}")
if seen[0] != 0 or max(seen) < 0.5 or gap < waves:
    raise SystemExit("The behaviour has changed.")
EOF
