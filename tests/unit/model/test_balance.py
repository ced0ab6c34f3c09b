"""Shards are moved until no two workers differ by more than one, and then no more."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.balance import ASKED_AT_ONCE_MAX, asks, gives, loads, may_move, steal, stuck_ends
from dynamirror.model.lease import SHARD_END, Lease, Terms
from dynamirror.model.lease_plan import Fleet, Watch


def row(number: int, owner: str | None, checkpoint: str = "5") -> Lease:
    terms = Terms(owner, 10_000, heartbeat=True) if owner is not None and not owner.startswith("java") else None
    return Lease(f"shard-{number:04}", checkpoint, owner, 3, terms=terms)


def fleet_of(*workers: str) -> Fleet:
    java = {worker for worker in workers if worker.startswith("java")}
    return Fleet(frozenset(workers), frozenset(workers) - java, frozenset(java), frozenset(), bool(java))


def moved(rows: list[Lease], to_of: dict[str, str]) -> list[Lease]:
    return [replace(lease, owner=to_of.get(lease.shard_id, lease.owner)) for lease in rows]


@given(
    st.lists(st.sampled_from("abcd"), max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.integers(0, 1000),
)
def test_they_come_to_rest_with_no_two_that_differ_by_more_than_one(
    owners: list[str], finished: list[bool], seed: int
) -> None:
    """All ask at once, each for itself; what each gives is decided on what it knows."""
    draw = random.Random(seed).random
    rows = [row(i, owner, SHARD_END if finished[i] else "5") for i, owner in enumerate(owners)]
    fleet = fleet_of(*"abcd")
    moves = 0
    for _ in range(20):
        wants = {me: asks(rows, fleet, me, (), draw) for me in "abcd"}
        given_away: dict[str, str] = {}
        for me in "abcd":
            held = {lease.shard_id for lease in rows if lease.owner == me and not lease.finished}
            given_away |= gives(
                loads(rows, fleet), me, {name: theirs for name, theirs in wants.items() if name != me}, held
            )
        moves += len(given_away)
        if not given_away:
            break
        rows = moved(rows, given_away)
    load = loads(rows, fleet)
    assert max(load.values()) - min(load.values()) <= 1
    assert not any(asks(rows, fleet, me, (), draw) for me in "abcd")
    assert moves <= 2 * len(rows)


def test_what_was_asked_for_is_asked_for_again_until_its_owner_or_the_need_is_gone() -> None:
    rows = [row(number, "a") for number in range(6)]
    fleet = fleet_of("a", "b", "me")
    first = asks(rows, fleet, "me", (), lambda: 0.0)
    assert set(first.values()) == {"a"}
    assert len(first) == 3
    assert asks(rows, fleet, "me", first, lambda: 0.99) == first
    rows[0] = row(0, "b")
    assert "shard-0000" not in asks(rows, fleet, "me", first, lambda: 0.99)
    assert not asks([row(0, "a"), row(1, "me")], fleet, "me", {"shard-0000"}, lambda: 0.0)


def test_many_are_asked_for_at_once_but_not_without_bound() -> None:
    rows = [row(number, "a") for number in range(1000)]
    assert len(asks(rows, fleet_of("a", "me"), "me", (), random.Random(1).random)) == ASKED_AT_ONCE_MAX


def test_nobody_asks_who_does_not_answer() -> None:
    rows = [row(number, "java") for number in range(6)]
    assert not asks(rows, fleet_of("java", "me"), "me", (), lambda: 0.0)


def test_what_two_want_is_given_once_and_in_turn() -> None:
    load = {"me": 9, "b": 0, "c": 0}
    every = {f"shard-{number}" for number in range(9)}
    given_away = gives(load, "me", {"b": every, "c": every | {"another's"}}, every)
    assert sorted(given_away.values()) == ["b", "b", "b", "c", "c", "c"]
    assert load == {"me": 3, "b": 3, "c": 3}
    assert not gives({"me": 9}, "me", {"unknown": every}, every)
    assert not may_move({"me": 1, "b": 0}, "me", "b")


@pytest.mark.parametrize(
    "theirs,mine,may", [(4, 0, True), (3, 1, True), (2, 1, False), (2, 0, True), (1, 0, False), (1, 1, False)]
)
def test_from_a_java_worker_one_is_stolen_by_kcls_rule(theirs: int, mine: int, may: bool) -> None:
    rows = [row(number, "java") for number in range(theirs)] + [row(100 + number, "me") for number in range(mine)]
    assert (steal(rows, fleet_of("java", "me"), "me", lambda: 0.0) is not None) is may


def test_of_a_java_workers_rows_a_live_one_is_stolen_and_all_of_them_count() -> None:
    rows = [row(number, "java", SHARD_END) for number in range(5)] + [row(9, "java"), row(10, "me"), row(11, "me")]
    found = steal(rows, fleet_of("java", "me"), "me", lambda: 0.99)
    assert found is not None
    assert found.shard_id == "shard-0009"
    assert steal(rows[:5], fleet_of("java", "me"), "me", lambda: 0.0) is None


def closed(_: str) -> bool:
    return True


def test_a_closed_shard_that_a_java_worker_never_ends_is_stuck_after_ten_minutes_with_that_owner() -> None:
    parent = Lease("shard-1", "7", "java", 1)
    child = Lease("shard-2", "TRIM_HORIZON", None, 0, parent_ids=("shard-1",))
    fleet, watch = fleet_of("java", "java-2", "w", "me"), Watch()
    for at_s in (0.0, 590.0):
        watch.see_leases([parent, child], at_s, at_s)
        assert not stuck_ends([parent, child], fleet, watch, closed)
    watch.see_leases([parent, child], 610, 610)
    assert stuck_ends([parent, child], fleet, watch, closed) == [parent]
    assert not stuck_ends([parent, child], fleet, watch, lambda _: False)
    assert not stuck_ends([parent, replace(child, checkpoint="3")], fleet, watch, closed)
    assert not stuck_ends([replace(parent, checkpoint=SHARD_END), child], fleet, watch, closed)
    # Its next owner has all its time; one of ours never gives up saving the end.
    taken = replace(parent, owner="java-2", counter=2)
    watch.see_leases([taken, child], 620, 620)
    assert not stuck_ends([taken, child], fleet, watch, closed)
    ours = replace(parent, owner="w", terms=Terms("w", 10_000, heartbeat=False))
    for at_s in (700.0, 9000.0):
        watch.see_leases([ours, child], at_s, at_s)
    assert not stuck_ends([ours, child], fleet, watch, closed)
