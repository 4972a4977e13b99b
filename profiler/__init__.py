"""Measuring: recorder, phases, run store, statistics, comparison, commands."""
