"""The machine under a run: its conditions, the reference workload (canary), cgroup limits, and the run lock."""
