"""Lets `python -m baleen` do what `baleen` does."""

from baleen.cli import main

main()
