"""One file per subcommand: its options, and what it prints."""
