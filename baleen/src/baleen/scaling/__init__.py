"""Thread scaling: measure it, describe it by a law, predict it from costs, draw it."""
