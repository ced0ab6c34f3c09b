"""What a fleet's figures are measured against: the stand-in's stream, and real workers that end, join, and roll."""

import json
from typing import Any

import pytest

from bench import fleet, idle, pages
from bench.fleet_report import FleetFigures
from bench.fleet_stream import CHANGES_MAX, FleetStream
from bench.idle import Idle


def read(stream: FleetStream, shard: int, place: str = "TRIM_HORIZON", **more: str) -> tuple[list[int], str | None]:
    """The keys of a page, and the next iterator."""
    wanted = {"ShardId": pages.shard_id(shard), "ShardIteratorType": place, **more}
    got: dict[str, Any] = json.loads(stream.page(stream.iterator(wanted), "me").body)
    keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in got["Records"]]
    return [int(key.removeprefix(pages.KEY_MARK.decode())) for key in keys], got.get("NextShardIterator")


class TestFleetStream:
    def setup_method(self) -> None:
        self.made = 0
        self.stream = FleetStream(2, 1.0)
        self.stream._made = lambda: self.made  # type: ignore[method-assign]

    def test_each_lane_has_its_changes_and_a_child_goes_on_where_its_parent_ended(self) -> None:
        self.made = 3
        self.stream.roll(1)
        self.made = 5
        assert read(self.stream, 0) == ([0, 1, 2, 3, 4], "0-5")
        assert read(self.stream, 1) == ([CHANGES_MAX + n for n in (0, 1, 2)], None)
        assert read(self.stream, 2) == ([CHANGES_MAX + n for n in (3, 4)], "2-5")
        assert self.stream.shard_of_key(CHANGES_MAX + 2).number == 1
        assert self.stream.shard_of_key(CHANGES_MAX + 3).number == 2

    def test_reading_goes_on_behind_a_sequence_number(self) -> None:
        self.made = 4
        page = json.loads(self.stream.page("1-0", "me").body)
        third = page["Records"][2]["dynamodb"]["SequenceNumber"]
        assert read(self.stream, 1, "AFTER_SEQUENCE_NUMBER", SequenceNumber=third) == ([CHANGES_MAX + 3], "1-4")

    def test_listings_come_in_pages_and_name_parents(self) -> None:
        self.stream.roll(0)
        first = json.loads(self.stream.listing({"Limit": 2}))["StreamDescription"]
        rest = json.loads(self.stream.listing({"ExclusiveStartShardId": first["LastEvaluatedShardId"]}))
        [child] = rest["StreamDescription"]["Shards"]
        assert child["ParentShardId"] == first["Shards"][0]["ShardId"] == pages.shard_id(0)
        wanted = {"ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": pages.shard_id(0)}}
        assert json.loads(self.stream.listing(wanted))["StreamDescription"]["Shards"] == [child]


def test_goals_that_are_missed_are_told() -> None:
    one = Idle(1000, 0, 1.0, 0.3, 100, 201, 40, 1000, 970, 250, 500, 3000, 60, 0.1)
    assert [reached for *_, reached in FleetFigures(idle=[one]).goals()] == [False, False, True]
    assert not list(FleetFigures(idle=[Idle(1, 0, 1.0, 0.3, 1, 1, 1, 1, 1, 1, 1, 99, 99, 0.1)]).goals())


@pytest.mark.long
@pytest.mark.alone
class TestFigures:
    async def test_of_workers_that_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fleet, "LANES", 12)
        killed, stopped = await fleet.take_overs()
        assert (killed.rounds, stopped.rounds) == (2, 3)
        assert killed.max_s > 9, "a lease lasts 10 s"
        assert stopped.max_s < killed.max_s

    async def test_of_shards_that_roll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fleet, "ROLLS", 20)
        figures = await fleet.rolls()
        assert figures.rolls == 20
        assert 0 < figures.p50_s <= figures.p99_s <= figures.max_s

    async def test_of_a_worker_that_joins_and_of_idle_shards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fleet, "SHARDS_TO_SHARE", 40)
        joined = await fleet.joined()
        assert joined.seconds > 0
        # Where a lease is not released it lasts 10 s.
        assert 0 < joined.left_s < 9
        monkeypatch.setattr(idle, "WINDOW_S", 31.0)
        figures = await idle.idle(40, ended=2)
        assert 0.5 < figures.reads_a_second / 40 < 1.5
        assert 100 < figures.lease_writes_a_minute < 260
        assert 0 < figures.cpu_share < 1
