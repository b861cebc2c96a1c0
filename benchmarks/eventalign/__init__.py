"""Event alignment against simulated truth, f5c, nanopolish and move tables."""
