"""How many cores this process may use, for `--processes auto`: by its affinity, and by its container's limit."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """At least one; a limit in fractions of a core is rounded up.

    A container sees its own limit at the root of the file system of control groups (kernel documentation, cgroup-v2:
    cpu.max; cgroup-v1: cpu.cfs_quota_us). One that cannot be read is none.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        limit = _limit([word for name in files for word in _words(cgroups / name)])
        if limit is not None:
            cores = min(cores, math.ceil(limit))
    return cores


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []


def _limit(words: list[str]) -> float | None:
    """In cores, of a quota and its period in microseconds; None: without limit ("max", -1)."""
    if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
        return None
    quota_us, period_us = words
    return int(quota_us) / int(period_us)
