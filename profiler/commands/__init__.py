"""One file per verb. The top layer: the only package that imports both workloads and reports."""
