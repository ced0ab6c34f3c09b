"""What the rows of a task say of it: who shows life, where each shard is, what is to be looked at."""

from dataclasses import replace

import pytest

from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.failure import Failure
from dynamirror.model.gap import OpenGap
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease, Terms
from dynamirror.model.orders import Orders
from dynamirror.model.sighting import ROWS_SILENCE_S, SILENCE_S, Sighting
from dynamirror.model.status import CopySeen, Seen, ShardState, Status, Task, WorkerSeen, status_of
from dynamirror.model.status_warnings import warnings

NOW_MS = 1_700_000_000_000
HOUR_MS = 3600 * 1000
W1 = Terms("w1", 10_000, heartbeat=True)
SHARD = Lease("shard-1", "5", "w1", 7, terms=W1, applied_to_ms=NOW_MS - 2000)
SEEN = Seen(
    NOW_MS, 100.0, Task("leases", "state", items=100), [SHARD], workers=[WorkerSeen("w1", 5, figures={"paused": 0})]
)


def looked(seen: Seen, *, beating: bool = True, for_s: float = SILENCE_S, before: Seen | None = None) -> Status:
    """After two looks, so long apart; the heartbeats have moved, or not."""
    sighting = Sighting()
    sighting.see_leases(seen.leases, seen.at_s - for_s)
    earlier = {row.worker: row.beat - (1 if beating else 0) for row in seen.workers}
    sighting.see_beats(earlier, seen.at_s - for_s)
    sighting.see_beats({row.worker: row.beat for row in seen.workers}, seen.at_s)
    return status_of(seen, sighting, before)


def test_a_shard_that_is_followed() -> None:
    status = looked(SEEN)
    [worker], [shard] = status.workers, status.shards
    assert (worker.alive, worker.leases) == (True, 1)
    assert (shard.state, shard.lag_ms, status.lag_ms) == (ShardState.READING, 2000, 2000)
    assert warnings(status) == []


@pytest.mark.parametrize(
    "row,state",
    [
        (replace(SHARD, checkpoint=SHARD_END), ShardState.FINISHED),
        (replace(SHARD, owner=None, terms=None), ShardState.FREE),
        (replace(SHARD, gap_behind="5"), ShardState.BEHIND_GAP),
        (replace(SHARD, parent_ids=("parent",)), ShardState.WAITING),
        (replace(SHARD, parent_ids=("gone",)), ShardState.READING),
        (replace(SHARD, owner="w9", terms=replace(W1, worker="w9")), ShardState.OWNER_SILENT),
        # A Java worker: whether it lives only its rows could tell.
        (replace(SHARD, owner="java"), ShardState.READING),
    ],
)
def test_where_a_shard_is(row: Lease, state: ShardState) -> None:
    parent = Lease("parent", "3", "w1", 1, terms=W1)
    status = looked(replace(SEEN, leases=[row, parent]))
    assert next(shard.state for shard in status.shards if shard.shard_id == "shard-1") is state


def test_what_a_java_worker_keeps_of_ours_says_nothing() -> None:
    [shard] = looked(replace(SEEN, leases=[replace(SHARD, owner="java")])).shards
    assert (shard.applied_to_ms, shard.lag_ms) == (None, None)


def test_a_shard_that_was_released_in_order_still_says_how_far_it_is() -> None:
    released = replace(SHARD, owner=None, terms=None, clean_counter=7)
    assert looked(replace(SEEN, leases=[released])).shards[0].lag_ms == 2000
    taken_and_left_by_java = replace(released, counter=9)
    assert looked(replace(SEEN, leases=[taken_and_left_by_java])).shards[0].lag_ms is None


def test_a_heartbeat_that_stands_still_is_of_a_dead_worker() -> None:
    status = looked(replace(SEEN, workers=[WorkerSeen("w1", 5, seen_at_ms=NOW_MS - 9000)]), beating=False)
    assert (status.workers[0].alive, status.shards[0].state) == (False, ShardState.OWNER_SILENT)
    found = warnings(status)
    assert found[0].startswith("no worker shows life")
    assert any("w1 stands still, last seen 9 s ago" in line for line in found)


def test_one_look_does_not_tell_who_lives() -> None:
    sighting = Sighting()
    sighting.see_beats({"w1": 5}, 100.0)
    first = (sighting.undecided, sighting.beats("w1"))
    sighting.see_beats({"w1": 5}, 100.0 + SILENCE_S)
    assert [first, (sighting.undecided, sighting.beats("w1"))] == [(True, None), (False, False)]
    # It comes back.
    sighting.see_beats({"w1": 6}, 105.0)
    assert sighting.beats("w1") is True


def test_an_owner_without_heartbeat_is_known_by_its_rows() -> None:
    row = replace(SHARD, owner="java", terms=None)
    sighting = Sighting()
    sighting.see_leases([row], 0.0)
    assert sighting.writes("java") is None
    sighting.see_leases([replace(row, counter=8)], 20.0)
    assert sighting.writes("java") is True
    sighting.see_leases([replace(row, counter=8)], 20.0 + ROWS_SILENCE_S)
    assert sighting.writes("java") is False


def test_what_is_free_while_workers_live_is_warned_of() -> None:
    free = Lease("shard-2", "5")
    assert any(
        "shard-2 is open, and owned by nobody" in line for line in warnings(looked(replace(SEEN, leases=[SHARD, free])))
    )


def test_a_shard_far_behind_is_warned_of_unless_it_is_paused() -> None:
    behind = replace(SEEN, leases=[replace(SHARD, applied_to_ms=NOW_MS - HOUR_MS)])
    assert any("no progress" in line for line in warnings(looked(behind)))
    paused = replace(behind, orders=Orders().pause(NOW_MS - HOUR_MS, "a"))
    assert warnings(looked(paused)) == []


def test_whose_log_to_look_at_is_said_as_one_finds_it() -> None:
    owned = {f"w{n}": Terms(f"w{n}", 10_000, heartbeat=True) for n in (1, 2, 3, 4)}
    leases = [
        replace(SHARD, shard_id=f"shard-{n}", owner=owner, terms=terms, applied_to_ms=NOW_MS - HOUR_MS)
        for n, (owner, terms) in enumerate(owned.items())
    ]
    # Rows of one worker may say neither host nor process.
    beats = [WorkerSeen(name, 5, "" if name == "w1" else "host", name[1:], figures={"paused": 0}) for name in owned]
    [line] = [line for line in warnings(looked(replace(SEEN, leases=leases, workers=beats))) if "the log of" in line]
    assert line.endswith("look at the log of w1, process 2 on host, process 3 on host and 1 more")


@pytest.mark.parametrize(
    "ago_ms,alive,applied_ago_ms,told",
    [
        (HOUR_MS - 1, True, 0, True),
        (HOUR_MS, True, 0, False),
        # Nobody has done anything since.
        (60 * HOUR_MS, False, 60 * HOUR_MS - 59_000, True),
        # Others have, and were stopped in order.
        (60 * HOUR_MS, False, 60 * HOUR_MS - 60_000, False),
    ],
)
def test_why_the_last_worker_failed_is_told_while_it_matters(
    ago_ms: int, alive: bool, applied_ago_ms: int, told: bool
) -> None:
    failure = Failure("w7", "host", "7", NOW_MS - ago_ms, 6, "gap in the stream: trimmed")
    lease = replace(SHARD, applied_to_ms=NOW_MS - applied_ago_ms)
    status = looked(replace(SEEN, leases=[lease], failure=failure), beating=alive)
    said = [line for line in warnings(status) if line.startswith("process 7 on host ended ")]
    assert len(said) == told
    assert all(line.endswith("ago, exit code 6: gap in the stream: trimmed") for line in said)


def test_a_task_that_was_drained_to_its_end_warns_of_nothing_for_ever() -> None:
    failure = Failure("w1", "host", "1", NOW_MS, 3, "the source's stream was switched off, and all of it is applied")
    drained = replace(SEEN, leases=[replace(SHARD, checkpoint=SHARD_END)], workers=[], failure=failure)
    assert warnings(looked(drained)) == []


@pytest.mark.parametrize("for_s", [0.0, SILENCE_S])
def test_a_dead_java_row_or_a_verify_beside_does_not_hide_why_nobody_works(for_s: float) -> None:
    failure = Failure("w1", "host", "1", NOW_MS - 2 * HOUR_MS, 6, "gap in the stream")
    free = replace(SHARD, owner=None, terms=None, applied_to_ms=NOW_MS - 2 * HOUR_MS)
    java = replace(SHARD, shard_id="shard-2", owner="java", terms=None, applied_to_ms=None)
    verify = WorkerSeen("v", 5, "host", "2", command="verify")
    status = looked(replace(SEEN, leases=[free, java], workers=[verify], failure=failure), for_s=for_s)
    assert any("gap in the stream" in line for line in warnings(status))


def test_processes_of_one_name_are_told_apart_by_their_ids() -> None:
    """Containers of one name, one after the other: each process has the id 1."""
    both = [WorkerSeen(name, 5, "pod", "1") for name in ("pod-1-aaaa", "pod-1-bbbb")]
    other = WorkerSeen("pod-2-cccc", 5, "pod", "2")
    status = looked(replace(SEEN, workers=[*both, other]))
    assert [status.process_of(row.worker) for row in (*both, other)] == [None, None, ("pod", "2")]


def test_how_long_until_changes_are_lost() -> None:
    status = looked(replace(SEEN, leases=[replace(SHARD, applied_to_ms=NOW_MS - 20 * HOUR_MS)]))
    assert status.lost_from_ms == NOW_MS + 4 * HOUR_MS
    assert any("in 4.0 h" in line for line in warnings(status))
    # Nobody knows how far it is: since the pause at the latest.
    unknown = [replace(SHARD, applied_to_ms=None)]
    paused = looked(replace(SEEN, leases=unknown, orders=Orders().pause(NOW_MS - HOUR_MS, "a")))
    assert paused.lost_from_ms == NOW_MS + 23 * HOUR_MS
    assert looked(replace(SEEN, leases=unknown)).lost_from_ms is None


@pytest.mark.parametrize(
    "row,since_ms",
    [
        (Lease("shard-2", TRIM_HORIZON, since_ms=NOW_MS - 23 * HOUR_MS), NOW_MS - 23 * HOUR_MS),
        (Lease("shard-2", LATEST, since_ms=NOW_MS - 23 * HOUR_MS), NOW_MS - 23 * HOUR_MS),
        # Waits for a parent.
        (Lease("shard-2", TRIM_HORIZON, parent_ids=("shard-1",), since_ms=NOW_MS - HOUR_MS), NOW_MS - HOUR_MS),
        # Read, and nothing came: its owner says so every 20 s, and moves `since_ms` once an hour.
        (
            replace(SHARD, shard_id="shard-2", checkpoint=TRIM_HORIZON, since_ms=NOW_MS - HOUR_MS),
            NOW_MS - 2000,
        ),
        # Released in order, long ago, when nothing of it had come: something may have come since.
        (
            Lease("shard-2", TRIM_HORIZON, counter=9, clean_counter=9, since_ms=NOW_MS - 9 * HOUR_MS),
            NOW_MS - 9 * HOUR_MS,
        ),
        # Nothing is known: a number, or a Java worker, which keeps what stands there.
        (Lease("shard-2", "7", since_ms=NOW_MS - 23 * HOUR_MS), NOW_MS - 2000),
        (Lease("shard-2", TRIM_HORIZON, "java", 9, since_ms=NOW_MS - 30 * HOUR_MS), NOW_MS - 2000),
        (Lease("shard-2", SHARD_END, since_ms=NOW_MS - 30 * HOUR_MS), NOW_MS - 2000),
    ],
)
def test_changes_of_a_shard_of_which_nothing_was_applied_yet_may_be_lost_first(row: Lease, since_ms: int) -> None:
    status = looked(replace(SEEN, leases=[SHARD, row]))
    assert status.lost_from_ms == since_ms + 24 * HOUR_MS
    assert any("the stream forgets" in line for line in warnings(status)) == (NOW_MS - since_ms > 12 * HOUR_MS)


def test_a_pause_does_not_hide_what_waited_before_it() -> None:
    unread = [Lease("shard-2", TRIM_HORIZON, since_ms=NOW_MS - 23 * HOUR_MS)]
    paused = looked(replace(SEEN, leases=unread, orders=Orders().pause(NOW_MS, "a")))
    assert paused.lost_from_ms == NOW_MS + HOUR_MS


def test_who_obeys_no_orders_is_named_while_there_are_any() -> None:
    older = replace(SEEN, workers=[WorkerSeen("w1", 5)])
    assert [worker.worker for worker in looked(older).deaf] == ["w1"]
    assert not looked(SEEN).deaf
    assert not warnings(looked(older))
    assert "w1 obeys no orders" in warnings(looked(replace(older, orders=Orders().pause(NOW_MS, "a"))))[0]
    # What it does not write is not shown as if it did.
    assert looked(older).lag_ms is None
    # One that holds nothing applies nothing.
    assert looked(replace(older, leases=[])).deaf == []


def test_gaps_foreign_rows_and_what_could_not_be_read_are_warned_of() -> None:
    gap = OpenGap("shard-1", "5", "trimmed", NOW_MS, "w1")
    found = warnings(
        looked(replace(SEEN, gaps=[gap], foreign_rows={"odd": "no shard id"}, unread=["not seen: denied"]))
    )
    assert ["trimmed" in found[0], "odd" in found[1], found[2]] == [True, True, "not seen: denied"]


def test_when_a_copy_is_done_is_reckoned_from_its_pace() -> None:
    copy = Copy(Phase.COPYING, 2, NOW_MS - 10_000, was_empty=True)
    now = replace(SEEN, copies=[CopySeen(copy, [Segment(0, done=True, written=30), Segment(1, written=20)])])
    [copied] = looked(now).copies
    assert (copied.counts.done, copied.counts.written, copied.eta_s) == (1, 50, 10.0)
    before = replace(now, at_s=now.at_s - 4, copies=[CopySeen(copy, [Segment(0, written=10)])])
    assert looked(now, before=before).copies[0].eta_s == 5.0
