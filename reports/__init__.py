"""Turning stored runs into pictures, a page and tables. Reads runs; never runs anything."""
