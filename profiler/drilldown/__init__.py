"""Layers, operators, lines and stacks, from separate runs whose times are never mixed with those of timed runs."""
