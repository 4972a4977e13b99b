"""One training on several ranks: where each waits, what a transfer takes, and who is late."""
