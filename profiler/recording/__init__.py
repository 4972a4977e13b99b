"""The hot path: marks on one clock, grouped into steps and epochs. Standard library only."""
