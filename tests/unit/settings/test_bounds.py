"""Times that would break the order, or stop the sending, are refused before anything is started."""

from dataclasses import replace
from typing import Any

import pytest

from dynamirror.errors import Refused
from dynamirror.settings.bounds import fence_of, refuse_unsound
from dynamirror.settings.groups import (
    DestinationSettings,
    LeaseSettings,
    ReplicationSettings,
    SourceSettings,
    TaskSettings,
    WriteSettings,
)
from dynamirror.settings.java_times import RENEW_SHARE, lease_for_java, write_for_java

SETTINGS = ReplicationSettings(
    SourceSettings("us-east-1", "A"),
    DestinationSettings("us-west-2", "B"),
    TaskSettings("us-east-1", None, "leases", named=False),
)


def test_the_defaults_are_sound() -> None:
    refuse_unsound(SETTINGS)


@pytest.mark.parametrize(
    "group,times,said",
    [
        ("write", {"stray_life_s": -1.0}, "stray life"),
        ("write", {"attempt_timeout_s": 0.0}, "time-out"),
        ("write", {"attempt_timeout_s": 7.5}, "lease duration of 10 s leaves no room"),
        ("write", {"clock_drift_s": 0.0}, "drift"),
        ("lease", {"duration_s": 7.0}, "leaves no room"),
        ("lease", {"heartbeat_s": 3.0}, "leaves no room"),
        ("lease", {"proof_s": 3.0}, "leaves no room"),
        ("lease", {"renew_s": 30.0}, "too rarely for Java's fail-over time"),
        ("lease", {"java_patience_s": 79.0}, "must be given 80 s"),
        ("lease", {"java_failover_s": 30.0}, "too rarely for Java's fail-over time of 30 s"),
        ("lease", {"watch_s": 10.0}, "read more often"),
    ],
)
def test_each_inequality_turned_round_is_refused(group: str, times: dict[str, Any], said: str) -> None:
    turned = replace(SETTINGS, **{group: replace(getattr(SETTINGS, group), **times)})
    with pytest.raises(Refused, match=said):
        refuse_unsound(turned)


def test_sending_stops_before_anybody_may_take_the_lease() -> None:
    lease, write = LeaseSettings(), WriteSettings()
    beating = fence_of(lease, write, heartbeat=True)
    assert beating.beat_s is not None
    assert beating.beat_s + write.attempt_timeout_s < lease.duration_s
    assert beating.row_s + write.attempt_timeout_s < lease.java_failover_s
    silent = fence_of(lease, write, heartbeat=False)
    assert silent.beat_s is None
    assert silent.row_s + write.attempt_timeout_s < lease.duration_s


@pytest.mark.parametrize("failover_s", [3.0, 3.5, 5.0, 10.0, 14.9, 15.0, 30.0, 59.0, 60.0, 61.0, 600.0, 3600.0])
def test_every_fail_over_time_of_java_has_sound_times(failover_s: float) -> None:
    write = write_for_java(WriteSettings(), failover_s)
    lease = lease_for_java(LeaseSettings(), write, failover_s)
    refuse_unsound(replace(SETTINGS, lease=lease, write=write))
    assert lease.java_patience_s >= failover_s + failover_s / 3
    assert lease.renew_s <= failover_s * RENEW_SHARE
    assert lease.scan_s <= lease.java_patience_s / 8
    for heartbeat in (True, False):
        fence = fence_of(lease, write, heartbeat)
        assert fence.row_s + write.attempt_timeout_s < failover_s
        assert fence.row_s >= 2 * lease.renew_s or not heartbeat


def test_the_java_tools_own_fail_over_time_gives_the_defaults() -> None:
    write = write_for_java(WriteSettings(), 60.0)
    assert write == WriteSettings()
    assert lease_for_java(LeaseSettings(), write, 60.0) == LeaseSettings()


def test_a_fail_over_time_that_leaves_no_time_to_send_is_refused() -> None:
    write = write_for_java(WriteSettings(), 2.0)
    with pytest.raises(Refused, match="too rarely for Java's fail-over time of 2 s"):
        refuse_unsound(replace(SETTINGS, lease=replace(LeaseSettings(), java_failover_s=2.0), write=write))


def test_the_permit_ends_with_the_first_sign_that_runs_out() -> None:
    fence = fence_of(LeaseSettings(), WriteSettings(), heartbeat=True)
    assert fence.until_s(proven_at_s=100.0, written_at_s=99.0, beaten_at_s=99.5) == 101.0
    assert fence.until_s(proven_at_s=100.0, written_at_s=99.0, beaten_at_s=96.5) == 100.5
    assert fence.until_s(proven_at_s=100.0, written_at_s=46.5, beaten_at_s=99.5) == 100.5
