"""How right the calls are, on every set with a known truth."""
