"""Parity: whether two frameworks compute the same training, tensor by tensor and definition by definition."""
