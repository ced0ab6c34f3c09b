"""Tables of one test on an AWS account, named so that they are nobody's, and gone when the test has ended.

`REAL=1` allows it; credentials come by the standard chain. `REAL_ENDPOINT` names another DynamoDB to try the suite on.
"""

import asyncio
import os
import secrets
import time
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from dynamirror.aws.wire import Caller
from dynamirror.errors import Throttled
from tests.support.dynamodb_local import table_request

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ALLOWED = os.environ.get("REAL") == "1"
ENDPOINT = os.environ.get("REAL_ENDPOINT") or None
SOURCE = os.environ.get("REAL_SOURCE_REGION") or "us-east-1"
DESTINATION = os.environ.get("REAL_DESTINATION_REGION") or "eu-west-1"
REFUSAL = "this would create tables on an AWS account: set REAL=1 to allow it (make test-real REAL=1)"
# For a table or a stream that is being made or changed.
WAIT_S = 90.0
LATE_CREATION_S = 10.0
# A new table takes less than the tests write at first: what it throttles is asked again after these pauses.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Account:
    """`with Account(region) as account:` deletes at the end what was created, or named to `sweep`."""

    def __init__(self, region: str) -> None:
        if not ALLOWED:
            raise RuntimeError(REFUSAL)
        self._region = region
        self.client: DynamoDBClient = boto3.client("dynamodb", region_name=region, endpoint_url=ENDPOINT)
        self.prefix = f"dynamirror-test-{secrets.token_hex(4)}-"
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left: list[str] = []
        for name in self._names:
            try:
                self._delete(name)
            except (BotoCoreError, ClientError) as failure:
                # The other tables are deleted all the same.
                left.append(f"{name} ({failure})")
        self.client.close()
        if left:
            raise RuntimeError(f"delete by hand what may be left in {self._region}: {', '.join(left)}")

    def sweep(self, name: str) -> None:
        """Delete this table at the end too, if it is there; the program under test creates it."""
        self._names.append(name)

    def create(self, table: str, keys: dict[str, str], streaming: bool = False) -> str:
        """Create a table, its name with the prefix, and wait until it can be used; returns its stream's ARN, or ""."""
        name = self.prefix + table
        request = table_request(name, keys, "NEW_AND_OLD_IMAGES" if streaming else None)
        # Before: the answer may get lost.
        self._names.append(name)
        arn = self.client.create_table(**request)["TableDescription"].get("LatestStreamArn", "")
        self.client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2})
        if streaming:
            self._wait_for_stream(arn)
        return arn

    def _wait_for_stream(self, arn: str) -> None:
        deadline = time.monotonic() + WAIT_S
        with closing(boto3.client("dynamodbstreams", region_name=self._region, endpoint_url=ENDPOINT)) as streams:
            while streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] != "ENABLED":
                assert time.monotonic() < deadline, f"{arn} was not enabled within {WAIT_S} s"
                time.sleep(1)

    def _delete(self, name: str) -> None:
        begun = time.monotonic()
        while True:
            try:
                self.client.delete_table(TableName=name)
                return
            except self.client.exceptions.ResourceNotFoundException:
                # A CreateTable of a killed process may still be on its way.
                if time.monotonic() - begun > LATE_CREATION_S:
                    return
            except (self.client.exceptions.ResourceInUseException, self.client.exceptions.LimitExceededException):
                # Being created or changed, or too many tables are at once.
                if time.monotonic() - begun > WAIT_S:
                    raise
            time.sleep(1)


class Renamed:
    """A caller whose tables have a prefix that the tests do not know of."""

    def __init__(self, caller: Caller, prefix: str) -> None:
        self.url = caller.url
        self._caller = caller
        self._prefix = prefix

    async def call(self, operation: str, body: bytes) -> bytes:
        """As Caller.call."""
        request: dict[str, Any] = msgspec.json.decode(body)
        if "TableName" in request:
            request["TableName"] = self._prefix + request["TableName"]
        if "RequestItems" in request:
            request["RequestItems"] = {self._prefix + name: asked for name, asked in request["RequestItems"].items()}
        answer: dict[str, Any] = msgspec.json.decode(await self._patient(operation, msgspec.json.encode(request)))
        for part in ("UnprocessedItems", "UnprocessedKeys", "Responses"):
            if isinstance(answer.get(part), dict):
                answer[part] = {name.removeprefix(self._prefix): given for name, given in answer[part].items()}
        return msgspec.json.encode(answer)

    async def _patient(self, operation: str, body: bytes) -> bytes:
        for pause_s in PAUSES_S:
            try:
                return await self._caller.call(operation, body)
            except Throttled:
                await asyncio.sleep(pause_s)
        return await self._caller.call(operation, body)
