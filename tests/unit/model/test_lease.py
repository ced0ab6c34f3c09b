"""Every change of a lease row, and the one question after a lost answer: was it applied?"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.errors import Refused
from dynamirror.model import lease as decide
from dynamirror.model.beginning import read_from
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease, Terms, Update, new_lease
from dynamirror.model.lease_doubt import was_applied, written_by_owner

ME = Terms("me", 10_000, heartbeat=True)
ROW = Lease("shard-1", "100", owner="me", counter=7, owner_switches=2, parent_ids=("shard-0",), terms=ME)

positions = st.one_of(
    st.sampled_from([TRIM_HORIZON, LATEST, SHARD_END]), st.integers(0, 10**40).map(str), st.integers(0, 99).map(str)
)


def test_a_new_row_is_what_kcl_creates() -> None:
    assert new_lease("s", ("p",)) == Lease("s", TRIM_HORIZON, None, 0, 0, ("p",), None, None)
    mine = decide.adopted(new_lease("s", ("p",)), ME)
    assert (mine.owner, mine.counter, mine.terms, mine.owner_switches) == ("me", 1, ME, 0)


@pytest.mark.parametrize("owner,switches", [(None, 2), ("me", 2), ("other", 3)])
def test_a_take_counts_the_switch_only_from_another_owner(owner: str | None, switches: int) -> None:
    row = replace(ROW, owner=owner)
    update = decide.take(row, ME, 0)
    assert update.before == row
    # Nobody knows who had it: by the row it was neither released in order nor one of ours.
    unsettled = owner != "me"
    after = replace(row, owner="me", counter=8, owner_switches=switches, terms=ME, unsettled=unsettled)
    assert update.after == after
    assert not update.unless_finished


@pytest.mark.parametrize(
    "row,left_by",
    [
        (new_lease("s", ()), decide.Predecessor.NOBODY),
        (decide.release(ROW).after, decide.Predecessor.NOBODY),
        (ROW, decide.Predecessor.DYNAMIRROR),
        (replace(ROW, owner="java"), decide.Predecessor.UNKNOWN),
        # G-1: the mark of an earlier release, kept by a KCL worker that took the row and has gone since.
        (replace(decide.release(ROW).after, counter=9), decide.Predecessor.UNKNOWN),
        (replace(decide.release(ROW).after, counter=9, owner="java"), decide.Predecessor.UNKNOWN),
        (replace(ROW, owner=None), decide.Predecessor.UNKNOWN),
    ],
)
def test_who_may_have_left_writes_on_their_way(row: Lease, left_by: decide.Predecessor) -> None:
    assert decide.predecessor(row) is left_by
    assert decide.take(row, ME, 0).after.clean_counter is None


def test_behind_a_noted_gap_whatever_is_left_is_read() -> None:
    row = decide.pass_gap(replace(ROW, checkpoint="700", since_ms=5), 9_000).after
    assert (row.checkpoint, row.counter, row.unread_since_ms) == ("700", 8, 9_000)
    assert read_from(row, at_latest=False) == TRIM_HORIZON
    assert decide.renew(row, 9_000 + decide.SINCE_STEP_MS).after.unread_since_ms == 9_000 + decide.SINCE_STEP_MS
    assert decide.take(decide.release(row).after, ME, 0).after.behind_gap
    # A Java worker may have read what came since, and been away since.
    by_java = decide.take(replace(row, owner="java"), ME, 0).after
    assert read_from(by_java, at_latest=False) == "700"
    # What it has applied is not read again.
    on = replace(row, checkpoint="800")
    assert (read_from(on, at_latest=False), on.unread_since_ms) == ("800", None)
    assert not decide.checkpoint(row, "800").after.behind_gap


def test_renewing_moves_the_counter_only() -> None:
    assert decide.renew(ROW) == Update(ROW, replace(ROW, counter=8))


def test_a_release_leaves_no_owner_and_no_terms() -> None:
    assert decide.release(ROW) == Update(ROW, replace(ROW, owner=None, counter=8, terms=None, clean_counter=8))


def test_a_checkpoint_resets_the_switches_and_never_reopens_a_finished_shard() -> None:
    update = decide.checkpoint(ROW, "101")
    assert update.after == replace(ROW, counter=8, checkpoint="101", owner_switches=0)
    assert update.unless_finished


@pytest.mark.parametrize("skipped_all,start", [(True, 5), (False, None)])
def test_the_first_wanted_change_ends_the_permission_to_skip(skipped_all: bool, start: int | None) -> None:
    row = replace(ROW, checkpoint=TRIM_HORIZON, start_at_ms=5)
    assert decide.checkpoint(row, SHARD_END, skipped_all).after.start_at_ms == start


@given(positions, positions)
def test_a_checkpoint_never_goes_back(old: str, new: str) -> None:
    order = {TRIM_HORIZON: -2, LATEST: -1, SHARD_END: 10**50}
    forward = order.get(new, -9) if new in order else int(new)
    back = order.get(old, -9) if old in order else int(old)
    assert decide.may_advance(old, new) is (forward >= back)
    row = replace(ROW, checkpoint=old)
    if forward >= back:
        assert decide.checkpoint(row, new).after.checkpoint == new
    else:
        with pytest.raises(Refused, match="may not go from"):
            decide.checkpoint(row, new)


@pytest.mark.parametrize(
    "checkpoint,started,finished",
    [(TRIM_HORIZON, False, False), (LATEST, False, False), ("0", True, False), (SHARD_END, True, True)],
)
def test_what_a_checkpoint_says(checkpoint: str, started: bool, finished: bool) -> None:
    row = replace(ROW, checkpoint=checkpoint)
    assert (row.started, row.finished) == (started, finished)


@pytest.mark.parametrize("owner,valid", [("me", True), ("java", False), (None, False)])
def test_terms_hold_only_for_the_owner_they_name(owner: str | None, valid: bool) -> None:
    assert replace(ROW, owner=owner).terms_in_force == (ME if valid else None)


UPDATES = [decide.renew(ROW), decide.checkpoint(ROW, "200"), decide.checkpoint(ROW, SHARD_END), decide.release(ROW)]


@pytest.mark.parametrize("update", [*UPDATES, decide.take(replace(ROW, owner="dead"), ME, 0)])
def test_an_applied_update_is_recognised_by_the_row(update: Update) -> None:
    assert was_applied(update, update.after)
    assert not was_applied(update, update.before)
    assert not was_applied(update, None)
    assert not was_applied(update, replace(update.after, owner="other"))
    assert not was_applied(update, replace(update.after, counter=update.after.counter + 1))


@pytest.mark.parametrize("sent", UPDATES[:3])
@pytest.mark.parametrize("landed", UPDATES[:3])
def test_an_update_is_not_taken_for_another_one_of_the_same_owner(sent: Update, landed: Update) -> None:
    same = sent.after.checkpoint == landed.after.checkpoint
    assert was_applied(sent, landed.after) is same
    assert written_by_owner(sent.before, landed.after)


@pytest.mark.parametrize(
    "other",
    [
        None,
        ROW,
        decide.take(ROW, Terms("other", 1, heartbeat=False), 0).after,
        decide.release(ROW).after,
        decide.renew(decide.renew(ROW).after).after,
    ],
)
def test_one_step_of_anyone_else_is_not_the_owners(other: Lease | None) -> None:
    assert not written_by_owner(ROW, other)
