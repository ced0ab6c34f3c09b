"""The row of a verify: gone on with after a kill, and never written by two."""

import asyncio
from dataclasses import dataclass

import pytest

from dynamirror.errors import ConditionFailed, Side, Stop, Unanswered
from dynamirror.model.verify import Tally, VerifyRun
from dynamirror.prove.ledger import Ledger
from dynamirror.prove.run_keeper import RunKeeper
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

WANTED = VerifyRun("mine", "words", 4)


@dataclass
class Rows:
    """`state_ports.VerifyStore`."""

    row: VerifyRun | None = None
    # So many answers are lost, after the row was written.
    lost: int = 0

    async def run(self) -> VerifyRun | None:
        return self.row

    async def put_run(self, run: VerifyRun, before: VerifyRun | None) -> None:
        if self.row != before:
            raise ConditionFailed("another row")
        self.row = run
        if self.lost:
            self.lost -= 1
            raise Unanswered(Side.STATE, "the answer is lost")


def keeper(rows: Rows) -> RunKeeper:
    return RunKeeper(rows, VirtualClock(), lambda: 0.5)


def test_a_run_that_was_ended_is_gone_on_with() -> None:
    rows = Rows()

    async def first() -> None:
        mine = keeper(rows)
        ledger = Ledger(await mine.begin(WANTED))
        saving = asyncio.create_task(mine.run(ledger))
        ledger.begin(2)
        ledger.items(2, Side.SOURCE, 7)
        await asyncio.sleep(5)
        assert rows.row is not None
        assert rows.row.done == 0, "a segment counts when it is done"
        ledger.read(2)
        await asyncio.sleep(5)
        saving.cancel()

    async def second() -> VerifyRun:
        return await keeper(rows).begin(VerifyRun("another", "words", 9))

    run_virtual(first())
    again = run_virtual(second())
    assert (again.id, again.left(), again.tally) == ("mine", [0, 1, 3], Tally(source_items=7))
    assert again.spent_s in (5, 6)


@pytest.mark.parametrize("row", [VerifyRun("old", "words", 4, over=True), VerifyRun("old", "other words", 4)])
def test_one_that_is_over_or_is_another_is_not(row: VerifyRun) -> None:
    rows = Rows(row)
    assert run_virtual(keeper(rows).begin(WANTED)).id == "mine"
    assert rows.row is not None
    assert rows.row.id == "mine"


def test_a_lost_answer_is_no_other_verify() -> None:
    rows = Rows()

    async def body() -> None:
        mine = keeper(rows)
        ledger = Ledger(await mine.begin(WANTED))
        saving = asyncio.create_task(mine.run(ledger))
        rows.lost = 1
        ledger.begin(0)
        ledger.read(0)
        await asyncio.sleep(10)
        saving.cancel()
        await mine.end(ledger, over=True)

    run_virtual(body())
    assert rows.row is not None
    assert (rows.row.done, rows.row.over) == (1, True)


def test_of_two_the_first_ends() -> None:
    rows = Rows()

    async def body() -> None:
        mine = keeper(rows)
        ledger = Ledger(await mine.begin(WANTED))
        other = await keeper(rows).begin(WANTED)
        assert other.id == "mine"
        ledger.begin(0)
        ledger.read(0)
        with pytest.raises(Stop, match="another verify"):
            await mine.run(ledger)

    run_virtual(body())
