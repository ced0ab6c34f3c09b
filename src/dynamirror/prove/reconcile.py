"""The one healer for what no owner of a shard can know (R-10): late sends noticed after a freeze, and their like.

    1 wait until nothing that was sent before can still land: T + L after the time named with the item; for the duty
      of another worker, T + L after its claim has ended (model/duty)
    2 what lies before a gap is drained by then: whoever adds the items of a gap adds them afterwards
    3-6 prove/heal: compare, mend, until source and destination stand still

The duty is durable before anything else: a row of the state table, which any worker of the task finishes when this one
dies. Pending changes of the same item are never removed: they go their way, and in the end the newest one stands.
Safe beside the appliers, and beside other reconcilers of the same item.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from msgspec import Raw

from dynamirror.errors import Retry
from dynamirror.loops.leftovers import Leftovers
from dynamirror.loops.rows import each_row
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Write
from dynamirror.model.duty import Duty, duty_id
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.permit import NEVER
from dynamirror.prove.cases import Case, Cases
from dynamirror.prove.heal import REFUSED_AGAIN_S, Healer, Result
from dynamirror.prove.inherit import Heirs
from dynamirror.prove.tools import Claims, ReconcileTools

RETRY = Backoff(first_s=0.1, most_s=10.0)
# Where rows may not be removed.
REMOVE_AGAIN_S = 60.0
# The shortest sleep: a clock of another pace than the loop's must not make it spin.
PAUSE_S_MIN = 0.001

log = logging.getLogger("dynamirror.reconcile")


class Reconciler:
    """One for each worker. `add` and `add_writes` may be called at any time, before `run` and after it too."""

    def __init__(self, tools: ReconcileTools) -> None:
        self._tools = tools
        self._claims = tools.claims
        self._clock = tools.clock
        self._keys = ItemKeys(tools.codec)
        self._cases = Cases()
        self._leftovers = Leftovers(log, "rows of items that are settled (status goes on counting them)")
        self._healer = Healer(tools)
        self._added = 0
        # Items that no line has told yet, and when the last of them may be looked at.
        self._announced, self._announced_ready_s = 0, NEVER
        self._unwritten = asyncio.Event()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()

    def __repr__(self) -> str:
        return f"Reconciler(pending={self.pending})"

    @property
    def pending(self) -> int:
        """Items not settled yet."""
        return len(self._cases)

    @property
    def closing(self) -> int:
        """Items that are settled, and whose rows are still to be removed, where that is allowed."""
        return 0 if self._leftovers.kept else len(self._cases.closing())

    def is_under_way(self, key: ItemKey) -> bool:
        """Whether an item that was added is neither settled nor refused."""
        case = self._cases.find(key)
        return case is not None and not case.refused

    def refusal(self, key: ItemKey) -> str | None:
        """What a table said that refused an item at the last look; None: none did, or it is settled."""
        case = self._cases.find(key)
        return case.why if case is not None and case.refused else None

    def give_up(self, key: ItemKey) -> None:
        """An item that was refused, which something else remembers. Nothing of it is on its way: it was answered."""
        case = self._cases.find(key)
        if case is not None and case.refused and case.note is None:
            self._cases.close(case)
            self._settled.set()

    async def idle(self) -> bool:
        """No item of the task waits to be mended, by whichever worker, but for those that a table refuses. Raises
        Retry, Stop.

        Nor are those waited for that living workers behind this one by name have: two with an item each that is refused
        would wait for each other. Whoever remains inherits what the others leave.
        """
        if self._cases.under_way or self._claims is None:
            return not self._cases.under_way
        me = self._claims.worker
        kept = self._cases.closing_ids() if self._leftovers.kept else set()
        left = [row for row in await self._claims.state.duties() if row.id not in kept]
        left = [row for row in left if self.refusal(self._keys.of_item(row.key)) is None]
        if not left or min(row.worker for row in left) <= me:
            return not left
        living = await self._claims.state.beats()
        return all(row.worker in living for row in left)

    def add(self, keys: Iterable[bytes | Raw], since_s: float) -> None:
        """Reconcile these items, given as JSON maps with the key attributes in them (`Keys`, or whole images).

        `since_s`: boot time, not in the future, at which the last request was sent that may still land on them.
        An item that is pending already starts over. Nothing is awaited; `run` makes the duty durable first.
        """
        self._add([self._keys.of(key) for key in keys], since_s)

    def add_writes(self, writes: Iterable[Write], since_s: float) -> None:
        """Reconcile the items of these writes; as `add`."""
        self._add([self._keys.of_write(write) for write in writes], since_s)

    async def run(self) -> None:
        """Reconcile until cancelled. Raises (in a group) Stop."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._heal_loop())
                loops.create_task(self._row_loop(self._settled, self._remove_settled, "removing settled duties"))
                if self._claims is not None:
                    loops.create_task(self._row_loop(self._unwritten, self.flush, "noting duties in the state table"))
                    loops.create_task(self._inherit_loop(self._claims))
        finally:
            lost = len(self._cases.unwritten()) if self._claims is not None else self.pending
            if lost:
                log.error(
                    "%d items may be out of step and are not noted in the state table: verify the tables",
                    lost,
                    extra={"event": "duties_not_noted", "facts": {"items": lost}},
                )

    async def flush(self) -> None:
        """Make what was added so far durable; for an orderly stop, before `run` is cancelled. Raises Retry, Stop.

        Rows that are being written by `run` at the same time are written twice, to no harm.
        """
        await each_row(self._write_row, self._cases.unwritten(), self._clock)

    # --- step 1: durable, and not too early

    def _add(self, keys: list[ItemKey], since_s: float) -> None:
        ready_at_s = since_s + self._tools.settings.settle_s
        for key in keys:
            case = self._cases.find(key)
            if case is None:
                case = Case(key, ready_at_s)
                self._cases.open(case)
            case.again(ready_at_s)
            case.note = case.note or self._new_duty(key)
        self._announced += len(keys)
        self._announced_ready_s = max(self._announced_ready_s, ready_at_s)
        self._unwritten.set()
        self._changed.set()

    def _announce(self) -> None:
        """One line for all that was added in one go."""
        added, ready_at_s = self._announced, self._announced_ready_s
        self._announced, self._announced_ready_s = 0, NEVER
        if not added:
            return
        wait_s = round(ready_at_s - self._clock.boottime_s())
        when = f", once nothing sent before can still land ({wait_s} s)" if wait_s > 0 else " now"
        mishap = "" if self._claims else ". There is no state table: should this worker die before, verify the tables"
        log.warning(
            "%d items may be out of step: they are compared with the source, and mended%s%s",
            added,
            when,
            mishap,
            extra={"event": "reconcile_planned", "facts": {"items": added}},
        )

    def _new_duty(self, key: ItemKey) -> Duty | None:
        if self._claims is None:
            return None
        self._added += 1
        worker = self._claims.worker
        return Duty(duty_id(key.key, worker, self._added), key.attributes, worker)

    async def _write_row(self, case: Case) -> None:
        duty, version = case.note, case.version
        if self._claims is None or duty is None:
            return
        await self._claims.state.put_duty(duty)
        if case.note is not duty:
            # Written by another caller at the same time.
            return
        case.duties.append(duty)
        case.note = None if case.version == version else self._new_duty(case.key)
        self._changed.set()

    # --- steps 3 to 6, over and over

    async def _heal_loop(self) -> None:
        while True:
            self._changed.clear()
            self._announce()
            now_s = self._clock.boottime_s()
            due = self._cases.due(now_s, self._healer.cases_max)
            if due:
                await self._heal(due)
                continue
            next_at_s = self._cases.next_at_s()
            pause_s = None if next_at_s is None else max(PAUSE_S_MIN, next_at_s - now_s)
            waiting = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait([waiting], timeout=pause_s)
            finally:
                waiting.cancel()

    async def _heal(self, due: list[Case]) -> None:
        versions = {case: case.version for case in due}
        for case, result in (await self._healer.look(due)).items():
            if case.version != versions[case]:
                # It starts over, at the time that was put down then.
                continue
            if result is Result.SETTLED:
                self._tools.metrics.count("reconciled_items")
                self._cases.close(case)
                self._settled.set()
            elif result is Result.LOST:
                self._cases.drop(case)
            elif result is not Result.DOUBT:
                self._put_off(case, result)

    def _put_off(self, case: Case, result: Result) -> None:
        delay_s = RETRY.delay_s(case.attempts, self._tools.random) if case.attempts or result is Result.AGAIN else 0.0
        case.attempts += 1
        case.refused = result is Result.REFUSED
        case.not_before(self._clock.boottime_s() + (REFUSED_AGAIN_S if result is Result.REFUSED else delay_s))

    async def _remove_settled(self) -> None:
        """May be repeated: a row that is gone, or another's, is left as it is."""
        if not await self._leftovers.removed(partial(each_row, self._close, self._cases.closing(), self._clock)):
            await self._clock.sleep(REMOVE_AGAIN_S)
            self._settled.set()

    async def _close(self, case: Case) -> None:
        if self._claims is not None:
            for duty in case.duties:
                await self._claims.state.remove_duty(duty)
        self._cases.closed(case)

    # --- rows

    async def _row_loop(self, wake: asyncio.Event, step: Callable[[], Awaitable[None]], doing: str) -> None:
        attempt = 0
        while True:
            await wake.wait()
            wake.clear()
            try:
                await step()
                attempt = 0
            except Retry as error:
                wake.set()
                self._report(doing, error)
                await self._clock.sleep(RETRY.delay_s(attempt, self._tools.random))
                attempt += 1

    async def _inherit_loop(self, claims: Claims) -> None:
        heirs = Heirs(claims, self._cases, self._keys, self._clock, self._tools.settings.settle_s)
        attempt = 0
        while True:
            try:
                pause_s = await heirs.look()
                attempt = 0
            except Retry as error:
                self._report("looking for duties of other workers", error)
                pause_s = RETRY.delay_s(attempt, self._tools.random)
                attempt += 1
            self._changed.set()
            await self._clock.sleep(pause_s)

    def _report(self, doing: str, error: Retry) -> None:
        log.warning("%s: %s; trying again", doing, error, extra={"event": "duties_retry", "facts": {"doing": doing}})
