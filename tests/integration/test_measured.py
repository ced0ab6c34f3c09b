"""What a measured process cost is its own, whoever measures it."""

import sys

import pytest

from bench.process import measured
from tests.support.command import wait_until

MB = 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="a running process's peak is read from /proc")
def test_the_memory_of_whoever_begins_it_is_not_counted() -> None:
    """Linux hands the parent's peak on to a process that it begins, as the child's ru_maxrss."""
    large = bytearray(200 * MB)
    large[::4096] = b"1" * (len(large) // 4096)
    with measured([sys.executable, "-c", "x = bytearray(b'1' * 50_000_000); import time; time.sleep(60)"]) as program:
        wait_until(lambda: program.running and program.rss_max_mb > 48, 30)
        cost = program.end()
    assert 48 < cost.rss_max_mb < 150
    assert len(large) == 200 * MB
