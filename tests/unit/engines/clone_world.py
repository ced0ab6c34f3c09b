"""Two accounts for clones: a source with everything, and what stands or is made at the destination."""

from collections.abc import Callable, Coroutine
from typing import Any

from dynamirror.engines.clone import CloneOptions, Ensured
from dynamirror.errors import Side
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.control_cloud import ControlCloud, Json

PLAIN = CloneOptions("eu-west-1")
LATER = CloneOptions("eu-west-1", indexes_after_copy=True)


def keys(**roles: str) -> list[Json]:
    return [{"AttributeName": name, "KeyType": role} for name, role in roles.items()]


def index(name: str, attribute: str, **more: Any) -> Json:
    return {
        "IndexName": name,
        "KeySchema": keys(**{attribute: "HASH"}),
        "Projection": {"ProjectionType": "ALL"},
        **more,
    }


RICH: Json = {
    "TableName": "Orders",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": keys(pk="HASH", sk="RANGE"),
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "by", "at", "who")],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": keys(pk="HASH", by="RANGE"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
        }
    ],
    "GlobalSecondaryIndexes": [
        index("by-at", "at", OnDemandThroughput={"MaxReadRequestUnits": 7}),
        index("by-who", "who"),
    ],
    "OnDemandThroughput": {"MaxWriteRequestUnits": 900},
    "TableClass": "STANDARD_INFREQUENT_ACCESS",
    "DeletionProtectionEnabled": True,
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "Tags": [{"Key": key, "Value": key} for key in ("team", "aws:cloudformation:stack", "cost", "stage")],
}


class World:
    """A source with everything in us-east-1, and nothing in eu-west-1."""

    def __init__(self, **more: Any) -> None:
        self.source = ControlCloud("us-east-1", Side.SOURCE)
        self.destination = ControlCloud("eu-west-1", Side.DESTINATION)
        self.source.put(RICH, **more)
        self.source.recovery["Orders"], self.source.ttl["Orders"] = 7, "expires"

    def own(self, **more: Any) -> None:
        """A destination table that the operator made."""
        request = {**RICH, "TableName": "Copy", "Tags": [], "DeletionProtectionEnabled": False}
        self.destination.put({**request, **more})

    def run(self, *jobs: Callable[..., Coroutine[Any, Any, Ensured]], options: CloneOptions = PLAIN) -> list[Ensured]:
        """Of one worker, one after the other."""

        async def main() -> list[Ensured]:
            return [await self.job(job, options) for job in jobs]

        return run_virtual(main())

    async def job(self, job: Callable[..., Coroutine[Any, Any, Ensured]], options: CloneOptions) -> Ensured:
        clock = VirtualClock()
        source, destination = self.source.control(clock), self.destination.control(clock)
        return await job(source, destination, "Orders", "Copy", options, clock)

    def outcome(self) -> Json:
        """The destination, without what is different every time."""
        there = self.destination
        table = {key: value for key, value in there.tables["Copy"].items() if key != "AttributeDefinitions"}
        table["GlobalSecondaryIndexes"] = sorted((i["IndexName"], i["IndexStatus"]) for i in global_indexes(table))
        return {"table": table, "tags": there.tags["Copy"], "recovery": there.recovery, "ttl": there.ttl}


def global_indexes(table: Json) -> list[Json]:
    """As DescribeTable has them."""
    found: list[Json] = table["GlobalSecondaryIndexes"]
    return found
