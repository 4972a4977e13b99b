"""The hot path: marks on one clock, closed into steps and epochs. Standard library only."""
