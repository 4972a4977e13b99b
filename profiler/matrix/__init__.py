"""A matrix of runs: its cells from a TOML file, which of them are complete, and what changed between versions."""
