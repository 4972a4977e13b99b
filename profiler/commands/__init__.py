"""One file per verb. The top layer: the only package of `profiler` that imports workloads or reports."""
