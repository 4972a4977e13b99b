"""One adapter per framework, with its span collectors; each imports its own framework only."""
