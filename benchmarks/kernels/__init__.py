"""Speed of the engine's kernels against what else a user could pick: ``python -m benchmarks.kernels dtw``."""
