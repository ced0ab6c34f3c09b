"""When a drain is exact, and what forbids a cut-over."""

from dataclasses import replace

import pytest

from dynamirror.model.copy import Copy, Phase
from dynamirror.model.cutover import View, copy_against, left_to_drain, shard_ends
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease
from dynamirror.model.shard_graph import Listing, Shard

NOW_MS = 1_700_000_000_000
PARENT, CHILD = f"shardId-{NOW_MS - 9_000:020d}-a", f"shardId-{NOW_MS - 5_000:020d}-b"
SHARDS = (Shard(PARENT, None, "100", "199"), Shard(CHILD, PARENT, "200", "299"))
ROWS = {PARENT: Lease(PARENT, SHARD_END, "w", 9), CHILD: Lease(CHILD, SHARD_END, "w", 9, parent_ids=(PARENT,))}
DRAINED = View(Listing(SHARDS, enabled=False), ROWS)


def left(view: View, duties: int = 0) -> str:
    return ", ".join(left_to_drain(view, duties, NOW_MS))


def test_a_closed_stream_whose_leases_are_all_at_their_end_is_drained() -> None:
    assert left(DRAINED) == ""


@pytest.mark.parametrize("checkpoint", [TRIM_HORIZON, "299", "250"])
def test_a_lease_short_of_its_end_is_left_also_behind_the_last_number(checkpoint: str) -> None:
    rows = {**ROWS, CHILD: replace(ROWS[CHILD], checkpoint=checkpoint)}
    assert left(replace(DRAINED, leases=rows)) == f"1 shard not applied to its end ({CHILD})"


def test_each_sign_of_something_left_is_told() -> None:
    assert "still on" in left(View(Listing(SHARDS, enabled=True), ROWS))
    closing = Listing((SHARDS[0], replace(SHARDS[1], last_sequence=None)), enabled=False)
    assert left(View(closing, ROWS)) == f"1 shard open ({CHILD})"
    assert "cannot be read" in left(replace(DRAINED, unreadable=(CHILD,)))
    assert left(DRAINED, duties=2).startswith("2 items wait to be reconciled")
    assert left(replace(DRAINED, leases={PARENT: ROWS[PARENT]})) == f"1 shard without a lease ({CHILD})"


def test_a_child_whose_young_parent_is_not_listed_proves_nothing() -> None:
    assert "which is not listed" in left(View(Listing(SHARDS[1:], enabled=False), {CHILD: ROWS[CHILD]}))


def test_a_row_that_was_cleaned_up_below_a_finished_child_is_no_lack() -> None:
    view = replace(DRAINED, leases={CHILD: ROWS[CHILD]})
    assert left(view) == ""
    assert [end.checkpoint for end in shard_ends(view)] == [None, SHARD_END]


def test_an_unfinished_lease_of_a_shard_that_is_no_longer_listed_counts() -> None:
    lost = Lease("shardId-old", "5", "w", 3)
    assert "not applied to its end (shardId-old)" in left(replace(DRAINED, leases={**ROWS, "shardId-old": lost}))


@pytest.mark.parametrize("phase", [Phase.ANNOUNCED, Phase.COPYING, Phase.DONE])
def test_a_copy_that_goes_on_forbids_it(phase: Phase) -> None:
    assert f"({phase.value})" in str(copy_against(Copy(phase, 4, 0, True), whole_verify=True))


def test_a_doubtful_copy_wants_the_whole_tables_compared() -> None:
    doubtful = Copy(Phase.OVER, 4, 0, True, needs_verify=True)
    assert "--verify full" in str(copy_against(doubtful, whole_verify=False))
    assert copy_against(doubtful, whole_verify=True) is None
    assert copy_against(Copy(Phase.OVER, 4, 0, True), whole_verify=False) is None
    assert copy_against(None, whole_verify=False) is None
