"""What every lease table keeps: one row a shard, each change conditional, the end final."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import ConditionFailed
from dynamirror.model.lease import (
    SHARD_END,
    Lease,
    Terms,
    adopted,
    checkpoint,
    hand_over,
    new_lease,
    release,
    renew,
    take,
)
from dynamirror.model.lease_doubt import was_applied
from dynamirror.ports import LeaseStore

PARENT = "shardId-00000001699985600000-bbbbbbbb"
SHARD = "shardId-00000001700000000000-aaaaaaaa"
FRESH = new_lease(SHARD, (PARENT,))
ME, OTHER = Terms("me", 10_000, heartbeat=True), Terms("other", 9_000, heartbeat=False)


async def held(leases: LeaseStore) -> Lease:
    """A lease of mine, taken as usual."""
    assert await leases.create(FRESH)
    taking = take(FRESH, ME, 0)
    await leases.update(taking)
    return taking.after


async def test_an_empty_table(leases: LeaseStore) -> None:
    assert await leases.scan() == []
    assert await leases.get(SHARD) is None


@pytest.mark.parametrize(
    "lease",
    [
        FRESH,
        adopted(FRESH, ME),
        new_lease(SHARD, (), "LATEST"),
        replace(FRESH, start_at_ms=1_700_000_000_123),
        Lease(SHARD, "9" * 40, "worker", 2**63 - 1, 7, (PARENT,), OTHER),
        replace(adopted(FRESH, ME), unsettled=True),
    ],
)
async def test_what_is_created_is_found(leases: LeaseStore, lease: Lease) -> None:
    assert await leases.create(lease)
    assert await leases.get(SHARD) == lease
    assert await leases.scan(consistent=True) == [lease]


async def test_a_second_create_changes_nothing(leases: LeaseStore) -> None:
    lease = await held(leases)
    assert not await leases.create(FRESH)
    assert await leases.get(SHARD) == lease


async def test_the_life_of_a_lease(leases: LeaseStore) -> None:
    lease = await held(leases)
    for update in (
        renew(lease),
        checkpoint(renew(lease).after, "100000000000000000001"),
        release(checkpoint(renew(lease).after, "100000000000000000001").after),
    ):
        await leases.update(update)
        assert await leases.get(SHARD) == update.after
        assert was_applied(update, await leases.get(SHARD))
    row = await leases.get(SHARD)
    assert row == Lease(SHARD, "100000000000000000001", None, 4, 0, (PARENT,), clean_counter=4)


async def test_a_switch_of_owners_is_counted_until_the_next_checkpoint(leases: LeaseStore) -> None:
    lease = await held(leases)
    taking = take(lease, OTHER, 0)
    await leases.update(taking)
    row = await leases.get(SHARD)
    assert row is not None
    assert (row.owner, row.owner_switches, row.terms) == ("other", 1, OTHER)
    await leases.update(checkpoint(taking.after, SHARD_END))
    row = await leases.get(SHARD)
    assert row is not None
    assert row.owner_switches == 0


async def test_a_stale_counter_is_refused(leases: LeaseStore) -> None:
    lease = await held(leases)
    await leases.update(renew(lease))
    for update in (renew(lease), checkpoint(lease, "1"), release(lease), take(lease, OTHER, 0)):
        with pytest.raises(ConditionFailed):
            await leases.update(update)
    assert await leases.get(SHARD) == renew(lease).after


@pytest.mark.parametrize("owner", [None, "somebody"])
async def test_an_owner_that_is_not_as_seen_is_refused(leases: LeaseStore, owner: str | None) -> None:
    lease = await held(leases)
    for update in (renew(replace(lease, owner=owner)), take(replace(lease, owner=owner), OTHER, 0)):
        with pytest.raises(ConditionFailed):
            await leases.update(update)
    assert await leases.get(SHARD) == lease


async def test_an_owned_lease_is_not_free(leases: LeaseStore) -> None:
    await leases.create(adopted(FRESH, OTHER))
    with pytest.raises(ConditionFailed):
        await leases.update(take(replace(FRESH, counter=1), ME, 0))


async def test_a_finished_shard_is_final(leases: LeaseStore) -> None:
    """A writer that believes in an old position, with the right counter and owner all the same."""
    lease = await held(leases)
    await leases.update(checkpoint(lease, SHARD_END))
    zombie = replace(lease, counter=lease.counter + 1)
    with pytest.raises(ConditionFailed):
        await leases.update(checkpoint(zombie, "100000000000000000001"))
    row = await leases.get(SHARD)
    assert row is not None
    assert row.finished
    await leases.update(release(row))


async def test_only_a_finished_row_that_is_as_it_was_read_is_removed(leases: LeaseStore) -> None:
    lease = await held(leases)
    with pytest.raises(ConditionFailed):
        await leases.delete(lease)
    ending = checkpoint(lease, SHARD_END)
    await leases.update(ending)
    with pytest.raises(ConditionFailed):
        await leases.delete(lease)
    await leases.delete(ending.after)
    assert await leases.get(SHARD) is None
    with pytest.raises(ConditionFailed):
        await leases.delete(ending.after)


async def test_a_lease_is_handed_over_in_one_write_with_or_without_the_mark(leases: LeaseStore) -> None:
    lease = await held(leases)
    for to, clean in ((OTHER, True), (ME, False)):
        moving = hand_over(lease, to, clean)
        await leases.update(moving)
        lease = await leases.get(SHARD) or FRESH
        assert lease == moving.after
        assert (lease.owner, lease.terms_in_force, lease.handed_over) == (to.worker, to, clean)
        with pytest.raises(ConditionFailed):
            await leases.update(moving)
    await leases.update(renew(lease))
    assert not (await leases.get(SHARD) or FRESH).handed_over


async def test_no_update_creates_a_row(leases: LeaseStore) -> None:
    for update in (take(FRESH, ME, 0), renew(adopted(FRESH, ME)), checkpoint(FRESH, "1"), release(adopted(FRESH, ME))):
        with pytest.raises(ConditionFailed):
            await leases.update(update)
    assert await leases.scan() == []


async def test_of_two_takers_one_wins(leases: LeaseStore) -> None:
    await leases.create(FRESH)
    outcomes = await asyncio.gather(
        *(leases.update(take(FRESH, terms, 0)) for terms in (ME, OTHER)), return_exceptions=True
    )
    [winner] = [terms for terms, outcome in zip((ME, OTHER), outcomes, strict=True) if outcome is None]
    assert sum(isinstance(outcome, ConditionFailed) for outcome in outcomes) == 1
    row = await leases.get(SHARD)
    assert row is not None
    assert (row.owner, row.counter) == (winner.worker, 1)


async def test_an_update_leaves_alone_what_it_does_not_name(leases: LeaseStore) -> None:
    """`before` was read when the row had no terms yet: what the update does not change stays."""
    await leases.create(adopted(FRESH, ME))
    await leases.update(renew(replace(adopted(FRESH, ME), terms=None)))
    row = await leases.get(SHARD)
    assert row is not None
    assert (row.counter, row.terms) == (2, ME)
