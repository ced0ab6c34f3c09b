"""Tables of one test on an AWS account, named so that they are nobody's, and gone when the test has ended.

`REAL=1` allows it; credentials come by the standard chain. `REAL_ENDPOINT` names another DynamoDB to try the suite on.
"""

import os
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from dynamirror.aws.wire import Caller

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ALLOWED = os.environ.get("REAL") == "1"
ENDPOINT = os.environ.get("REAL_ENDPOINT") or None
SOURCE = os.environ.get("REAL_SOURCE_REGION") or "us-east-1"
DESTINATION = os.environ.get("REAL_DESTINATION_REGION") or "eu-west-1"
REFUSAL = "this would create tables on an AWS account: set REAL=1 to allow it (make test-real REAL=1)"


class Account:
    """`with Account(region) as account:` deletes at the end what was created, or named to `sweep`."""

    def __init__(self, region: str) -> None:
        if not ALLOWED:
            raise RuntimeError(REFUSAL)
        self.client: DynamoDBClient = boto3.client("dynamodb", region_name=region, endpoint_url=ENDPOINT)
        self.prefix = f"dynamirror-test-{secrets.token_hex(4)}-"
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._names:
            try:
                self.client.get_waiter("table_exists").wait(
                    TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 10}
                )
                self.client.delete_table(TableName=name)
            except (BotoCoreError, ClientError) as failure:
                # The other tables are deleted all the same; this one is named.
                print(f"table {name} may be left behind: {failure}")
        self.client.close()

    def sweep(self, name: str) -> None:
        """Delete this table at the end too; the program under test creates it."""
        self._names.append(name)

    def create(self, table: str, keys: dict[str, str], streaming: bool = False) -> str:
        """Create a table, its name with the prefix, and wait until it can be used; returns its stream's ARN, or ""."""
        request: dict[str, Any] = {
            "TableName": self.prefix + table,
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in keys.items()],
            "KeySchema": [
                {"AttributeName": n, "KeyType": role} for n, role in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            "BillingMode": "PAY_PER_REQUEST",
        }
        if streaming:
            request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        arn = self.client.create_table(**request)["TableDescription"].get("LatestStreamArn", "")
        self._names.append(self.prefix + table)
        self.client.get_waiter("table_exists").wait(TableName=self.prefix + table, WaiterConfig={"Delay": 2})
        return arn


class Renamed:
    """A caller whose tables have a prefix that the tests do not know of."""

    def __init__(self, caller: Caller, prefix: str) -> None:
        self._caller = caller
        self._prefix = prefix

    async def call(self, operation: str, body: bytes) -> bytes:
        """As Caller.call."""
        request: dict[str, Any] = msgspec.json.decode(body)
        if "TableName" in request:
            request["TableName"] = self._prefix + request["TableName"]
        if "RequestItems" in request:
            request["RequestItems"] = {self._prefix + name: asked for name, asked in request["RequestItems"].items()}
        answer: dict[str, Any] = msgspec.json.decode(await self._caller.call(operation, msgspec.json.encode(request)))
        for part in ("UnprocessedItems", "UnprocessedKeys", "Responses"):
            if isinstance(answer.get(part), dict):
                answer[part] = {name.removeprefix(self._prefix): given for name, given in answer[part].items()}
        return msgspec.json.encode(answer)
