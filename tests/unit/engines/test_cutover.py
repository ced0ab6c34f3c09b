"""A cut-over on virtual time: a fleet in memory, writers that stop when the hook is called."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from dynamirror.engines import assemble_cutover
from dynamirror.engines.cutover import Cutover
from dynamirror.engines.cutover_options import CutoverOptions, CutoverResult, CutoverTools
from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.errors import AccessDenied, ExitCode, Side, Stop, Throttled, Unmet
from dynamirror.model.cutover_report import digest_of
from dynamirror.model.lease import SHARD_END
from dynamirror.model.parked import Parked
from dynamirror.model.verify import Class, Found, Tally
from dynamirror.prove.drain import SETTLED_S
from dynamirror.prove.stream_view import ViewTools
from dynamirror.settings.parse import settings_from
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World

SETTINGS = settings_from(
    {
        "source_region": "us-east-1",
        "source_table": "Orders",
        "destination_region": "eu-west-1",
        "destination_table": "Copy",
    },
    java_form=False,
    now_ms=0,
)
STOP = CutoverOptions(hook_before="stop", disable_stream=True)


class Scene:
    """The world, somebody who writes, and what the cut-over did."""

    def __init__(self, shards: int = 2, rounding_s: int = 1) -> None:
        self.world = World(shards)
        self.world.stream.rounding_s = rounding_s
        self.did: list[str] = []
        self.facts: dict[str, Mapping[str, str]] = {}
        self.files: dict[Path, str] = {}
        self.hook_code = 0
        self.answer: bool | None = None
        self.duties = 0
        self.parked: list[Parked] = []
        self.gaps = 0
        self.unsettled = 0
        self.on_anew: str | None = None
        self.writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        number = 0
        while True:
            number += 1
            self.world.put(f"k{number % 30}", value=number)
            await asyncio.sleep(0.05)

    async def hook(self, command: str, facts: Mapping[str, str]) -> int:
        self.did.append(command)
        self.facts[command] = facts
        if command == "stop" and not self.hook_code:
            self.writing.cancel()
        return self.hook_code

    async def ask(self, question: str) -> bool:
        self.did.append(question)
        self.writing.cancel()
        return self.answer is True

    async def stream_now(self) -> str | None:
        return self.on_anew or (self.world.stream.arn if self.world.stream.enabled else None)

    async def switch_off(self) -> None:
        self.did.append("off")
        self.world.stream.disable()

    async def switch_reverse_on(self) -> None:
        self.did.append("reverse on")

    async def compare(self, options: VerifyOptions) -> VerifyResult:
        self.did.append("full" if options.since_s is None else f"since {options.since_s:.0f}")
        here, there = self.world.source.items, self.world.destination.items
        differing = len({key for key in here.keys() | there.keys() if here.get(key) != there.get(key)})
        found = (Found(Class.MISSING, {"id": {"S": "x"}}),) if differing else ()
        tally = Tally(suspects=len(here), missing=differing, unsettled=self.unsettled)
        return VerifyResult(tally, 1, differing, found, 1.0, 0, 1.0, False)

    async def parked_now(self) -> list[Parked]:
        return self.parked

    async def gaps_now(self) -> int:
        return self.gaps

    async def count_duties(self) -> int:
        return self.duties

    def cutover(self, options: CutoverOptions, stream_off: bool = False) -> Cutover:
        world = self.world
        view = ViewTools(world.stream, world.leases, world.clock, lambda: 0.0)
        tools = CutoverTools(
            view,
            self.count_duties,
            world.stream.arn,
            stream_off,
            self.stream_now,
            self.switch_off,
            self.switch_reverse_on,
            self.compare,
            self.parked_now,
            self.gaps_now,
            self.hook,
            self.ask if self.answer is not None else None,
            self.files.__setitem__,
        )
        return Cutover(tools, SETTINGS, options)

    async def end(self) -> None:
        self.writing.cancel()
        await asyncio.wait([self.writing])
        await self.world.end()


def play(body: Callable[[Scene], Awaitable[None]], **how: Any) -> None:
    async def scenario() -> None:
        scene = Scene(**how)
        scene.world.worker("w").start()
        await asyncio.sleep(5)
        try:
            await body(scene)
        finally:
            await scene.end()

    run_virtual(scenario())


def steps(result: CutoverResult) -> list[str]:
    return [step["step"] for step in result.document["steps"]]


@pytest.mark.parametrize("seed", range(10))
def test_an_exact_drain_wherever_writers_stop_and_shards_split(seed: int) -> None:
    async def body(scene: Scene) -> None:
        rng = random.Random(seed)
        stream = scene.world.stream
        for _ in range(rng.randrange(3)):
            (stream.split if rng.random() < 0.5 else stream.roll)(rng.choice(stream.open_shards()))
            await asyncio.sleep(rng.random() * 3)
        result = await scene.cutover(STOP).run()
        assert scene.world.source.items == scene.world.destination.items
        assert result.exit_code is ExitCode.OK
        assert result.document["drain"]["exact"]
        assert all(shard["checkpoint"] == SHARD_END for shard in result.document["drain"]["shards"])
        assert steps(result) == ["lag", "writers", "switch", "drain", "verify"]

    play(body)


@pytest.mark.parametrize("rounding_s", [1, 60])
def test_the_lag_is_small_under_traffic_whatever_stamps_are_rounded_to(rounding_s: int) -> None:
    async def body(scene: Scene) -> None:
        result = await scene.cutover(CutoverOptions(max_lag_s=3.0, dry_run=True)).run()
        assert 0 <= result.document["lag_ms"] <= 3_000
        assert scene.did == []

    play(body, rounding_s=rounding_s)


def test_a_worker_that_is_behind_is_waited_for_and_nothing_is_done() -> None:
    async def body(scene: Scene) -> None:
        scene.world.workers[0].write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
        await asyncio.sleep(60)
        with pytest.raises(Unmet, match=r"--max-lag 5s was not reached in 30 s \(--timeout\): the lag is 9\d s"):
            await scene.cutover(CutoverOptions(hook_before="stop", disable_stream=True, timeout_s=30.0)).run()
        assert scene.did == []
        scene.world.workers[0].write_faults.fault = None
        assert (await scene.cutover(STOP).run()).exit_code is ExitCode.OK

    play(body)


def test_a_hook_that_fails_ends_everything() -> None:
    async def body(scene: Scene) -> None:
        scene.hook_code = 3
        with pytest.raises(Unmet, match="--hook-before ended with 3: nothing was changed") as error:
            await scene.cutover(STOP).run()
        assert error.value.exit_code is ExitCode.DIFFERS
        assert scene.did == ["stop"]
        assert scene.world.stream.enabled

    play(body)


def test_the_answer_no_ends_everything_and_yes_goes_on() -> None:
    async def body(scene: Scene) -> None:
        scene.answer = False
        with pytest.raises(Unmet, match="ended as answered"):
            await scene.cutover(CutoverOptions(disable_stream=True)).run()
        assert scene.world.stream.enabled
        scene.answer = True
        assert (await scene.cutover(CutoverOptions(disable_stream=True)).run()).document["drain"]["exact"]

    play(body)


def test_an_open_stream_is_quiet_and_never_proven() -> None:
    async def body(scene: Scene) -> None:
        begun_s = scene.world.now_s
        result = await scene.cutover(CutoverOptions(hook_before="stop", quiet_s=30.0)).run()
        assert scene.world.now_s - begun_s > 30
        assert result.document["drain"]["proof"] == "not proven: the stream is still open"
        assert not result.document["drain"]["exact"]
        assert scene.world.source.items == scene.world.destination.items
        assert scene.world.stream.enabled

    play(body)


def test_writers_that_go_on_are_never_quiet() -> None:
    async def body(scene: Scene) -> None:
        with pytest.raises(Unmet, match="--quiet 10s was not reached"):
            await scene.cutover(CutoverOptions(writers_stopped=True, quiet_s=10.0, timeout_s=60.0)).run()

    play(body)


def test_items_to_be_reconciled_hold_the_drain_up() -> None:
    async def body(scene: Scene) -> None:
        running = asyncio.create_task(
            scene.cutover(CutoverOptions(hook_before="stop", disable_stream=True, timeout_s=60.0)).run()
        )
        await scene.world.until(lambda: not scene.world.stream.enabled, 60)
        scene.duties = 2
        with pytest.raises(Unmet, match="2 items wait to be reconciled"):
            await running

    play(body)


def test_items_to_be_reconciled_are_waited_for_before_the_writers_stop() -> None:
    """One that the destination refuses waits for ever: the drain would not end, with the stream off."""

    async def body(scene: Scene) -> None:
        scene.duties = 1
        options = CutoverOptions(hook_before="stop", disable_stream=True, timeout_s=60.0)
        with pytest.raises(Unmet, match=r"--max-lag 5s was not reached in 60 s .*: 1 item waits to be reconciled"):
            await scene.cutover(options).run()
        assert (scene.did, scene.world.stream.enabled) == ([], True)
        running = asyncio.create_task(scene.cutover(options).run())
        await asyncio.sleep(10)
        scene.duties = 0
        assert (await running).exit_code is ExitCode.OK

    play(body)


def test_a_run_that_was_ended_in_the_drain_is_begun_again() -> None:
    async def body(scene: Scene) -> None:
        running = asyncio.create_task(scene.cutover(STOP).run())
        await scene.world.until(lambda: not scene.world.stream.enabled, 60)
        running.cancel()
        await asyncio.wait([running])
        assert not scene.files
        # Meanwhile the worker ends by itself.
        await scene.world.workers[0].ended(200)
        result = await scene.cutover(STOP, stream_off=True).run()
        assert result.document["drain"]["exact"]
        assert result.document["lag_ms"] is None
        assert steps(result) == ["writers", "drain", "verify"]
        # The keys of the run before are compared again, whenever that was.
        assert scene.did == ["stop", "off", "stop", "since 86400"]

    play(body)


def test_a_child_that_is_listed_late_is_not_missed() -> None:
    async def body(scene: Scene) -> None:
        stream = scene.world.stream
        [child] = stream.roll(stream.open_shards()[0])
        stream.hidden.add(child)
        scene.world.put_many(50, value=7)

        async def show() -> None:
            await scene.world.until(lambda: not stream.enabled, 60)
            await asyncio.sleep(SETTLED_S - 1)
            stream.hidden.clear()

        showing = asyncio.create_task(show())
        scene.writing.cancel()
        result = await scene.cutover(CutoverOptions(writers_stopped=True, disable_stream=True)).run()
        await showing
        assert child in {shard["id"] for shard in result.document["drain"]["shards"]}
        assert scene.world.source.items == scene.world.destination.items

    play(body)


def test_a_difference_is_1_with_a_report_and_without_the_second_hook() -> None:
    async def body(scene: Scene) -> None:
        scene.writing.cancel()
        await scene.world.until_equal(20)
        scene.world.destination.items.popitem()
        options = CutoverOptions(hook_before="stop", hook_after="start", disable_stream=True, report=Path("r"))
        result = await scene.cutover(options).run()
        assert result.exit_code is ExitCode.DIFFERS
        assert [what.partition(" ")[0] for what in scene.did] == ["stop", "off", "since"]
        document = msgspec.json.decode(scene.files[Path("r")])
        assert document["verify"]["differing"] == 1
        assert document["digest"] == digest_of(document)

    play(body)


def test_the_second_hook_knows_the_report_and_may_fail() -> None:
    async def body(scene: Scene) -> None:
        options = CutoverOptions(hook_before="stop", hook_after="start", disable_stream=True, verify="full")
        await scene.cutover(options).run()
        [path] = scene.files
        assert path.name.startswith("cutover-51940eee0ce153755bff7e64823f8f3e-2023")
        assert scene.did == ["stop", "off", "full", "start"]
        facts = scene.facts["start"]
        assert facts["DYNAMIRROR_REPORT"] == str(path)
        assert (facts["DYNAMIRROR_EXACT"], facts["DYNAMIRROR_DIFFERING"]) == ("true", "0")
        assert (facts["DYNAMIRROR_HOOK"], facts["DYNAMIRROR_SOURCE_TABLE"]) == ("after", "Orders")
        scene.hook_code = 5
        with pytest.raises(Unmet, match="--hook-after ended with 5; everything before it is done"):
            await scene.cutover(CutoverOptions(writers_stopped=True, hook_after="start"), stream_off=True).run()

    play(body)


def test_a_dry_run_says_the_rest_and_does_none_of_it() -> None:
    async def body(scene: Scene) -> None:
        options = CutoverOptions(hook_before="stop", disable_stream=True, prepare_reverse=True, dry_run=True)
        result = await scene.cutover(options).run()
        assert (scene.did, scene.files, result.report) == ([], {}, None)
        assert result.document["would"] == [
            "switch the destination's stream on",
            "call the hook: stop",
            "switch the source's stream off",
            "wait until every shard is applied to its end (exact)",
            "compare keys changed in the last 900 s before the writers' stop",
        ]
        assert scene.world.stream.enabled

    play(body)


def test_the_way_back_is_prepared_before_the_writers_stop() -> None:
    async def body(scene: Scene) -> None:
        result = await scene.cutover(
            CutoverOptions(hook_before="stop", disable_stream=True, prepare_reverse=True)
        ).run()
        assert scene.did[:3] == ["reverse on", "stop", "off"]
        reverse, ended = result.document["reverse"], result.document["drain"]["ended"]
        assert reverse["start_at"] < ended
        assert reverse["command"] == (
            "dynamirror replicate --source-region eu-west-1 --source-table Copy --destination-region us-east-1 "
            f"--destination-table Orders --start-at {reverse['start_at']}"
        )

    play(body)


def test_nothing_compared_is_said() -> None:
    async def body(scene: Scene) -> None:
        result = await scene.cutover(CutoverOptions(hook_before="stop", disable_stream=True, verify="none")).run()
        assert scene.did == ["stop", "off"]
        assert result.document["verify"]["mode"] == "none"

    play(body)


def test_however_long_the_drain_takes_the_last_changes_are_compared() -> None:
    async def body(scene: Scene) -> None:
        worker = scene.world.workers[0]
        worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
        options = CutoverOptions(hook_before="stop", disable_stream=True, timeout_s=3600.0, max_lag_s=60.0)
        running = asyncio.create_task(scene.cutover(options).run())
        await scene.world.until(lambda: "stop" in scene.did, 60)
        await asyncio.sleep(1200)
        worker.write_faults.fault = None
        await running
        [compared] = [float(what.split()[1]) for what in scene.did if what.startswith("since")]
        assert 900 + 1200 <= compared <= 900 + 1300

    play(body)


PARKED = Parked("1f3a", {"id": {"S": "x"}}, "7".zfill(40), "too large", 0, "w", 1, 10)


def test_a_parked_item_that_nothing_is_compared_with_ends_with_1_and_is_named() -> None:
    async def body(scene: Scene) -> None:
        scene.parked = [PARKED]
        options = CutoverOptions(hook_before="stop", hook_after="start", disable_stream=True, verify="none")
        result = await scene.cutover(options).run()
        assert result.exit_code is ExitCode.DIFFERS
        assert scene.did == ["stop", "off"]
        assert result.document["parked"] == [{"id": "1f3a", "key": {"id": {"S": "x"}}, "error": "too large"}]
        # Compared, and found to be equal: the row is only left over.
        result = await scene.cutover(CutoverOptions(writers_stopped=True, hook_after="start"), stream_off=True).run()
        assert (result.exit_code, scene.did[-1]) == (ExitCode.OK, "start")

    play(body)


def test_a_gap_that_was_noted_during_the_drain_ends_with_1() -> None:
    async def body(scene: Scene) -> None:
        scene.gaps = 1
        result = await scene.cutover(CutoverOptions(hook_before="stop", hook_after="start", disable_stream=True)).run()
        assert (result.exit_code, result.document["gaps"]) == (ExitCode.DIFFERS, 1)
        assert "start" not in scene.did

    play(body)


def test_what_was_never_seen_in_step_is_not_safe() -> None:
    async def body(scene: Scene) -> None:
        scene.unsettled = 1
        result = await scene.cutover(CutoverOptions(hook_before="stop", hook_after="start", disable_stream=True)).run()
        assert result.exit_code is ExitCode.DIFFERS
        assert "start" not in scene.did

    play(body)


def test_a_stream_that_is_switched_on_anew_is_another_one_and_its_changes_are_not_drained() -> None:
    async def body(scene: Scene) -> None:
        scene.on_anew = "arn:another"
        with pytest.raises(Unmet, match=r"switched on anew meanwhile \(arn:another\)"):
            await scene.cutover(STOP).run()
        assert (scene.did, scene.world.stream.enabled) == (["stop"], True)
        scene.on_anew = None
        running = asyncio.create_task(scene.cutover(STOP).run())
        await scene.world.until(lambda: not scene.world.stream.enabled, 60)
        scene.on_anew = "arn:another"
        with pytest.raises(Unmet, match="switched on anew"):
            await running
        assert not scene.files

    play(body)


def test_what_is_parked_is_said_while_it_can_still_be_mended(caplog: pytest.LogCaptureFixture) -> None:
    async def body(scene: Scene) -> None:
        scene.parked = [PARKED]
        result = await scene.cutover(CutoverOptions(hook_before="stop", dry_run=True)).run()
        assert result.document["parked"] == [{"id": "1f3a", "key": {"id": {"S": "x"}}, "error": "too large"}]
        assert "1 items are parked, the destination has refused them" in caplog.text

    play(body)


def test_what_is_wrong_with_the_way_back_is_the_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AccessDenied(Side.SOURCE, "source, Copy: not authorized")

    monkeypatch.setattr(assemble_cutover, "connect", refused)

    async def body() -> None:
        nothing = cast(Any, None)
        hands = assemble_cutover._Hands(nothing, SETTINGS, {}, nothing, nothing)
        with pytest.raises(Stop, match="the destination table Copy as the source of the way back") as error:
            await hands._switch_reverse_on()
        assert error.value.exit_code is ExitCode.DESTINATION

    run_virtual(body())
