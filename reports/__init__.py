"""Stored runs as text, pictures, a page and files for other programs. Nothing here runs a workload."""
