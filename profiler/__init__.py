"""Measure training runs, analyse them and compare them."""
