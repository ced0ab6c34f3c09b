"""Parking for tests: nowhere, or in a state table in memory."""

from collections.abc import Callable

from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import Side
from dynamirror.follow.parking import Parking, ParkTools
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.parked import Parked
from dynamirror.ports import Clock, MetricSink
from dynamirror.testing.faults import Faults, Line, no_faults
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from tests.support.memory_caller import MemoryCaller, create_table

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
LIFE = Incarnation("table-id", "arn:stream")


def nowhere(clock: Clock, metrics: MetricSink) -> Parking:
    """There is no state table: the first refused item stops."""
    return Parking(ParkTools(None, CODEC, clock, lambda: 0.5, metrics, "w", 100))


class Lot:
    """A state table, and the parking of workers that share it."""

    def __init__(self) -> None:
        self.database = MemoryDynamoDB()
        create_table(self.database, "state", {"kind": "S", "id": "S"})

    def store(self, faults: Faults = no_faults) -> ParkedRows:
        """The rows, as one worker reaches them."""
        return ParkedRows(MemoryCaller(Side.STATE, self.database, Line(faults, latency_s=0.01)), "state", LIFE)

    def parking(
        self,
        clock: Clock,
        metrics: MetricSink,
        faults: Faults = no_faults,
        most: int = 100,
        random: Callable[[], float] = lambda: 0.5,
    ) -> Parking:
        """One worker's."""
        return Parking(ParkTools(self.store(faults), CODEC, clock, random, metrics, "w", most))

    async def parked(self) -> dict[str, Parked]:
        """The rows, by key."""
        return {parked.key["id"]["S"]: parked for parked in await self.store().rows()}

    @property
    def images(self) -> int:
        """Rows of images."""
        return sum(row["kind"]["S"] == "parked-image" for row in self.database.items("state").values())
