"""The control plane of one account's tables, with the manners of the service: what is asked takes effect in its own
time, is refused when it comes too early or twice, and an answer may get lost.
"""

import json
from typing import Any

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.credentials import Credentials
from dynamirror.aws.http import Request, Response
from dynamirror.aws.service import TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import Side
from dynamirror.testing.virtual_time import VirtualClock

Json = dict[str, Any]
_SLOW = 2
_TAGS_A_PAGE = 2


class Crash(Exception):
    """The program under test is killed here."""


class Refusal(Exception):
    """What the service says instead."""

    def __init__(self, name: str, said: str = "words", status: int = 400) -> None:
        super().__init__(name)
        self.name, self.said, self.status = name, said, status


class Keys:
    """Credentials that never change."""

    def current(self) -> Credentials:
        """Any."""
        return Credentials("AKIDEXAMPLE", "secret")

    async def refresh(self, refused: Credentials) -> None:
        """Never asked for."""
        raise AssertionError("never expired here")


class ControlCloud:
    """Tables by name; `tables[name]` is a TableDescription as DescribeTable gives it."""

    def __init__(self, region: str, side: Side) -> None:
        self.region, self.side = region, side
        self.tables: dict[str, Json] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.recovery: dict[str, int] = {}
        self.ttl: dict[str, str] = {}
        # So many times more the tags are seen as they were: none, or those of `keep_tags`.
        self.stale = 0
        self._tags_before: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, Json]] = []
        # Operations that it does not know, or denies.
        self.unknown: set[str] = set()
        self.denied: set[str] = set()
        # By operation: what its ValidationException says.
        self.refusals: dict[str, str] = {}
        # Numbers of calls: killed before, killed after, applied and answered with a 500.
        self.crash_before: int | None = None
        self.crash_after: int | None = None
        self.lost: set[int] = set()
        # So many UpdateContinuousBackups come too early.
        self.backups_unavailable = _SLOW
        # So many DescribeTable it takes to create a table or index; by table, how many are left.
        self.takes = _SLOW
        self.slow: dict[str, int] = {}

    def control(self, clock: VirtualClock) -> ControlPlane:
        """A program's view of it."""
        signing = Signing(Signer(self.region), Keys(), ServiceClock(clock.wall_s, clock.boottime_s))
        service = Service(TABLES_API, self.side, f"https://{self.region}/", signing, self._transport, 20.0)
        return ControlPlane(service, clock, lambda: 0.5)

    def changes(self) -> list[str]:
        """The operations that change something, in order."""
        return [operation for operation, _ in self.asked if not operation.startswith(("Describe", "List"))]

    def last(self, operation: str) -> Json:
        """The last request of that kind."""
        return [asked for name, asked in self.asked if name == operation][-1]

    async def _transport(self, request: Request, timeout_s: float) -> Response:
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        asked = json.loads(request.body)
        number = len(self.asked)
        if self.crash_before == number:
            raise Crash
        self.asked.append((operation, asked))
        try:
            if operation in self.unknown:
                raise Refusal("UnknownOperationException")
            if operation in self.denied:
                raise Refusal("AccessDeniedException")
            if operation in self.refusals:
                raise Refusal("ValidationException", self.refusals[operation])
            status, answer = 200, getattr(self, operation)(asked)
        except Refusal as refusal:
            status, answer = refusal.status, {"__type": refusal.name, "message": refusal.said}
        if self.crash_after == number:
            raise Crash
        if number in self.lost:
            status, answer = 500, {"__type": "InternalServerError", "message": "words"}
        return Response(status, {"x-amzn-requestid": "1"}, json.dumps(answer).encode())

    def keep_tags(self, name: str) -> None:
        """What is seen of the tags as long as `stale` lasts."""
        self._tags_before[name] = dict(self.tags[name])

    def _table(self, asked: Json) -> Json:
        name = asked["TableName"] if "TableName" in asked else asked["ResourceArn"].rpartition("/")[2]
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException")
        return self.tables[name]

    def DescribeTable(self, asked: Json) -> Json:  # noqa: N802
        """Each call brings what is under way a step on."""
        table = self._table(asked)
        name = table["TableName"]
        shown: Json = json.loads(json.dumps(table))
        self.slow[name] = self.slow.get(name, 0) - 1
        if self.slow[name] <= 0:
            table["TableStatus"] = "ACTIVE" if table["TableStatus"] == "CREATING" else table["TableStatus"]
            for index in table.get("GlobalSecondaryIndexes", []):
                index["IndexStatus"] = "ACTIVE"
        return {"Table": shown}

    def CreateTable(self, asked: Json) -> Json:  # noqa: N802
        """As the service checks it."""
        name = asked["TableName"]
        if name in self.tables:
            raise Refusal("ResourceInUseException")
        indexes = [*asked.get("LocalSecondaryIndexes", []), *asked.get("GlobalSecondaryIndexes", [])]
        used = {key["AttributeName"] for one in (asked, *indexes) for key in one["KeySchema"]}
        if used != {attribute["AttributeName"] for attribute in asked["AttributeDefinitions"]}:
            raise Refusal("ValidationException", "Number of attributes in KeySchema does not exactly match")
        if (asked["BillingMode"] == "PROVISIONED") != ("ProvisionedThroughput" in asked):
            raise Refusal("ValidationException", "One or more parameter values were invalid: billing")
        if any(tag["Key"].startswith("aws:") for tag in asked["Tags"]):
            raise Refusal("ValidationException", "reserved tag")
        self.put(asked)
        self.tables[name]["TableStatus"] = "CREATING"
        self.slow[name] = self.takes
        return {"TableDescription": {}}

    def put(self, asked: Json, **more: Any) -> None:
        """A table as it is some time after this CreateTable; `more` of its description."""
        name = asked["TableName"]
        sse = asked.get("SSESpecification")
        managed = f"arn:aws:kms:{self.region}:1:key/own"
        description = {
            **{key: value for key, value in asked.items() if key not in ("Tags", "TableClass", "SSESpecification")},
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:{self.region}:1:table/{name}",
            "BillingModeSummary": {"BillingMode": asked["BillingMode"]},
            "TableClassSummary": {"TableClass": asked.get("TableClass", "STANDARD")},
            "GlobalSecondaryIndexes": [{**i, "IndexStatus": "ACTIVE"} for i in asked.get("GlobalSecondaryIndexes", [])],
            **({"SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": managed}} if sse else {}),
            **more,
        }
        if sse and "KMSMasterKeyId" in sse:
            description["SSEDescription"]["KMSMasterKeyArn"] = sse["KMSMasterKeyId"]
        self.tables[name] = json.loads(json.dumps(description))
        self.tags[name] = {tag["Key"]: tag["Value"] for tag in asked.get("Tags", [])}

    def UpdateTable(self, asked: Json) -> Json:  # noqa: N802
        """One new index, while nothing else is under way."""
        table = self._table(asked)
        if table["TableStatus"] != "ACTIVE":
            raise Refusal("ResourceInUseException")
        (update,) = asked["GlobalSecondaryIndexUpdates"]
        index = update["Create"]
        indexes = table["GlobalSecondaryIndexes"]
        if any(one["IndexStatus"] != "ACTIVE" for one in indexes):
            raise Refusal("LimitExceededException", "Only 1 online index can be created or deleted simultaneously")
        if any(one["IndexName"] == index["IndexName"] for one in indexes):
            raise Refusal("ValidationException", "Attempting to create an index which already exists")
        indexes.append({**index, "IndexStatus": "CREATING", "Backfilling": True})
        known = {attribute["AttributeName"] for attribute in table["AttributeDefinitions"]}
        new = [one for one in asked["AttributeDefinitions"] if one["AttributeName"] not in known]
        table["AttributeDefinitions"] += new
        self.slow[table["TableName"]] = self.takes
        return {"TableDescription": {}}

    def ListTagsOfResource(self, asked: Json) -> Json:  # noqa: N802
        """In small pages."""
        name = self._table(asked)["TableName"]
        begin = int(asked.get("NextToken", "0"))
        self.stale -= begin == 0
        found = self.tags[name] if self.stale < 0 else self._tags_before.get(name, {})
        tags = [{"Key": key, "Value": value} for key, value in found.items()]
        page = {"Tags": tags[begin : begin + _TAGS_A_PAGE]}
        more = begin + _TAGS_A_PAGE < len(tags)
        return {**page, "NextToken": str(begin + _TAGS_A_PAGE)} if more else page

    def TagResource(self, asked: Json) -> Json:  # noqa: N802
        """May be repeated."""
        self.tags[self._table(asked)["TableName"]] |= {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
        return {}

    def UntagResource(self, asked: Json) -> Json:  # noqa: N802
        """May be repeated."""
        name = self._table(asked)["TableName"]
        for key in asked["TagKeys"]:
            self.tags[name].pop(key, None)
        return {}

    def DescribeContinuousBackups(self, asked: Json) -> Json:  # noqa: N802
        """Whether point-in-time recovery is on."""
        days = self.recovery.get(self._table(asked)["TableName"])
        on = {"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": days} if days else {}
        description = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": on}
        return {"ContinuousBackupsDescription": description}

    def UpdateContinuousBackups(self, asked: Json) -> Json:  # noqa: N802
        """Refused while the table is new."""
        name = self._table(asked)["TableName"]
        self.backups_unavailable -= 1
        if self.backups_unavailable >= 0:
            raise Refusal("ContinuousBackupsUnavailableException")
        self.recovery[name] = asked["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"]
        return {}

    def DescribeTimeToLive(self, asked: Json) -> Json:  # noqa: N802
        """By which attribute items expire."""
        attribute = self.ttl.get(self._table(asked)["TableName"])
        on = {"TimeToLiveStatus": "ENABLING", "AttributeName": attribute}
        return {"TimeToLiveDescription": on if attribute else {"TimeToLiveStatus": "DISABLED"}}

    def UpdateTimeToLive(self, asked: Json) -> Json:  # noqa: N802
        """Refused the second time."""
        name = self._table(asked)["TableName"]
        if name in self.ttl:
            raise Refusal("ValidationException", "TimeToLive is already enabled")
        self.ttl[name] = asked["TimeToLiveSpecification"]["AttributeName"]
        return {}
