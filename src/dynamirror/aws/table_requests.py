"""The requests that make a table from its definition, and the definition in what the service says of a table.

Shapes: API reference, CreateTable, UpdateTable, UpdateContinuousBackups, UpdateTimeToLive, TableDescription.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from dynamirror.aws.control_plane import AttributeDefinition, KeyElement
from dynamirror.aws.throughput import Billing, Capacity, Maxima, Warm
from dynamirror.model.table_definition import (
    AWS_MANAGED,
    AWS_OWNED,
    MARK,
    STANDARD,
    AddIndex,
    AddTags,
    Index,
    Keys,
    SetRecovery,
    SetTtl,
    Step,
    TableDefinition,
    Throughput,
)

Json: TypeAlias = dict[str, Any]

# What an SSEDescription names of a key that the account has for DynamoDB, where it names the alias.
_MANAGED_ALIAS = "alias/aws/dynamodb"


class _Projection(msgspec.Struct, rename="pascal"):
    projection_type: str = "ALL"
    non_key_attributes: list[str] = msgspec.field(default_factory=list)


class _Index(msgspec.Struct, rename="pascal"):
    index_name: str
    key_schema: list[KeyElement]
    projection: _Projection = msgspec.field(default_factory=_Projection)
    index_status: str = "ACTIVE"
    provisioned_throughput: Capacity = msgspec.field(default_factory=Capacity)
    on_demand_throughput: Maxima = msgspec.field(default_factory=Maxima)
    warm_throughput: Warm = msgspec.field(default_factory=Warm)

    def index(self) -> Index:
        return Index(
            self.index_name,
            _keys(self.key_schema),
            self.projection.projection_type,
            tuple(self.projection.non_key_attributes),
            self.provisioned_throughput.throughput(),
            self.on_demand_throughput.throughput(),
            self.warm_throughput.throughput(),
        )


class _Stream(msgspec.Struct, rename="pascal"):
    stream_enabled: bool = False
    stream_view_type: str | None = None


class _Class(msgspec.Struct, rename="pascal"):
    table_class: str = STANDARD


class _Sse(msgspec.Struct):
    status: str = msgspec.field(name="Status", default="")
    type: str = msgspec.field(name="SSEType", default="")
    key_arn: str = msgspec.field(name="KMSMasterKeyArn", default="")

    def encryption(self) -> str:
        if self.type != "KMS" or self.status in ("DISABLED", "DISABLING"):
            return AWS_OWNED
        return AWS_MANAGED if not self.key_arn or self.key_arn.endswith(_MANAGED_ALIAS) else self.key_arn


class TableDescription(msgspec.Struct, rename="pascal"):
    """What DescribeTable says, as far as it defines the table."""

    table_arn: str
    table_status: str
    key_schema: list[KeyElement]
    attribute_definitions: list[AttributeDefinition]
    local_secondary_indexes: list[_Index] = msgspec.field(default_factory=list)
    global_secondary_indexes: list[_Index] = msgspec.field(default_factory=list)
    # Absent from a table that never was on demand.
    billing_mode_summary: Billing = msgspec.field(default_factory=Billing)
    provisioned_throughput: Capacity = msgspec.field(default_factory=Capacity)
    on_demand_throughput: Maxima = msgspec.field(default_factory=Maxima)
    warm_throughput: Warm = msgspec.field(default_factory=Warm)
    stream_specification: _Stream = msgspec.field(default_factory=_Stream)
    sse: _Sse = msgspec.field(name="SSEDescription", default_factory=_Sse)
    table_class_summary: _Class = msgspec.field(default_factory=_Class)
    deletion_protection_enabled: bool = False
    replicas: list[dict[str, Any]] = msgspec.field(default_factory=list)
    vector_indexes: list[dict[str, Any]] = msgspec.field(default_factory=list)

    def definition(self) -> TableDefinition:
        """Without what DescribeTable does not say: tags, recovery, time to live. Raises KeyError: no table."""
        stream = self.stream_specification
        definition = TableDefinition(
            keys=_keys(self.key_schema),
            types={attribute.attribute_name: attribute.attribute_type for attribute in self.attribute_definitions},
            local_indexes=tuple(index.index() for index in self.local_secondary_indexes),
            global_indexes=tuple(index.index() for index in self._standing()),
            on_demand=self.billing_mode_summary.on_demand,
            capacity=self.provisioned_throughput.throughput(),
            maxima=self.on_demand_throughput.throughput(),
            warm=self.warm_throughput.throughput(),
            table_class=self.table_class_summary.table_class,
            encryption=self.sse.encryption(),
            deletion_protection=self.deletion_protection_enabled,
            stream=stream.stream_view_type if stream.stream_enabled else None,
            arn=self.table_arn,
            beyond=self._beyond(),
        ).one_throughput()
        definition.types_of(definition.keys, *(i.keys for i in (*definition.local_indexes, *definition.global_indexes)))
        return definition

    def unsettled(self) -> str:
        """What is being changed, in words; empty: nothing, so that the next change may begin."""
        changing = [
            f"{i.index_name} {i.index_status}" for i in self.global_secondary_indexes if i.index_status != "ACTIVE"
        ]
        if self.table_status != "ACTIVE":
            changing.insert(0, self.table_status)
        return ", ".join(changing)

    def _standing(self) -> list[_Index]:
        return [index for index in self.global_secondary_indexes if index.index_status != "DELETING"]

    def _beyond(self) -> tuple[str, ...]:
        replicas = f"replicas in {', '.join(str(one.get('RegionName')) for one in self.replicas)}"
        vectors = f"vector indexes {', '.join(str(one.get('IndexName')) for one in self.vector_indexes)}"
        return (replicas,) * bool(self.replicas) + (vectors,) * bool(self.vector_indexes)


def _keys(elements: list[KeyElement]) -> Keys:
    """The hash attributes first, whatever the service's order."""
    ordered = sorted(elements, key=lambda element: element.key_type != "HASH")
    return tuple((element.attribute_name, element.key_type) for element in ordered)


def create_request(name: str, wanted: TableDefinition, mark: str) -> Json:
    """CreateTable: all that it can hold, and the mark."""
    indexes = (*wanted.local_indexes, *wanted.global_indexes)
    request: Json = {
        "TableName": name,
        # Those of keys, and no others, or it is refused.
        "AttributeDefinitions": _attributes(wanted.types_of(wanted.keys, *(index.keys for index in indexes))),
        "KeySchema": _key_schema(wanted.keys),
        "BillingMode": "PAY_PER_REQUEST" if wanted.on_demand else "PROVISIONED",
        "Tags": _tags({**wanted.tags, MARK: mark}),
        **_throughputs(wanted.capacity, wanted.maxima, wanted.warm),
    }
    if wanted.local_indexes:
        request["LocalSecondaryIndexes"] = [_index(index) for index in wanted.local_indexes]
    if wanted.global_indexes:
        request["GlobalSecondaryIndexes"] = [_index(index) for index in wanted.global_indexes]
    # What is as by itself is left out: not every service knows it.
    if wanted.table_class != STANDARD:
        request["TableClass"] = wanted.table_class
    if wanted.deletion_protection:
        request["DeletionProtectionEnabled"] = True
    if wanted.encryption != AWS_OWNED:
        key = {} if wanted.encryption == AWS_MANAGED else {"KMSMasterKeyId": wanted.encryption}
        request["SSESpecification"] = {"Enabled": True, "SSEType": "KMS", **key}
    if wanted.stream is not None:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": wanted.stream}
    return request


def step_request(name: str, arn: str, step: Step) -> tuple[str, Json]:
    """The operation that carries a step out, and its request."""
    match step:
        case AddTags(tags):
            return "TagResource", {"ResourceArn": arn, "Tags": _tags(tags)}
        case SetRecovery(days):
            asked = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days}
            return "UpdateContinuousBackups", {"TableName": name, "PointInTimeRecoverySpecification": asked}
        case AddIndex(index, types):
            update = {"Create": _index(index)}
            request = {"AttributeDefinitions": _attributes(types), "GlobalSecondaryIndexUpdates": [update]}
            return "UpdateTable", {"TableName": name, **request}
        case SetTtl(attribute):
            ttl = {"Enabled": True, "AttributeName": attribute}
            return "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": ttl}
        case _:
            return "UntagResource", {"ResourceArn": arn, "TagKeys": [MARK]}


def _index(index: Index) -> Json:
    projection: Json = {"ProjectionType": index.projection}
    if index.attributes:
        projection["NonKeyAttributes"] = list(index.attributes)
    return {
        "IndexName": index.name,
        "KeySchema": _key_schema(index.keys),
        "Projection": projection,
        **_throughputs(index.capacity, index.maxima, index.warm),
    }


def _throughputs(capacity: Throughput | None, maxima: Throughput | None, warm: Throughput | None) -> Json:
    fields = (
        ("ProvisionedThroughput", capacity, "ReadCapacityUnits", "WriteCapacityUnits"),
        ("OnDemandThroughput", maxima, "MaxReadRequestUnits", "MaxWriteRequestUnits"),
        ("WarmThroughput", warm, "ReadUnitsPerSecond", "WriteUnitsPerSecond"),
    )
    return {
        field: {name: units for name, units in ((read, given.read), (write, given.write)) if units is not None}
        for field, given, read, write in fields
        if given is not None
    }


def _attributes(types: Mapping[str, str]) -> list[Json]:
    return [{"AttributeName": name, "AttributeType": type_} for name, type_ in types.items()]


def _key_schema(keys: Keys) -> list[Json]:
    return [{"AttributeName": name, "KeyType": role} for name, role in keys]


def _tags(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
