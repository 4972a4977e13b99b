"""Experiments: explanations of a gap that are tested by a prediction and a measurement."""
