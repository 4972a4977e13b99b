"""The workloads that are measured: data, the training loop, one adapter per framework."""
