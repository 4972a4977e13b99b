"""One file per verb, and `main`. The only package of `profiler` that imports workloads or reports."""
