"""Credentials of the lease table that expire: waited for, and not for ever."""

import asyncio

import pytest

from dynamirror.errors import CredentialsExpired, Side, Stop
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World

EXPIRED = Fault(CredentialsExpired(Side.STATE, "the security token is expired"))


def expire(worker: Worker, fault: Fault | None = EXPIRED) -> None:
    worker.lease_faults.fault = worker.state_faults.fault = fault


@pytest.mark.parametrize("state", [True, False], ids=["state table", "no state table"])
@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "at the start"])
def test_those_that_stay_expired_end_the_worker(state: bool, busy: bool, begun: bool) -> None:
    async def steps() -> None:
        world = World()
        worker = world.worker("w", state=state)
        if begun:
            worker.start()
            world.put("a")
            await world.until_equal()
            expire(worker)
        else:
            expire(worker)
            worker.start()
        if busy:
            world.put("b")
        since_s = world.now_s
        errors = await worker.ended(400)
        assert 300 < world.now_s - since_s < 330
        assert {type(error) for error in errors} == {Stop}
        assert {error.side for error in errors if isinstance(error, Stop)} == {Side.STATE}
        assert "they stayed expired for 300 s: renew them and start again" in str(errors[0])
        await world.end()

    run_virtual(steps())


@pytest.mark.parametrize("state", [True, False], ids=["state table", "no state table"])
def test_those_that_are_renewed_in_time_are_no_reason_to_stop(state: bool) -> None:
    async def steps() -> None:
        world = World()
        worker = world.worker("w", state=state).start()
        for value in range(4):
            world.put("a", value=value)
            await world.until_equal(60)
            expire(worker)
            await asyncio.sleep(200)
            expire(worker, None)
            # Its lease is found to be its own still, or is taken again.
            await asyncio.sleep(60)
        assert await worker.stop() < 5
        await world.end()

    run_virtual(steps())
