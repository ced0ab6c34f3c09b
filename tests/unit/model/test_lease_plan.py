"""Who is dead, and what to take: KCL's share, no clocks of others, nobody judged before they can be."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.lease import SHARD_END, Lease, Terms
from dynamirror.model.lease_plan import Patience, Watch, expired, fleet, left_s, takes, that_count, unowned

PATIENCE = Patience(lease_duration_s=10, java_s=80)


def row(number: int, owner: str | None = None, checkpoint: str = "5", counter: int = 3, **terms: int | bool) -> Lease:
    held = Terms(owner or "", int(terms.get("ms", 10_000)), bool(terms["heartbeat"])) if "heartbeat" in terms else None
    return Lease(f"shard-{number}", checkpoint, owner, counter, terms=held)


def watched(rows: list[Lease], still_s: float, beats: dict[str, int] | None = None) -> Watch:
    """A watch that has seen everything stand still for `still_s` (beats that are given go on)."""
    watch = Watch()
    watch.see_beats(dict.fromkeys(beats or {}, -1), 0, 0)
    for at_s in (*range(0, int(still_s), 20), still_s):
        watch.see_leases(rows, at_s, at_s)
    watch.see_beats(beats or {}, still_s, still_s)
    return watch


# --- who is dead


@pytest.mark.parametrize("still_s,dead", [(9.9, False), (10.1, True)])
def test_an_owner_with_a_heartbeat_is_dead_when_that_stands_still(still_s: float, dead: bool) -> None:
    lease = row(1, "other", heartbeat=True)
    watch = Watch()
    watch.see_beats({"other": 4}, 0, 0)
    watch.see_beats({"other": 4}, still_s, still_s + 1)
    assert expired(lease, watch, PATIENCE) is dead


@pytest.mark.parametrize("still_s,dead", [(79, False), (81, True)])
def test_a_beating_owner_lives_although_its_row_stands_still_but_not_for_ever(still_s: float, dead: bool) -> None:
    """It renews each row every 20 s: it does not reach the lease table, and can prove nothing."""
    lease = row(1, "other", heartbeat=True)
    watch = watched([lease], still_s, {"other": 5})
    watch.see_beats({"other": 6}, still_s, still_s)
    watch.askable = frozenset({"other"})
    assert expired(lease, watch, PATIENCE) is dead
    now = fleet([lease], watch, PATIENCE, "me")
    assert now.living == ({"me"} if dead else {"me", "other"})
    assert now.askable == (set() if dead else {"other"})


@pytest.mark.parametrize("beat_still_s,dead", [(9.9, False), (10.1, True)])
def test_a_finished_row_is_not_renewed_so_only_the_heartbeat_speaks_for_its_owner(
    beat_still_s: float, dead: bool
) -> None:
    """Whoever has finished a shard was thought blind a minute later, was asked for nothing and given nothing."""
    rows = [row(1, "other", SHARD_END, heartbeat=True), row(2, "me", heartbeat=True), row(3, "me", heartbeat=True)]
    watch = watched(rows, 1000, {"other": 5})
    watch.see_beats({"other": 6}, 1000, 1000)
    watch.see_beats({"other": 6}, 1000 + beat_still_s, 1000 + beat_still_s)
    watch.askable = frozenset({"other"})
    now = fleet(rows, watch, PATIENCE, "me")
    assert now.living == ({"me"} if dead else {"me", "other"})
    assert now.askable == (set() if dead else {"other"})
    assert now.share(rows) == (2 if dead else 1)


def test_an_observer_that_could_not_read_rows_has_seen_nobody_stand_still() -> None:
    lease = row(1, "java")
    watch = watched([lease], 79)
    watch.see_leases([lease], 200, 200)
    assert not expired(lease, watch, PATIENCE)


@pytest.mark.parametrize("still_s,dead", [(79, False), (81, True)])
def test_a_java_row_is_not_judged_before_its_time(still_s: float, dead: bool) -> None:
    lease = row(1, "java")
    assert expired(lease, watched([lease], still_s), PATIENCE) is dead


def test_terms_that_another_owner_left_behind_say_nothing_about_a_java_owner() -> None:
    lease = replace(row(1, "me", heartbeat=True), owner="java")
    watch = watched([lease], 79, {})
    watch.see_beats({"me": 1}, 0, 0)
    watch.see_beats({"me": 1}, 79, 79)
    assert not expired(lease, watch, PATIENCE)
    assert expired(lease, watched([lease], 81), PATIENCE)


@pytest.mark.parametrize("still_s,dead", [(9.9, False), (10.1, True)])
def test_without_heartbeats_the_row_itself_is_the_sign_of_life(still_s: float, dead: bool) -> None:
    lease = row(1, "other", heartbeat=False)
    assert expired(lease, watched([lease], still_s, {"other": 1}), PATIENCE) is dead


@pytest.mark.parametrize("still_s,dead", [(29, False), (31, True)])
def test_the_longer_of_both_durations_counts(still_s: float, dead: bool) -> None:
    lease = row(1, "other", heartbeat=False, ms=30_000)
    assert expired(lease, watched([lease], still_s), PATIENCE) is dead


@pytest.mark.parametrize("still_s,dead", [(15, False), (79, False), (81, True)])
def test_a_missing_heartbeat_row_is_no_sign_of_death(still_s: float, dead: bool) -> None:
    """The state table was made anew, say; the lease row is renewed every 15 s only."""
    lease = row(1, "other", heartbeat=True)
    assert expired(lease, watched([lease], still_s), PATIENCE) is dead


@pytest.mark.parametrize("still_s,dead", [(9.9, False), (10.1, True)])
def test_what_was_handed_over_to_one_that_has_left_is_not_waited_for(still_s: float, dead: bool) -> None:
    """It asked by its heartbeat row, so it had one, and it has never written to the lease."""
    lease = replace(row(1, "other", heartbeat=True), clean_counter=3)
    assert expired(lease, watched([lease], still_s), PATIENCE) is dead
    assert not expired(lease, watched([lease], 79, {"other": 1}), PATIENCE)
    assert not expired(replace(lease, counter=4), watched([replace(lease, counter=4)], still_s), PATIENCE)


def test_nothing_is_said_of_a_row_that_was_not_seen_yet_or_moved_since() -> None:
    lease = row(1, "java")
    assert left_s(lease, Watch(), PATIENCE) is None
    moved = replace(lease, counter=lease.counter + 1)
    assert left_s(moved, watched([lease], 1000), PATIENCE) is None
    assert not expired(moved, watched([lease], 1000), PATIENCE)


def test_a_counter_that_moves_starts_the_wait_anew() -> None:
    lease = row(1, "java")
    watch = watched([lease], 79)
    renewed = replace(lease, counter=lease.counter + 1)
    watch.see_leases([renewed], 79.5, 79.6)
    watch.see_leases([renewed], 110, 110.1)
    watch.see_leases([renewed], 140, 140.1)
    watch.see_leases([renewed], 159, 159.1)
    assert not expired(renewed, watch, PATIENCE)
    watch.see_leases([renewed], 159.7, 159.8)
    assert expired(renewed, watch, PATIENCE)


def test_an_observer_that_was_frozen_has_seen_nobody_stand_still() -> None:
    lease = row(1, "other", heartbeat=True)
    watch = watched([lease], 2, {"other": 5})
    # Frozen between the answer and its use: only the moments of asking count.
    watch.see_beats({"other": 5}, 4, 1000)
    assert not expired(lease, watch, PATIENCE)


def test_what_vanished_is_forgotten() -> None:
    lease = row(1, "java")
    watch = watched([lease], 100, {"w": 1})
    watch.see_leases([], 101, 101)
    watch.see_beats({}, 101, 101)
    watch.see_leases([lease], 102, 102)
    watch.see_leases([lease], 103, 103)
    assert not expired(lease, watch, PATIENCE)
    assert not watch.beats


# --- what to take


def names(leases: list[Lease]) -> list[str]:
    return [lease.shard_id for lease in leases]


def test_free_leases_are_taken_up_to_the_share_in_shard_order() -> None:
    rows = [row(4), row(2), row(3), row(1, "other", heartbeat=True)]
    watch = watched(rows, 1, {"other": 2})
    assert names(takes(rows, watch, PATIENCE, "me", set())) == ["shard-2", "shard-3"]


def test_leases_of_the_dead_are_taken_and_the_dead_do_not_count_as_workers() -> None:
    rows = [row(1, "dead", heartbeat=False), row(2, "dead", heartbeat=False)]
    assert names(takes(rows, watched(rows, 11), PATIENCE, "me", set())) == ["shard-1", "shard-2"]


def test_what_nobody_takes_for_minutes_is_told_also_where_a_dead_owner_still_stands_in_the_row() -> None:
    rows = [row(1), row(2, "dead", heartbeat=True), row(3, "java"), row(4, "other", heartbeat=True)]
    rows += [row(5, None, SHARD_END), row(6, "dead", SHARD_END, heartbeat=True)]

    def told(still_s: float) -> list[str]:
        watch = watched(rows, still_s, {"dead": 3, "other": 5})
        watch.see_beats({"dead": 3, "other": 6}, still_s + 11, still_s + 11)
        # What lives moves its row.
        watch.see_leases([*rows[:3], replace(rows[3], counter=4), *rows[4:]], still_s + 11, still_s + 11)
        return unowned([*rows[:3], replace(rows[3], counter=4), *rows[4:]], watch, PATIENCE)

    assert told(100) == []
    assert told(120) == ["shard-1", "shard-2", "shard-3"]


def test_finished_shards_are_never_taken() -> None:
    rows = [row(1, None, SHARD_END), row(2, "dead", SHARD_END, heartbeat=False)]
    assert takes(rows, watched(rows, 1000), PATIENCE, "me", set()) == []


@pytest.mark.parametrize("heartbeat", [True, False])
def test_those_who_left_nothing_but_finished_rows_are_no_workers(heartbeat: bool) -> None:
    left = [row(number, f"gone-{number}", SHARD_END, heartbeat=heartbeat) for number in range(3)]
    rows = [*left, row(7), row(8), row(9)]
    assert names(takes(rows, watched(rows, 1), PATIENCE, "me", set())) == ["shard-7", "shard-8", "shard-9"]


def test_who_beats_or_is_a_java_worker_counts_whatever_it_owns() -> None:
    rows = [row(1, "beats", SHARD_END, heartbeat=True), row(2, "java", SHARD_END), row(7), row(8), row(9)]
    assert names(takes(rows, watched(rows, 1, {"beats": 3}), PATIENCE, "me", set())) == ["shard-7", "shard-8"]


def test_what_nobody_takes_is_taken_beyond_the_share() -> None:
    rows = [row(1, "me"), row(2), row(3, "dead", heartbeat=False), row(4, "other", heartbeat=True)]
    beats = {"other": 9}
    held = {"shard-1"}
    assert names(takes(rows, watched(rows, 29, beats), PATIENCE, "me", held)) == ["shard-2"]
    assert names(takes(rows, watched(rows, 31, beats), PATIENCE, "me", held)) == ["shard-2", "shard-3"]


def test_a_row_that_names_this_worker_and_is_not_held_is_taken_once_it_stands_still() -> None:
    rows = [row(1, "me", heartbeat=True), row(2, "me", heartbeat=True), row(3, "me", SHARD_END, heartbeat=True)]
    assert takes(rows, watched(rows, 9, {"me": 4}), PATIENCE, "me", {"shard-1"}) == []
    assert names(takes(rows, watched(rows, 11, {"me": 4}), PATIENCE, "me", {"shard-1"})) == ["shard-2"]


@given(
    st.lists(st.sampled_from([None, "a", "b", "c", "me"]), max_size=30),
    st.lists(st.booleans(), min_size=30, max_size=30),
    st.sets(st.sampled_from(["a", "b", "c"])),
    st.booleans(),
)
def test_the_share_is_kcls(owners: list[str | None], finished: list[bool], dead: set[str], java: bool) -> None:
    """LeaseTaker.computeLeasesToTake, written down again: need = min(free, target - mine). Of rows that are finished
    too where a Java worker lives."""
    rows = [
        row(i, owner, SHARD_END if ended else "5", counter=i, heartbeat=True)
        for i, (owner, ended) in enumerate(zip(owners, finished, strict=False))
    ]
    rows += [row(99, "java", SHARD_END)] if java else []
    watch = Watch()
    watch.see_leases(rows, 0, 0)
    watch.see_beats(dict.fromkeys("abc", 1), 0, 0)
    watch.see_beats({name: 1 if name in dead else 2 for name in "abc"}, 11, 11)
    held = {lease.shard_id for lease in rows if lease.owner == "me"}
    found = takes(rows, watch, PATIENCE, "me", held)

    counts: dict[str, int] = {"me": 0}
    shared = [lease for lease in rows if java or not lease.finished]
    # Who has nothing but finished rows and beats still counts as a worker.
    counts |= {lease.owner: 0 for lease in rows if lease.owner is not None and lease.owner not in dead}
    for lease in shared:
        if lease.owner is not None and lease.owner not in dead:
            counts[lease.owner] = counts.get(lease.owner, 0) + 1
    target = 1 if len(counts) >= len(shared) else math.ceil(len(shared) / len(counts))
    free = [r for r in rows if (r.owner is None or r.owner in dead) and not r.finished]
    assert len(found) == max(0, min(len(free), target - counts["me"]))
    assert {lease.shard_id for lease in found} <= {lease.shard_id for lease in free}


def test_a_worker_that_has_nothing_counts_once_its_heartbeat_has_moved() -> None:
    rows = [row(number) for number in range(4)]
    watch = Watch(askable=frozenset({"other", "left"}))
    watch.see_leases(rows, 0, 0)
    watch.see_beats({"other": 1, "left": 5}, 0, 0)
    assert len(takes(rows, watch, PATIENCE, "me", set())) == 4, "a row alone may be a dead worker's"
    watch.see_beats({"other": 2, "left": 5}, 2, 2)
    assert len(takes(rows, watch, PATIENCE, "me", set())) == 2
    assert fleet(rows, watch, PATIENCE, "me").askable == {"other"}
    watch.see_beats({"other": 2, "left": 5}, 13, 13)
    assert len(takes(rows, watch, PATIENCE, "me", set())) == 4


def test_one_that_came_between_two_readings_is_not_stolen_from() -> None:
    """1 heartbeats are read; 2 another worker writes its first, and takes a lease; 3 leases are read."""
    rows = [row(1, "new", heartbeat=True), row(2, "java"), row(3, "stateless", heartbeat=False)]
    watch = Watch(askable=frozenset({"me"}))
    watch.see_beats({"me": 1, "old": 1}, 0, 0)
    watch.see_leases([*rows, row(4, "old", heartbeat=True)], 1, 1)
    assert fleet([*rows, row(4, "old", heartbeat=True)], watch, PATIENCE, "me").stealable == {
        "java",
        "stateless",
        "old",
    }
    alone = Watch()
    alone.see_leases(rows, 1, 1)
    assert fleet(rows, alone, PATIENCE, "me").stealable == {"new", "java", "stateless"}


@given(
    st.lists(st.tuples(st.sampled_from([None, "a", "without", "gone", "me"]), st.booleans()), max_size=40),
    st.booleans(),
    st.floats(0, 200),
)
def test_rows_of_finished_shards_change_nothing_but_beside_java(
    drawn: list[tuple[str | None, bool]], java: bool, still_s: float
) -> None:
    rows = [
        row(i, owner, SHARD_END if ended else "5", counter=i, heartbeat=owner != "without")
        for i, (owner, ended) in enumerate(drawn)
    ]
    rows += [row(99, "java", SHARD_END)] if java else []
    watch = watched(rows, still_s, {"a": 1, "gone": -1, "me": 1})
    watch.askable = frozenset({"a", "gone", "me"})
    counted = that_count(rows)
    assert counted == rows if java else sum(one.finished for one in counted) <= 4
    now, of_all = fleet(counted, watch, PATIENCE, "me"), fleet(rows, watch, PATIENCE, "me")
    unfinished = {one.shard_id for one in rows if not one.finished}
    assert now.dead_rows & unfinished == of_all.dead_rows & unfinished
    assert replace(now, dead_rows=frozenset()) == replace(of_all, dead_rows=frozenset())
    assert now.share(counted) == of_all.share(rows)
    assert takes(counted, watch, PATIENCE, "me", set()) == takes(rows, watch, PATIENCE, "me", set())
