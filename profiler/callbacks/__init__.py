"""Callbacks that record a trainer's training: one module per package, the only one to import it."""
