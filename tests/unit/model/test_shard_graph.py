"""What a listing means: whom to believe, which rows to create, whom never to read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease, new_lease
from dynamirror.model.shard_graph import (
    RETENTION_MS,
    Listing,
    Shard,
    Start,
    ancestors_first,
    believable,
    child_leases,
    doubts_about,
    lost_lineages,
    missing_leases,
    removable,
    shard_created_ms,
)

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
# Of the shards below.
BORN_MS = NOW_MS - HOUR_MS


def shard_id(name: str, age_ms: int = HOUR_MS) -> str:
    return f"shardId-{NOW_MS - age_ms:020d}-{name}"


def shard(name: str, parent: str | None = None, ended: bool = False, age_ms: int = HOUR_MS) -> Shard:
    return Shard(shard_id(name, age_ms), parent and shard_id(parent), "100", "200" if ended else None)


def listing(*shards: Shard, enabled: bool = True) -> Listing:
    return Listing(shards, enabled)


def rows(*leases: Lease) -> dict[str, Lease]:
    return {lease.shard_id: lease for lease in leases}


def suffixes(leases: list[Lease]) -> list[str]:
    return [lease.shard_id.rsplit("-", 1)[1] for lease in leases]


GRANDPARENT, PARENT = shard("gp", None, True), shard("p", "gp", True)
CHILD, SIBLING = shard("c", "p"), shard("s", "p")
CHAIN = listing(CHILD, PARENT, GRANDPARENT)


@st.composite
def lineages(draw: st.DrawFn) -> tuple[Shard, ...]:
    """A forest of shards, each with an earlier one (or none, or an unlisted one) as its parent, in any order."""
    size = draw(st.integers(0, 12))
    shards = []
    for i in range(size):
        parent = draw(st.one_of(st.none(), st.integers(0, i - 1) if i else st.none(), st.just(99)))
        first = draw(st.one_of(st.none(), st.integers(0, 5).map(str)))
        shards.append(Shard(f"shard-{i}", None if parent is None else f"shard-{parent}", first))
    return tuple(draw(st.permutations(shards)))


@given(lineages())
def test_ancestors_stand_before_their_descendants(shards: tuple[Shard, ...]) -> None:
    ordered = ancestors_first(shards)
    assert sorted(s.id for s in ordered) == sorted(s.id for s in shards)
    place = {s.id: i for i, s in enumerate(ordered)}
    assert all(place[s.parent_id] < place[s.id] for s in shards if s.parent_id in place)


def test_a_circle_of_parents_ends() -> None:
    assert len(ancestors_first([Shard("a", "b"), Shard("b", "a"), Shard("c", "c")])) == 3


@pytest.mark.parametrize(
    "text,created",
    [
        ("shardId-00000001700000000000-aaaaaaaa", 1_700_000_000_000),
        ("shardId-00000001700000000000", None),
        ("shard-1-2", None),
        ("shardId-x-a", None),
        ("", None),
    ],
)
def test_the_creation_time_is_read_from_the_id(text: str, created: int | None) -> None:
    assert shard_created_ms(text) == created


# --- whom to believe


@pytest.mark.parametrize(
    "found,words",
    [
        (listing(GRANDPARENT, PARENT, CHILD), []),
        (listing(), []),
        (listing(PARENT, CHILD), ["which is not listed"]),
        (listing(shard("p", None, True)), ["is closed and has no child"]),
        (listing(shard("p", None, True), enabled=False), []),
        # An open parent with listed children is treated as closed.
        (listing(shard("p"), CHILD), []),
        (listing(shard("p", None, True), shard("c", "gone", True)), ["p is closed", "not listed", "c is closed"]),
    ],
)
def test_doubts(found: Listing, words: list[str]) -> None:
    doubts = doubts_about(found, NOW_MS)
    assert len(doubts) == len(words)
    for doubt, word in zip(doubts, words, strict=True):
        assert word in doubt


@pytest.mark.parametrize("age_ms,doubtful", [(RETENTION_MS - 1, True), (RETENTION_MS, False)])
def test_a_parent_is_missed_until_its_child_is_a_day_old(age_ms: int, doubtful: bool) -> None:
    """However old the parent itself is: it was written until its child was created."""
    child = Shard(shard_id("c", age_ms), shard_id("p", 5 * RETENTION_MS))
    assert bool(doubts_about(listing(child), NOW_MS)) is doubtful
    assert bool(believable(listing(child), NOW_MS).shards) is not doubtful


def test_descendants_of_a_shard_that_waits_for_its_parent_wait_too() -> None:
    orphan, below, lowest, other = shard("o", "missing", True), shard("b", "o", True), shard("l", "b"), shard("x")
    kept = believable(listing(lowest, other, below, orphan, enabled=False), NOW_MS)
    assert kept == listing(other, enabled=False)


# --- which rows to create


def test_a_fresh_task_gets_every_listed_shard_ancestors_first() -> None:
    missing = missing_leases(CHAIN, {}, Start(), NOW_MS)
    assert suffixes(missing) == ["gp", "p", "c"]
    assert missing == [
        new_lease(GRANDPARENT.id, (), since_ms=BORN_MS),
        new_lease(PARENT.id, (GRANDPARENT.id,), since_ms=BORN_MS),
        new_lease(CHILD.id, (PARENT.id,), since_ms=BORN_MS),
    ]


def test_nothing_is_missing_twice() -> None:
    missing = missing_leases(CHAIN, {}, Start(), NOW_MS)
    assert missing_leases(CHAIN, rows(*missing), Start(), NOW_MS) == []


def test_a_row_that_java_deleted_does_not_come_back() -> None:
    """P-19: the young generation goes on, its ancestors' rows are cleaned up."""
    child = Lease(CHILD.id, "150", parent_ids=(PARENT.id,))
    assert missing_leases(CHAIN, rows(child), Start(), NOW_MS) == []
    late = missing_leases(listing(SIBLING, *CHAIN.shards), rows(child), Start(), NOW_MS)
    assert late == [new_lease(SIBLING.id, (PARENT.id,), since_ms=BORN_MS)]


def test_the_proof_reaches_up_through_rows_that_are_gone() -> None:
    chain = listing(shard("a", None, True), shard("b", "a", True), shard("c", "b", True), shard("d", "c"))
    youngest = Lease(shard_id("d"), SHARD_END, parent_ids=(shard_id("c"),))
    assert missing_leases(chain, rows(youngest), Start(), NOW_MS) == []


def test_a_row_proves_its_parent_even_when_it_is_not_listed_itself() -> None:
    gone = Lease(shard_id("gone"), "150", parent_ids=(PARENT.id,))
    assert missing_leases(listing(GRANDPARENT, PARENT), rows(gone), Start(), NOW_MS) == []


def test_an_unreadable_row_may_prove_as_much() -> None:
    assert missing_leases(CHAIN, {}, Start(), NOW_MS, {CHILD.id}) == []
    assert suffixes(missing_leases(CHAIN, {}, Start(), NOW_MS, {PARENT.id})) == ["c"]
    began = Lease(PARENT.id, "7", parent_ids=(GRANDPARENT.id,), since_ms=NOW_MS - 40 * HOUR_MS)
    orphan = shard("o", "unseen", age_ms=30 * HOUR_MS)
    assert lost_lineages(listing(orphan), rows(began), {orphan.id}) == []


def test_an_unread_child_proves_nothing() -> None:
    """P-18: the child's row came first, the parent was never read; the child waits for it."""
    child = new_lease(CHILD.id, (PARENT.id,))
    assert suffixes(missing_leases(CHAIN, rows(child), Start(), NOW_MS)) == ["gp", "p"]


def test_a_closed_leaf_gets_a_row() -> None:
    assert suffixes(missing_leases(listing(PARENT), {}, Start(), NOW_MS)) == ["p"]


# --- where they start


def test_latest_means_the_ends_of_the_lineages_only() -> None:
    missing = missing_leases(listing(SIBLING, *CHAIN.shards), {}, Start(LATEST, 7), NOW_MS)
    assert sorted(suffixes(missing)) == ["c", "s"]
    assert {(lease.checkpoint, lease.start_at_ms) for lease in missing} == {(LATEST, 7)}


def test_latest_at_the_moment_of_a_roll_leads_through_the_closed_shard_to_its_child() -> None:
    """Else the child, listed a minute later, would itself begin at its latest, and what lies between were lost."""
    closed = listing(GRANDPARENT, PARENT)
    assert suffixes(missing_leases(closed, {}, Start(LATEST, 7), NOW_MS)) == ["p"]


def test_latest_does_not_bring_the_past_back_later() -> None:
    first = missing_leases(CHAIN, {}, Start(LATEST, 7), NOW_MS)
    assert missing_leases(CHAIN, rows(*first), Start(LATEST, 7), NOW_MS) == []


def test_the_start_counts_only_for_a_task_without_leases() -> None:
    done = Lease(PARENT.id, SHARD_END, parent_ids=(GRANDPARENT.id,))
    [child] = missing_leases(CHAIN, rows(done), Start(LATEST, 7), NOW_MS)
    assert (child.checkpoint, child.start_at_ms) == (TRIM_HORIZON, None)


def test_a_later_shard_inherits_what_its_parent_may_still_skip() -> None:
    skipping = Lease(PARENT.id, TRIM_HORIZON, parent_ids=(GRANDPARENT.id,), start_at_ms=7)
    missing = missing_leases(listing(PARENT, CHILD), rows(skipping), Start(), NOW_MS)
    assert [lease.start_at_ms for lease in missing] == [7]


@pytest.mark.parametrize("start_at_ms", [None, 7])
def test_children_of_a_finished_shard_start_at_their_beginning(start_at_ms: int | None) -> None:
    done = Lease(PARENT.id, SHARD_END, start_at_ms=start_at_ms)
    born_ms = NOW_MS - HOUR_MS
    assert child_leases(done, [CHILD, SIBLING], NOW_MS) == [
        new_lease(CHILD.id, (PARENT.id,), TRIM_HORIZON, start_at_ms, born_ms),
        new_lease(SIBLING.id, (PARENT.id,), TRIM_HORIZON, start_at_ms, born_ms),
    ]


# --- since when changes are wanted


def test_a_later_shard_is_wanted_from_its_creation_and_at_the_earliest_from_the_tasks_beginning() -> None:
    for begun_ms, since_ms in [(NOW_MS - 9 * HOUR_MS, NOW_MS - HOUR_MS), (NOW_MS - 60, NOW_MS - 60)]:
        done = Lease(PARENT.id, SHARD_END, parent_ids=(GRANDPARENT.id,), since_ms=begun_ms)
        [child] = missing_leases(CHAIN, rows(done), Start(), NOW_MS)
        assert child.since_ms == since_ms


def test_a_start_named_by_time_is_what_is_wanted() -> None:
    at_ms = BORN_MS + 600_000
    missing = missing_leases(CHAIN, {}, Start(TRIM_HORIZON, at_ms), NOW_MS)
    assert {lease.since_ms for lease in missing} == {at_ms}


def test_of_a_shard_younger_than_the_start_nothing_older_is_wanted() -> None:
    missing = missing_leases(CHAIN, {}, Start(TRIM_HORIZON, NOW_MS - 30 * HOUR_MS), NOW_MS)
    assert {lease.since_ms for lease in missing} == {BORN_MS}


def test_what_a_fresh_task_finds_is_wanted_from_an_hour_after_it_is_trimmed() -> None:
    """What is trimmed while the task begins is not; what is trimmed later is missing."""
    old = shard("old", age_ms=40 * HOUR_MS)
    assert [lease.since_ms for lease in missing_leases(listing(old), {}, Start(), NOW_MS)] == [NOW_MS - 23 * HOUR_MS]


def test_a_shard_whose_parent_nobody_has_seen_is_a_lost_lineage() -> None:
    begun = Lease(PARENT.id, SHARD_END, parent_ids=(GRANDPARENT.id,), since_ms=NOW_MS - 40 * HOUR_MS)
    orphan = shard("o", "unseen", age_ms=30 * HOUR_MS)
    assert lost_lineages(listing(orphan), rows(begun)) == [orphan.id]


def test_no_lineage_is_lost_that_was_there_before_the_task_or_is_known() -> None:
    begun = Lease(PARENT.id, SHARD_END, parent_ids=(GRANDPARENT.id,), since_ms=NOW_MS - 40 * HOUR_MS)
    earlier = shard("e", "unseen", age_ms=41 * HOUR_MS)
    assert lost_lineages(listing(earlier, SIBLING), rows(begun)) == []
    orphan = shard("o", "unseen", age_ms=30 * HOUR_MS)
    assert lost_lineages(listing(orphan), rows(begun, new_lease(orphan.id, (shard_id("unseen"),)))) == []
    started = Lease(shard_id("below"), "7", parent_ids=(orphan.id,))
    assert lost_lineages(listing(orphan), rows(begun, started)) == [], "completed: its child has gone on"
    java = Lease(PARENT.id, SHARD_END, parent_ids=(GRANDPARENT.id,))
    assert lost_lineages(listing(orphan), rows(java)) == [], "nobody knows since when"


@given(lineages(), st.lists(st.sampled_from(["no row", TRIM_HORIZON, "5", SHARD_END]), min_size=12, max_size=12))
def test_no_ancestor_of_a_started_shard_comes_back(shards: tuple[Shard, ...], states: list[str]) -> None:
    leases = rows(
        *(
            Lease(s.id, state, parent_ids=(s.parent_id,) if s.parent_id else ())
            for s, state in zip(shards, states, strict=False)
            if state != "no row"
        )
    )
    by_id = {s.id: s for s in shards}
    created = {lease.shard_id for lease in missing_leases(Listing(shards), leases, Start(), NOW_MS)}
    for lease in leases.values():
        assert lease.shard_id not in created
        at = by_id[lease.shard_id].parent_id if lease.started else None
        while at is not None:
            assert at not in created
            at = by_id[at].parent_id if at in by_id else None
    if not any(lease.started for lease in leases.values()):
        assert created == by_id.keys() - leases.keys()


DAYS = 3 * 24 * HOUR_MS


def test_a_finished_row_goes_when_neither_listing_has_its_shard_and_what_follows_was_begun() -> None:
    old = Lease(shard_id("old", DAYS), SHARD_END)
    middle = Lease(shard_id("middle", DAYS - 1), SHARD_END, parent_ids=(old.shard_id,))
    heir = Lease(shard_id("heir"), "7", parent_ids=(middle.shard_id,))
    found = listing(shard("heir", "middle"))
    assert removable(found, {heir.shard_id}, rows(old, middle, heir), NOW_MS) == [old, middle]
    assert removable(found, {old.shard_id}, rows(old, middle, heir), NOW_MS) == [middle], "it was listed just now"


@pytest.mark.parametrize(
    "kept",
    [
        Lease(shard_id("old", DAYS), "7"),
        Lease(shard_id("old", HOUR_MS), SHARD_END),
        Lease("shardId-without-time", SHARD_END),
    ],
)
def test_a_row_that_may_be_needed_stays(kept: Lease) -> None:
    assert removable(listing(shard("heir")), set(), rows(kept, Lease(shard_id("heir"), "7")), NOW_MS) == []


def test_a_row_stays_while_its_child_was_not_begun_or_has_no_row() -> None:
    old = Lease(shard_id("old", DAYS), SHARD_END)
    waiting = Lease(shard_id("heir"), TRIM_HORIZON, parent_ids=(old.shard_id,))
    assert removable(listing(shard("heir")), set(), rows(old, waiting), NOW_MS) == []
    child = Shard(shard_id("heir"), old.shard_id, "1")
    assert removable(listing(child), set(), rows(old), NOW_MS) == []
