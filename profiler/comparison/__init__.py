"""Several runs: subjects, the gap between two of them, fairness, noise floor, gate, and history."""
