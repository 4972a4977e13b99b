"""Both versions of control groups, from files as the kernel writes them."""

from collections.abc import Mapping

import pytest

from epoch_gap.profiler.machine import cgroup as control_group

STAT = "nr_periods 9\nnr_throttled {}\nthrottled_time 5\n"
V2 = {
    "/proc/self/cgroup": "0::/kubepods/pod/box\n",
    "/sys/fs/cgroup/kubepods/pod/box/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/kubepods/pod/box/memory.max": "1073741824\n",
    "/sys/fs/cgroup/kubepods/pod/box/cpu.stat": STAT.format(0),
    "/sys/fs/cgroup/kubepods/pod/cpu.stat": STAT.format(7),
}
V1 = {
    "/proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n",
    "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
    "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu/docker/abc/cpu.stat": STAT.format(3),
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n",
}


@pytest.mark.parametrize(
    ("files", "cpu", "memory", "throttled"),
    [(V2, "max 100000", "1073741824", 7), (V1, "150000 100000", "2147483648", 3), ({}, None, None, None)],
    ids=["version 2", "version 1", "none"],
)
def test_limits_are_read_from_the_process_group_or_a_parent(
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, str],
    cpu: str | None,
    memory: str | None,
    throttled: int | None,
) -> None:
    monkeypatch.setattr(control_group, "read_text", files.get)
    assert control_group.cpu_limit() == cpu
    assert control_group.memory_limit() == memory
    assert control_group.throttle_count() == throttled


def test_no_quota_reads_as_in_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {**V1, "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1\n"}
    monkeypatch.setattr(control_group, "read_text", files.get)
    assert control_group.cpu_limit() == "max 100000"
