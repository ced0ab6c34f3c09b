"""Random runs: an application, an applier, strays, lost answers and crashes around reconcilers; at rest all is equal.

Each mutant takes one step of the rule away and must be caught within a few hundred runs: else the model proves nothing.
What the durable duty makes good again (the order of the readings, the proof of a claim) has tests beside this.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamirror.errors import Side
from dynamirror.prove.cases import Case
from dynamirror.prove.heal import Healer, Result
from dynamirror.prove.inherit import Heirs
from dynamirror.testing.faults import Fault, Faults, SeededFaults
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.prove.world import SETTINGS, SILENCE_S, Worker, World, lost

SETTLE_S = SETTINGS.settle_s
KEYS = "abcdef"
VALUES = (None, "A", "B")
TROUBLE_S = 60.0
# Long enough for the last heir twice over: a look, silence, settling, back-off.
REST_S = 200.0
CHUNK = 500


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("dynamirror.reconcile")
    log.disabled = True
    yield
    log.disabled = False


class Run:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World()
        self.share = self.draw.choice([0.0, 0.05, 0.2])
        self.workers: list[Worker] = []

    async def play(self) -> list[str]:
        """What is wrong at rest."""
        self.start()
        self.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.mortality())
            group.create_task(self.freezes())
            for key in KEYS:
                group.create_task(self.item(key))
        await self.rest()
        wrong = [f"{key} differs" for key in self.world.differences()]
        wrong += [f"{worker.name} has {worker.reconciler.pending} pending" for worker in self.living()]
        wrong = [line for line in wrong if " 0 pending" not in line]
        wrong += [f"the duty {duty.id} is left" for duty in await self.world.state.duties()]
        return wrong

    async def rest(self) -> None:
        """Until nobody has anything to do, and nothing that was on its way (a row, too) has changed that."""
        until_s, quiet_s = asyncio.get_running_loop().time() + REST_S, 0.0
        while asyncio.get_running_loop().time() < until_s and quiet_s < SETTLE_S:
            await asyncio.sleep(1.0)
            busy = any(worker.reconciler.pending for worker in self.living()) or await self.world.state.duties()
            quiet_s = 0.0 if busy else quiet_s + 1.0

    def start(self) -> None:
        worker = Worker(
            self.world,
            f"w{len(self.workers)}",
            boot_s=self.draw.uniform(0, 1000),
            landing_s=lambda: self.draw.choice([None, self.draw.uniform(0, SETTLE_S - 0.1)]),
        )
        worker.source_faults.always = self.faults(Side.SOURCE)
        worker.destination_faults.always = self.faults(Side.DESTINATION)
        worker.state_faults.always = self.faults(Side.STATE)
        self.workers.append(worker.start())

    def faults(self, side: Side) -> Faults:
        seeded = SeededFaults(self.draw.random, self.share, side, SETTINGS.stray_life_s)

        def until_rest(operation: str) -> Fault | None:
            trouble = asyncio.get_running_loop().time() < TROUBLE_S
            fault = seeded(operation) if trouble else None
            if trouble and operation in ("PutItem", "DeleteItem") and side is Side.DESTINATION:
                fault = self.slow_or_lost() if self.draw.random() < 0.4 else fault
            # An attempt takes T at most.
            return fault if fault is None or fault.delay_s <= SETTINGS.attempt_timeout_s else Fault(delay_s=0.9)

        return until_rest

    def slow_or_lost(self) -> Fault:
        slow = Fault(delay_s=self.draw.uniform(0, SETTINGS.attempt_timeout_s - 0.1))
        return self.draw.choice([slow, lost(self.draw.uniform(0, SETTINGS.stray_life_s - 0.1))])

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.task is not None and not worker.task.cancelling()]

    async def item(self, key: str) -> None:
        """The life of one item, busiest when it is being reconciled; few values, so that they repeat."""
        self.world.change(key, self.draw.choice(VALUES))
        await asyncio.sleep(self.draw.uniform(0, TROUBLE_S / 2))
        for _ in range(self.draw.choice([1, 1, 2])):
            await self.late_send(key)
            await asyncio.sleep(self.draw.uniform(0, SETTLE_S))
        for _ in range(self.draw.choice([0, 1, 3, 8])):
            await asyncio.sleep(self.draw.choice([0.01, 0.2, 2.0]) * self.draw.random())
            self.world.change(key, self.draw.choice(VALUES), self.draw.choice([0.0, 0.05, 2.0]) * self.draw.random())

    async def late_send(self, key: str) -> None:
        """An older image is on its way, and one worker notices, at once or later; then nothing may hide it for long."""
        landing_s = self.draw.uniform(0, SETTLE_S - 0.1)
        asyncio.get_running_loop().call_later(landing_s, self.world.set_destination, key, self.draw.choice(VALUES))
        ago_s = self.draw.choice([0.0, self.draw.uniform(0, landing_s)])
        await asyncio.sleep(ago_s)
        self.draw.choice(self.living()).add(key, ago_s=ago_s)

    async def mortality(self) -> None:
        for _ in range(self.draw.choice([0, 1, 2])):
            await asyncio.sleep(self.draw.uniform(0, TROUBLE_S / 2))
            await self.end(self.draw.choice(self.living()))

    async def end(self, worker: Worker) -> None:
        """A worker dies, and another comes. What dies before it has noted its duty leaves nothing behind: that is
        another matter."""
        for _ in range(10_000):
            if not worker.reconciler._cases.unwritten():
                break
            await asyncio.sleep(0.01)
        worker.kill()
        self.start()

    async def freezes(self) -> None:
        """Longer than a claim lasts, often; and some die soon after."""
        for _ in range(self.draw.choice([0, 1, 2])):
            await asyncio.sleep(self.draw.uniform(0, TROUBLE_S / 2))
            frozen, for_s = self.draw.choice(self.living()), self.draw.uniform(SILENCE_S / 2, 4 * SILENCE_S)
            frozen.process.freeze(for_s)
            await asyncio.sleep(for_s)
            if self.draw.random() < 0.3:
                await asyncio.sleep(self.draw.random() * 0.3)
                await self.end(frozen)


def wrong_at_rest(seed: int) -> list[str]:
    return run_virtual(Run(seed).play())


@pytest.mark.parametrize("chunk", range(4))
def test_at_rest_there_is_no_difference_and_no_duty(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        assert not wrong_at_rest(seed), f"seed {seed}"


# --- mutants


def no_wait_at_first(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Case, ready_at_s: float) -> None:
        self.ready_at_s, self.version = 0.0, self.version + 1

    patch.setattr(Case, "again", at_once)


def no_wait_after_an_unanswered_write(patch: pytest.MonkeyPatch) -> None:
    original = Healer._replace

    async def hasty(self: Healer, case: Case, *items: Any) -> Result:
        ready_at_s = case.ready_at_s
        result = await original(self, case, *items)
        case.ready_at_s = ready_at_s
        return Result.AGAIN if result is Result.DOUBT else result

    patch.setattr(Healer, "_replace", hasty)


def no_second_reading(patch: pytest.MonkeyPatch) -> None:
    async def trusting(self: Healer, mended: list[Case], written: object) -> dict[Case, Result]:
        return dict.fromkeys(mended, Result.SETTLED)

    patch.setattr(Healer, "_confirmed", trusting)


def an_heir_in_a_hurry(patch: pytest.MonkeyPatch) -> None:
    original = Heirs.__init__

    def hasty(self: Heirs, claims: Any, cases: Any, keys: Any, clock: Any, settle_s: float) -> None:
        original(self, claims, cases, keys, clock, -SILENCE_S)
        self._watch._silence_s = 0.0

    patch.setattr(Heirs, "__init__", hasty)


def added_again_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Case, "again", lambda self, ready_at_s: None)


def unprocessed_is_absent(patch: pytest.MonkeyPatch) -> None:
    original = Healer._read

    async def forgetful(self: Healer, cases: Any) -> Any:
        there, here = await original(self, cases)
        return type(there)(there.items), type(here)(here.items)

    patch.setattr(Healer, "_read", forgetful)


MUTANTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    no_wait_at_first,
    no_wait_after_an_unanswered_write,
    no_second_reading,
    an_heir_in_a_hurry,
    added_again_is_ignored,
    unprocessed_is_absent,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_each_mutant_is_caught(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert any(wrong_at_rest(seed) for seed in range(CHUNK)), f"survived {CHUNK} runs"
