"""What is measured: data, the training loop, and one adapter per framework."""
