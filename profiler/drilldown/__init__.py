"""Layers, operators, lines and stacks, from separate runs whose times never enter the bars."""
