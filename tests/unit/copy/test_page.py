"""A page of the copy on its way: written whole or up to a place, and never sent after its life (R-4)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from msgspec import Raw

from dynamirror.copy.page import BATCH_BYTES_MAX, BATCH_WRITES_MAX, PageLife, PageOutcome, PageSender
from dynamirror.errors import ItemRefused, Side, Stop
from dynamirror.model.change import Write
from dynamirror.model.diff import Item
from dynamirror.model.parked import version_of
from dynamirror.ports import ScanPage
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, LIFE_S, THROTTLED, WRITE, Worker, World, end_of, item, lost, now_s

# Nothing that was given up by then was sent so late that the hold does not cover it.
NOTICED_S = LIFE_S + WRITE.margin_s


def page_of(*items: Item) -> ScanPage:
    encoded = [Raw(msgspec.json.encode(each)) for each in items]
    return ScanPage(encoded, b"", sum(map(len, encoded)))


def small(number: int) -> ScanPage:
    return page_of(*(item(f"k{place:04}") for place in range(number)))


def life_of(worker: Worker) -> PageLife:
    return PageLife(worker.clock.boottime_s, worker.clock.wall_s, LIFE_S)


async def send(worker: Worker, page: ScanPage) -> PageOutcome:
    return await PageSender(worker.tools).send(page, life_of(worker))


@pytest.mark.parametrize("number", [0, 1, 25, 26, 1000])
def test_a_page_is_written_whole_and_each_item_once(number: int) -> None:
    async def steps() -> None:
        worker = Worker(World())
        outcome = await send(worker, small(number))
        assert outcome.durable == [True] * number
        assert outcome.prefix == number
        assert not outcome.late
        assert len(worker.world.destination) == len(worker.world.applied) == number
        assert all(len(keys) <= BATCH_WRITES_MAX for _, keys, _ in worker.destination.batches)
        assert len(worker.destination.batches) == -(-number // BATCH_WRITES_MAX)

    run_virtual(steps())


def test_items_go_out_as_they_came() -> None:
    async def steps() -> None:
        worker = Worker(World())
        requests: list[bytes] = []
        original = worker.destination.write

        async def write(writes: Sequence[Write]) -> Sequence[Write]:
            requests.extend(write.request for write in writes)
            return await original(writes)

        worker.destination.write = write  # type: ignore[method-assign]
        odd = b'{ "n":{"N":"1.00E0"}, "id":{"S":"\\u0041"},"s":{"SS":["b","a"]} }'
        outcome = await send(worker, ScanPage([Raw(odd)], b"", 1))
        assert outcome.prefix == 1
        assert requests == [b'{"PutRequest":{"Item":' + odd + b"}}"]

    run_virtual(steps())


def test_a_batch_of_large_items_is_no_larger_than_the_network_bears() -> None:
    async def steps() -> None:
        worker = Worker(World())
        # 400 KB of bytes are 533 KB as JSON.
        large = [{**item(f"k{place:02}"), "b": {"B": "A" * 533_000}} for place in range(30)]
        # Each character is six in JSON, so that one item alone is almost half a batch.
        escaped = {**item("escaped"), "s": {"S": "\u0001" * 399_000}}
        outcome = await send(worker, page_of(*large, escaped, item("last")))
        assert outcome.prefix == 32
        sizes = [size for _, _, size in worker.destination.batches]
        assert max(sizes) <= BATCH_BYTES_MAX
        # As many as fit, all the same.
        assert len(sizes) <= 6
        assert len(worker.world.applied) == 32

    run_virtual(steps())


def test_an_item_that_is_larger_than_a_batch_goes_alone() -> None:
    async def steps() -> None:
        worker = Worker(World())
        huge = {**item("huge"), "b": {"B": "A" * BATCH_BYTES_MAX}}
        outcome = await send(worker, page_of(item("a"), huge, item("b")))
        assert outcome.prefix == 3
        assert [keys for _, keys, _ in worker.destination.batches] == [["a"], ["huge"], ["b"]]

    run_virtual(steps())


def test_all_segments_of_a_worker_share_its_requests_in_flight() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.always = lambda _: Fault(delay_s=0.05)
        sender = PageSender(worker.tools)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(sender.send(small(1000), life_of(worker)))
        assert worker.destination.in_flight_most == COPY.requests_in_flight_max

    run_virtual(steps())


def test_what_the_service_leaves_is_sent_again() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.next["BatchWriteItem"] = [Fault(unprocessed=20), Fault(unprocessed=19)]
        outcome = await send(worker, small(25))
        assert outcome.durable == [True] * 25
        assert [len(keys) for _, keys, _ in worker.destination.batches] == [25, 20, 19]
        assert len(worker.world.applied) == 25

    run_virtual(steps())


@pytest.mark.parametrize("fault", [THROTTLED, lost(), lost(lands_after_s=0.0), lost(lands_after_s=3.0)], ids=str)
def test_what_failed_is_sent_again(fault: Fault) -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.next["BatchWriteItem"] = [fault] * 3
        outcome = await send(worker, small(25))
        assert outcome.prefix == 25
        assert len(worker.destination.batches) == 4
        assert len(worker.world.destination) == 25
        assert worker.metrics.value("write_throttles") == (3 if fault is THROTTLED else 0)

    run_virtual(steps())


@pytest.mark.parametrize("hot, prefix", [(["k0000"], 0), (["k0030"], 30), (["k0099", "k0060"], 60)])
def test_what_is_durable_up_to_the_first_item_that_is_not_counts(hot: list[str], prefix: int) -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination.hot = frozenset(hot)
        outcome = await send(worker, small(100))
        assert now_s() == pytest.approx(LIFE_S, abs=3)
        assert outcome.prefix == prefix
        assert outcome.durable.count(False) == len(hot)
        assert len(worker.world.destination) == 100 - len(hot)
        assert not outcome.late

    run_virtual(steps())


def test_nothing_is_sent_after_the_life_of_the_page() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.always = lambda _: THROTTLED
        outcome = await send(worker, small(200))
        assert outcome.prefix == 0
        assert LIFE_S - 3 < max(sent_at_s for sent_at_s, _, _ in worker.destination.batches) < LIFE_S

    run_virtual(steps())


def test_what_waits_for_its_turn_to_be_sent_is_not_sent_after_the_life_either() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.always = lambda _: Fault(delay_s=3.0)
        outcome = await send(worker, small(25 * COPY.requests_in_flight_max * 5))
        assert outcome.prefix == 25 * COPY.requests_in_flight_max * 4
        assert max(sent_at_s for sent_at_s, _, _ in worker.destination.batches) < LIFE_S
        assert not outcome.late

    run_virtual(steps())


def test_the_parts_of_a_refused_batch_are_not_sent_after_the_life_either() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination.refused = {"k0024"}
        worker.destination_faults.always = lambda _: Fault(delay_s=3.0)
        outcome = await send(worker, small(25))
        assert outcome.prefix < 24
        assert max(sent_at_s for sent_at_s, _, _ in worker.destination.batches) < LIFE_S

    run_virtual(steps())


def test_a_wall_clock_that_jumps_ends_the_life() -> None:
    """The boot time of a paused virtual machine stands still; its date is set right afterwards."""

    async def steps() -> None:
        worker = Worker(World())
        life = life_of(worker)
        assert life.left_s == LIFE_S
        worker.clock.step_wall(3600)
        assert life.left_s < -3500
        outcome = await PageSender(worker.tools).send(small(5), life)
        assert outcome.prefix == 0
        assert not worker.destination.batches
        worker.clock.step_wall(-7200)
        assert life.left_s == pytest.approx(LIFE_S)

    run_virtual(steps())


@pytest.mark.parametrize("freeze_s", [LIFE_S + 0.5, NOTICED_S - 0.5, NOTICED_S + 0.5, 70.0])
def test_what_left_late_is_noticed(freeze_s: float) -> None:
    """A-8: 1 the life is looked at; 2 the process is frozen; 4 it thaws and sends."""

    async def steps() -> None:
        worker = Worker(World())
        page = small(30)
        sending = asyncio.create_task(send(worker, page))
        worker.process.freeze(freeze_s)
        outcome = await sending
        # It was sent, and is there: the clock before the sending did not show it.
        assert len(worker.world.destination) == 30
        assert {write.key for write in outcome.late} == (
            {f"k{place:04}" for place in range(30)} if freeze_s > NOTICED_S else set()
        )

    run_virtual(steps())


def test_what_left_late_and_failed_is_noticed_too() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination_faults.next["BatchWriteItem"] = [lost(lands_after_s=20)]
        sending = asyncio.create_task(send(worker, small(3)))
        worker.process.freeze(70)
        outcome = await sending
        assert len(outcome.late) == 3
        assert outcome.prefix == 0
        assert len(worker.destination.batches) == 1

    run_virtual(steps())


@pytest.mark.parametrize("place", [0, 13, 24, 40])
def test_an_item_that_can_never_be_written_stops_with_its_key(place: int) -> None:
    async def steps() -> None:
        worker = Worker(World()).parks_nothing()
        worker.destination.refused = {f"k{place:04}"}
        with pytest.raises(ExceptionGroup) as caught:
            await send(worker, small(60))
        error = end_of(caught.value)
        assert isinstance(error, Stop)
        assert error.side is Side.DESTINATION
        assert f"the destination refuses the item with key 'k{place:04}'" in str(error)
        assert "start again" in str(error)
        assert f"k{place:04}" not in worker.world.destination
        # Its value may be anybody's business.
        assert '"A"' not in str(error)

    run_virtual(steps())


def test_what_is_refused_is_parked_and_the_others_are_written() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination.refused = {f"k{place:04}" for place in (0, 13, 24, 40, 59)}
        outcome = await send(worker, small(60))
        assert outcome.durable == [True] * 60
        assert outcome.parked == worker.destination.refused
        assert [outcome.parked_of(prefix) for prefix in (0, 1, 13, 14, 60)] == [0, 1, 1, 2, 5]
        assert {write.key for write in outcome.written} == set(worker.world.destination)
        assert len(outcome.written) == 55
        assert {parked.version for parked in await worker.rows.rows()} == {version_of("")}

    run_virtual(steps())


def test_parking_may_take_longer_than_the_page_lives_and_is_no_late_sending() -> None:
    async def steps() -> None:
        worker = Worker(World())
        worker.destination.refused = {"k0003"}

        async def park(write: Write, error: ItemRefused) -> None:
            await asyncio.sleep(LIFE_S + WRITE.margin_s + 10)

        worker.tools = replace(worker.tools, park=park)
        outcome = await send(worker, small(60))
        assert not outcome.late
        assert outcome.durable[3]
        # What was to be sent after it in its batch is read again.
        assert outcome.prefix < 25
        assert outcome.durable[25:] == [True] * 35

    run_virtual(steps())


def test_a_batch_that_is_refused_as_a_whole_is_written_item_by_item_where_it_can_be() -> None:
    """What the service refuses of a batch need not be refused of a part: the batch may be too large."""

    async def steps() -> None:
        worker = Worker(World())
        original = worker.destination.write

        async def write(writes: Sequence[Write]) -> Sequence[Write]:
            if len(writes) > 4:
                raise ItemRefused("injected: too many")
            return await original(writes)

        worker.destination.write = write  # type: ignore[method-assign]
        outcome = await send(worker, small(25))
        assert outcome.durable == [True] * 25
        assert len(worker.world.applied) == 25

    run_virtual(steps())


def test_of_a_refused_batch_only_the_part_that_left_late_is_noted_and_once() -> None:
    async def steps() -> None:
        worker = Worker(World())
        original, noted = worker.destination.write, []

        async def write(writes: Sequence[Write]) -> Sequence[Write]:
            if len(writes) > 4:
                raise ItemRefused("injected: too many")
            if len(worker.world.applied) == 4:
                worker.process.freeze(70)
            return await original(writes)

        worker.destination.write = write  # type: ignore[method-assign]
        worker.tools = replace(worker.tools, note_late=lambda writes: noted.append([write.key for write in writes]))
        outcome = await send(worker, small(16))
        assert noted == [[f"k{place:04}" for place in range(4, 8)]]
        assert [write.key for write in outcome.late] == noted[0]

    run_virtual(steps())


@pytest.mark.parametrize("late_at_s", [NOTICED_S + 0.3, NOTICED_S + 0.7], ids=["answered before", "on its way"])
def test_what_left_late_is_noted_also_when_another_batch_ends_the_worker(late_at_s: float) -> None:
    async def steps() -> None:
        worker = Worker(World())

        async def write(writes: Sequence[Write]) -> Sequence[Write]:
            if writes[0].key == "k0000":
                await asyncio.sleep(late_at_s)
                return []
            await asyncio.sleep(NOTICED_S + 0.5)
            raise Stop(Side.DESTINATION, "the table is gone")

        worker.destination.write = write  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup):
            await send(worker, small(50))
        assert worker.noted >= {f"k{place:04}" for place in range(25)}

    run_virtual(steps())
