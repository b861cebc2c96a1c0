"""Acceptance figures: one module per name, each with ``rows() -> Iterable[Row]``."""
