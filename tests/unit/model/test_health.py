"""What makes a worker unhealthy, and which waits do not."""

from dataclasses import replace

import pytest

from dynamirror.model.health import (
    HEARTBEAT_S,
    LEASES_S,
    LOOK_S,
    LOOP_S,
    STUCK_S,
    Doing,
    ShardSigns,
    Unread,
    WorkerSigns,
    problems,
)

NOW_S = 1000.0
FRESH_S, OLD_S = NOW_S - STUCK_S + 1, NOW_S - STUCK_S - 1
WELL = ShardSigns("s1", Doing.READING, read_at_s=FRESH_S)
OTHER = ShardSigns("s2", Doing.READING, read_at_s=FRESH_S, durable_at_s=FRESH_S)


def worker(*shards: ShardSigns, silent_since_s: float | None = None, rate_waits: bool = False) -> WorkerSigns:
    return WorkerSigns(
        NOW_S, NOW_S, beaten_at_s=NOW_S, silent_since_s=silent_since_s, rate_waits=rate_waits, shards=shards
    )


def whys(signs: WorkerSigns) -> list[str]:
    return [str(problem) for problem in problems(signs, NOW_S)]


def test_it_is_told_within_30_s() -> None:
    assert STUCK_S + LOOK_S < 30


def test_a_worker_whose_shards_are_read_is_healthy() -> None:
    assert whys(worker()) == whys(worker(WELL, OTHER)) == []


@pytest.mark.parametrize(
    "signs,why",
    [
        (replace(worker(WELL), looked_at_s=NOW_S - LOOP_S - 1), "the event loop has not moved for 11 s"),
        (
            replace(worker(WELL), beaten_at_s=NOW_S - HEARTBEAT_S - 1),
            "no heartbeat was written for 11 s: others may take the leases",
        ),
        (replace(worker(WELL), leases_answered_at_s=NOW_S - LEASES_S - 1), "the lease table has not answered for 31 s"),
        (
            replace(worker(WELL), listing_fails_since_s=OLD_S),
            "new shards could not be looked for, for 26 s: what comes in them waits",
        ),
    ],
)
def test_what_ails_the_worker_is_no_shards(signs: WorkerSigns, why: str) -> None:
    [found] = problems(signs, NOW_S)
    assert (found.shard_id, found.why) == ("", why)


def test_a_listing_that_fails_a_few_times_is_no_problem() -> None:
    assert whys(replace(worker(WELL), listing_fails_since_s=FRESH_S)) == []


def test_without_a_state_table_there_are_no_heartbeats_to_miss() -> None:
    assert whys(replace(worker(WELL), beaten_at_s=None)) == []


@pytest.mark.parametrize("doing", [Doing.READING, Doing.PAUSING, Doing.HANDING_ON, Doing.QUEUING, Doing.ENDING])
def test_a_shard_that_is_not_read_is_stuck_and_named(doing: Doing) -> None:
    stuck = ShardSigns("s1", doing, read_at_s=OLD_S)
    [found] = problems(worker(stuck), NOW_S)
    assert found.shard_id == "s1"
    assert found.why == f"no page was read for 26 s: it {doing.value}"
    assert whys(worker(replace(stuck, read_at_s=FRESH_S))) == []


def test_many_shards_that_are_read_in_turn_are_not_stuck() -> None:
    waits = ShardSigns("s1", Doing.QUEUING, read_at_s=OLD_S)
    assert whys(worker(waits, OTHER)) == []
    assert whys(worker(replace(waits, doing=Doing.READING), OTHER)) != []


@pytest.mark.parametrize("doing", [Doing.WAITING_FOR_PARENTS, Doing.ENDED])
def test_what_waits_for_its_parents_or_is_over_is_not_stuck(doing: Doing) -> None:
    assert whys(worker(ShardSigns("s1", doing))) == []


def test_a_parent_whose_row_cannot_be_read_is_no_parent_that_is_waited_for() -> None:
    unread = Unread("its parent s0", OLD_S, "it is no lease")
    waits = ShardSigns("s1", Doing.WAITING_FOR_PARENTS, unread=unread)
    assert whys(worker(waits)) == ["shard s1: it cannot read the lease row of its parent s0: it is no lease (for 26 s)"]
    assert whys(worker(replace(waits, unread=replace(unread, since_s=FRESH_S)))) == []


def test_a_full_worker_reads_on_only_where_writes_become_durable() -> None:
    full = ShardSigns("s1", Doing.WAITING_FOR_ROOM, read_at_s=OLD_S)
    assert whys(worker(full)) == ["shard s1: no page was read for 26 s: it waits until changes are durable"]
    assert whys(worker(full, replace(OTHER, durable_at_s=OLD_S))) != []
    assert whys(worker(full, OTHER)) == []


def test_changes_that_do_not_become_durable_make_a_shard_stuck_however_much_is_read() -> None:
    waits = replace(WELL, read_at_s=NOW_S, waits_since_s=OLD_S)
    assert whys(worker(waits)) == ["shard s1: its changes wait for the destination, none became durable for 26 s"]
    assert whys(worker(replace(waits, durable_at_s=FRESH_S))) == []
    assert whys(worker(replace(waits, waits_since_s=FRESH_S, durable_at_s=OLD_S))) == []


def test_the_operators_own_limit_is_no_fault() -> None:
    waits = replace(WELL, waits_since_s=OLD_S)
    full = ShardSigns("s2", Doing.WAITING_FOR_ROOM, read_at_s=OLD_S)
    assert whys(worker(waits, full, rate_waits=True)) == []


def test_a_first_doubt_is_waited_for_unless_the_destination_answers_nothing() -> None:
    doubt = replace(WELL, waits_since_s=OLD_S, doubt_until_s=NOW_S + 5)
    full = ShardSigns("s2", Doing.WAITING_FOR_ROOM, read_at_s=OLD_S)
    assert whys(worker(doubt, full)) == []
    assert whys(worker(doubt, silent_since_s=FRESH_S)) == []
    assert len(whys(worker(doubt, full, silent_since_s=OLD_S))) == 2
    assert whys(worker(replace(doubt, doubt_until_s=NOW_S - 1))) != []


def test_a_predecessors_writes_are_waited_for_where_that_is_what_is_waited_for() -> None:
    settling = ShardSigns("s1", Doing.WAITING_FOR_ROOM, read_at_s=OLD_S, settles_at_s=NOW_S + 100)
    assert whys(worker(settling, replace(settling, doing=Doing.ENDING))) == []
    assert whys(worker(replace(settling, doing=Doing.READING))) != []
    assert whys(worker(replace(settling, settles_at_s=OLD_S))) != []


def test_what_is_held_for_a_copy_keeps_a_shard_at_its_end() -> None:
    held = ShardSigns("s1", Doing.ENDING, read_at_s=OLD_S, holds=True)
    assert whys(worker(held)) == []
    assert whys(worker(replace(held, holds=False))) != []
    assert whys(worker(replace(held, holds=False, saved_at_s=FRESH_S))) == []
    assert whys(worker(replace(held, holds=False, durable_at_s=FRESH_S))) == []


def test_checkpoints_that_cannot_be_saved_make_a_shard_stuck() -> None:
    assert whys(worker(replace(WELL, saving_fails_since_s=OLD_S))) == [
        "shard s1: its checkpoint could not be saved for 26 s"
    ]
    assert whys(worker(replace(WELL, saving_fails_since_s=FRESH_S))) == []
