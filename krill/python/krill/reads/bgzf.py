"""Blocked gzip, the container of BAM."""

LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""Holds nothing; says that a file is whole."""
