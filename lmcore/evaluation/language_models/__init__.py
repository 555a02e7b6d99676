"""How probable models find held-out text: scores, baselines, their interpolation, and bits per byte with intervals."""
