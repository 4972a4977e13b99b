"""The machine that a run uses: its conditions, the reference workload (canary), cgroup limits, and the run lock."""
