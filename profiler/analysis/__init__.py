"""One run: warm-up, steady steps, the epoch estimate, and flags, each computed once."""
