"""Source, destination and the side of the leases as a plan asks them: tables in memory, and all that can be wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.faults import fault_of, target_of
from dynamirror.aws.service import Service
from dynamirror.engines.plan import Plan, PlanOptions, plan
from dynamirror.errors import Side
from dynamirror.model.task_name import lease_table_name, state_table_name
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.memory_caller import create_table

Json = dict[str, Any]
STREAM = "arn:aws:dynamodb:us-east-1:1:table/Orders/stream/2026-01-01T00:00:00.000"
LEASES = lease_table_name(None, ("us-east-1", "Orders"), ("eu-west-1", "Copy"))
STATE = state_table_name(LEASES)
ON = {"LatestStreamArn": STREAM, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
ON_DEMAND = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}


class PlanCloud:
    """One side (reach.Endpoint); `more[table]` is added to what DescribeTable says."""

    def __init__(self, side: Side, region: str) -> None:
        self.side = side
        self.url = f"https://{region}.invalid/"
        self.written: list[str] = []
        self.database = MemoryDynamoDB(lambda table, key, item: self.written.append(table), place=f"{region}:1")
        self.more: dict[str, Json] = {}
        self.ttl: dict[str, str] = {}
        self.shards: list[Json] = [{"ShardId": "shardId-1", "SequenceNumberRange": {"StartingSequenceNumber": "1"}}]
        # By operation, what it answers instead: the error's name.
        self.refusals: dict[str, str] = {}
        # A service that does as it is told, whatever the condition.
        self.heedless = False
        self.asked: list[tuple[str, Json]] = []

    def table(self, name: str, keys: Mapping[str, str], **more: Any) -> None:
        """A table on demand."""
        create_table(self.database, name, keys)
        self.more[name] = {**ON_DEMAND, **more}

    def put(self, table: str, item: Json) -> None:
        """An item that was there before."""
        assert self.database.answer("PutItem", json.dumps({"TableName": table, "Item": item}).encode()).status == 200
        self.written.clear()

    async def call(self, operation: str, body: bytes) -> bytes:
        """See reach.Endpoint."""
        request = json.loads(body)
        self.asked.append((operation, request))
        status, answer = self._answer(operation, request)
        if status != 200:
            raise fault_of(self.side, operation, target_of(body), (self.url, status, answer))
        return answer

    def _answer(self, operation: str, request: Json) -> tuple[int, bytes]:
        if operation in self.refusals:
            return 400, json.dumps({"__type": self.refusals[operation], "message": "words"}).encode()
        if self.heedless:
            request = {key: value for key, value in request.items() if not key.startswith(("Condition", "Expression"))}
        own = getattr(self, f"_{operation}", None)
        if own is not None:
            return 200, json.dumps(own(request)).encode()
        status, answer = self.database.answer(operation, json.dumps(request).encode())
        if operation == "DescribeTable" and status == 200:
            table = json.loads(answer)["Table"]
            return 200, json.dumps({"Table": {**table, **self.more.get(request["TableName"], {})}}).encode()
        return status, answer

    def _DescribeTimeToLive(self, request: Json) -> Json:  # noqa: N802
        attribute = self.ttl.get(request["TableName"])
        on = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
        return {"TimeToLiveDescription": on if attribute else {"TimeToLiveStatus": "DISABLED"}}

    def _ListTables(self, request: Json) -> Json:  # noqa: N802
        """Two a page."""
        names = sorted(self.database.tables)
        begin = names.index(request["ExclusiveStartTableName"]) + 1 if "ExclusiveStartTableName" in request else 0
        page = names[begin : begin + 2]
        return {"TableNames": page} | ({"LastEvaluatedTableName": page[-1]} if begin + 2 < len(names) else {})

    def _DescribeStream(self, request: Json) -> Json:  # noqa: N802
        return {"StreamDescription": {"StreamStatus": "ENABLED", "Shards": self.shards}}

    def _GetShardIterator(self, request: Json) -> Json:  # noqa: N802
        return {"ShardIterator": "place"}

    def _GetRecords(self, request: Json) -> Json:  # noqa: N802
        assert request["ShardIterator"] == "place"
        return {"Records": [], "NextShardIterator": "next"}


@dataclass(frozen=True)
class Sides:
    """engines/reach.Reach over clouds."""

    source: PlanCloud
    streams: PlanCloud
    destination: PlanCloud
    state: PlanCloud
    source_control: ControlPlane
    destination_control: ControlPlane
    state_control: ControlPlane


class PlanWorld:
    """Orders with its stream on, an empty Copy, no leases yet: ready."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.source = PlanCloud(Side.SOURCE, "us-east-1")
        self.streams = PlanCloud(Side.SOURCE, "us-east-1")
        self.destination = PlanCloud(Side.DESTINATION, "eu-west-1")
        self.state = PlanCloud(Side.STATE, "us-east-1")
        self.source.table("Orders", {"pk": "S", "sk": "N"}, **ON, ItemCount=1000, TableSizeBytes=1_500_000)
        self.destination.table("Copy", {"pk": "S", "sk": "N"})

    def leases(self) -> None:
        """The task has been started before."""
        self.state.table(LEASES, {"leaseKey": "S"})
        self.state.table(STATE, {"kind": "S", "id": "S"})

    async def plan(self, options: PlanOptions | None = None, **more: Any) -> Plan:
        """A plan; what it asked for has written nothing."""
        found = await plan(self.reach(), self.settings(**more), self.clock, options)
        assert self.written() == []
        return found

    async def plan_of_a_heedless_service(self) -> Plan:
        """A plan, where a delete of what is not there is carried out."""
        return await plan(self.reach(), self.settings(), self.clock)

    def written(self) -> list[str]:
        """The tables that something was written to, or deleted from."""
        clouds = (self.source, self.streams, self.destination, self.state)
        return [table for cloud in clouds for table in cloud.written]

    def reach(self) -> Sides:
        """The three sides."""

        def control(cloud: PlanCloud) -> ControlPlane:
            return ControlPlane(cast(Service, cloud), self.clock, lambda: 0.5)

        controls = [control(cloud) for cloud in (self.source, self.destination, self.state)]
        return Sides(self.source, self.streams, self.destination, self.state, *controls)

    def settings(self, *, java_form: bool = False, **more: Any) -> ReplicationSettings:
        """Of this pair."""
        pair = {"source_region": "us-east-1", "source_table": "Orders"}
        pair |= {"destination_region": "eu-west-1", "destination_table": "Copy"}
        return settings_from({**pair, **more}, java_form=java_form, now_ms=0)
