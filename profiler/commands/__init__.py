"""One file per verb. The top of the house: the only package that imports workloads and reports."""
