"""One adapter per framework, and the times of its layers; each imports its own framework only."""
