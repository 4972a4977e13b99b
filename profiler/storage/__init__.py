"""Runs on disk: the typed manifest, the SQLite schema, its writer and its reader."""
