"""How a worker hands a lease to another one that asks for it (P-24): drain, save, one conditional write of the row.

The asker names the shards in its heartbeat row, not in the lease row: that costs no write, dies with it, and a Java
worker that takes the row in between leaves nothing behind.

    1 the asker's heartbeat names the shard; its owner reads that within a second
    2 the owner stops reading, waits for what is on its way, saves the checkpoint, sends nothing any more
    3 it looks again whether the asker still lives and asks
    4 one write: the asker is owner; with the clean mark if nothing may still land (R-7, C-3, C-4)
    5 the asker finds its name in the row, and begins; without the mark as after a crash

Where 4 is not done, or nobody knows whether it was, the owner first moves the counter, so that a late one is refused,
and then goes on by itself.
"""

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass

from dynamirror.errors import LeaseLost, Retry
from dynamirror.fleet.attempts import persist, report
from dynamirror.fleet.outlook import Outlook
from dynamirror.fleet.stop import DRAIN_S
from dynamirror.fleet.tenure import Tenure
from dynamirror.model.balance import gives, loads
from dynamirror.model.lease import Predecessor, Taken, Terms
from dynamirror.ports import Clock
from dynamirror.state_ports import StateStore

AT_ONCE_MAX = 20

log = logging.getLogger("dynamirror.leases")


@dataclass(frozen=True, slots=True)
class GiverTools:
    """What handing over is given. `start` begins a tenure of this worker; `forgotten` is told of each that ended."""

    state: StateStore
    outlook: Outlook
    clock: Clock
    random: Callable[[], float]
    me: str
    start: Callable[[Taken], None]
    forgotten: Callable[[], None]


class Giver:
    """`consider` after each look at the others; `run` until cancelled."""

    def __init__(self, tools: GiverTools, tenures: MutableMapping[str, Tenure]) -> None:
        """`tenures`: what is held, by shard."""
        self._tools = tools
        self._tenures = tenures
        self._queue: asyncio.Queue[tuple[Tenure, Terms]] = asyncio.Queue()

    def consider(self) -> bool:
        """Put down what is given to those who ask; whether anybody asks. Nothing that another owner's late writes may
        still land on."""
        outlook = self._tools.outlook
        asking = {name for name, row in outlook.workers.items() if row.wants} - {self._tools.me}
        if not asking:
            return False
        fleet = outlook.fleet()
        # The row of one that died asking stays for a while.
        wants = {name: outlook.workers[name].wants for name in asking & fleet.askable}
        if not wants:
            return False
        held = {shard_id for shard_id, tenure in self._tenures.items() if tenure.may_leave}
        load = loads(outlook.rows, fleet)
        load[self._tools.me] = sum(not t.leaving and not t.held.lease.finished for t in self._tenures.values())
        for shard_id, asker in gives(load, self._tools.me, wants, held).items():
            tenure = self._tenures[shard_id]
            tenure.leaving = True
            self._queue.put_nowait((tenure, Terms(asker, outlook.workers[asker].lease_ms or 0, heartbeat=True)))
        return True

    async def run(self) -> None:
        """Hand over, a few at a time. Raises (in a group) Stop."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE_MAX):
                group.create_task(self._one_by_one())

    async def _one_by_one(self) -> None:
        while True:
            tenure, to = await self._queue.get()
            if self._tenures.get(tenure.shard_id) is tenure:
                await self._hand_over(tenure, to)

    async def _hand_over(self, tenure: Tenure, to: Terms) -> None:
        await tenure.halt()
        if self._tenures.get(tenure.shard_id) is not tenure:
            # It was read to its end, or lost, meanwhile.
            return
        with suppress(TimeoutError, Retry, LeaseLost):
            await asyncio.wait_for(tenure.finish(), DRAIN_S)
        tenure.drop()
        left_by = Predecessor.NOBODY if tenure.settled else Predecessor.DYNAMIRROR
        try:
            wanted = not tenure.held.lease.finished and await self._still_wants(to.worker, tenure.shard_id)
            if wanted and await tenure.hand_over(to, clean=left_by is Predecessor.NOBODY):
                self._forget(tenure)
                log.info(
                    "lease of %s handed over to %s at %s",
                    tenure.shard_id,
                    to.worker,
                    tenure.held.lease.checkpoint,
                    extra={
                        "event": "lease_handed_over",
                        "facts": {"shard": tenure.shard_id, "to": to.worker, "clean": left_by is Predecessor.NOBODY},
                    },
                )
                return
        except LeaseLost:
            self._forget(tenure)
            return
        except Retry as error:
            report(f"handing over the lease of {tenure.shard_id}", error)
        await self._keep(tenure, left_by)

    async def _keep(self, tenure: Tenure, left_by: Predecessor) -> None:
        """Go on here; of a shard that is finished with its children."""
        try:
            doing = f"keeping the lease of {tenure.shard_id}"
            await persist(doing, tenure.renew, self._tools.clock, self._tools.random)
        except LeaseLost:
            self._forget(tenure)
            return
        self._forget(tenure)
        self._tools.start(Taken(tenure.held.lease, left_by, tenure.held.written_at_s))

    async def _still_wants(self, worker: str, shard_id: str) -> bool:
        row = (await self._tools.state.workers()).get(worker)
        return row is not None and shard_id in row.wants

    def _forget(self, tenure: Tenure) -> None:
        self._tenures.pop(tenure.shard_id, None)
        self._tools.forgotten()
