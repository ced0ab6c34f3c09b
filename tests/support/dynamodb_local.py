"""DynamoDB Local as one process for a whole test run or benchmark.

Without -sharedDb every (access key id, Region) pair is a database of its own, in memory. Take a fresh access key for
each test: operations slow down with the stream records that a database already holds (45,000 of them: tenfold), and
two Regions of one key are the source's and the destination's side.
"""

import http.client
import secrets
import string
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import boto3
from botocore.config import Config

from dynamirror.aws.loopback import free_port

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.literals import StreamViewTypeType
    from types_boto3_dynamodbstreams import DynamoDBStreamsClient

FETCH = Path(__file__).parents[2] / "scripts" / "fetch_jars.py"
MAIN_CLASS = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
# Compiled from the source beside it (javac -source 17 -target 17): a Java without a compiler is enough.
SHORT_LIVED = Path(__file__).parent / "java"
SHORT_LIVED_CLASS = "ShortLived"
START_TIMEOUT_S = 60.0
SECRET_KEY = "secret"  # DynamoDB Local checks no signature

# Kills the server when our end of its stdin closes, which it also does when we are killed with SIGKILL. The
# shell becomes java, so that the process started is the server itself.
GUARD = 'exec 3<&0; (cat <&3 >/dev/null; kill -9 $$) & exec "$@" </dev/null 3<&-'


class Unavailable(Exception):
    """This machine cannot run DynamoDB Local, or KCL; the message says why."""


class DynamoDBLocal:
    """`with DynamoDBLocal() as local:` starts a server on a free port of 127.0.0.1 and kills it at the end.

    Raises Unavailable on entering when there is no Java, or no Maven to fetch the jars with.
    """

    def __init__(self, heap: str = "1g", records_s: float | None = None) -> None:
        """`records_s`: how long streams keep records; None: a day, as the service."""
        self._heap = heap
        self._records_s = records_s
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._clients: dict[tuple[str, str, str], Any] = {}
        self.url = ""

    def __enter__(self) -> Self:
        java, jars = java_and_jars("dynamodb-local")
        try:
            self._start(java, jars, attempts=3)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The server's process, for a test that freezes or kills it."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Kill the server; its databases are gone. A second call does nothing."""
        while self._clients:
            self._clients.popitem()[1].close()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=30)
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self, java: str, jars: str, attempts: int) -> None:
        port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="dynamodb-local-", ignore_cleanup_errors=True)
        log = Path(self._folder.name) / "log"
        command = [java, f"-Xmx{self._heap}", "-cp", f"{jars}/*:{SHORT_LIVED}", MAIN_CLASS]
        if self._records_s is not None:
            command[-1:] = [SHORT_LIVED_CLASS, str(int(self._records_s * 1000))]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", GUARD, "sh", *command, "-inMemory", "-disableTelemetry", "-port", str(port)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self._folder.name,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends the tests that use the server
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                printed = log.read_text(errors="replace")
                if "in use" in printed and attempts > 1:
                    # Another process was given the port meanwhile.
                    self.stop()
                    self._start(java, jars, attempts - 1)
                    return
                raise RuntimeError(f"DynamoDB Local did not start:\n{printed[-4000:]}")
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{port}"

    @overload
    def client(self, access_key: str, region: str = ..., service: Literal["dynamodb"] = ...) -> "DynamoDBClient": ...
    @overload
    def client(self, access_key: str, region: str, service: Literal["dynamodbstreams"]) -> "DynamoDBStreamsClient": ...
    def client(
        self,
        access_key: str,
        region: str = "us-east-1",
        service: Literal["dynamodb", "dynamodbstreams"] = "dynamodb",
    ) -> Any:
        """A boto3 client for the database of this key and Region: one for all who ask, closed when the server ends."""
        known = self._clients.get((access_key, region, service))
        if known is None:
            known = self._clients[access_key, region, service] = _session().client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=access_key,
                aws_secret_access_key=SECRET_KEY,
                config=Config(max_pool_connections=50, retries={"max_attempts": 0}),
            )
        return known

    def create_table(
        self,
        access_key: str,
        table: str,
        region: str = "us-east-1",
        keys: dict[str, str] | None = None,
        stream: "StreamViewTypeType | None" = "NEW_AND_OLD_IMAGES",
    ) -> str:
        """Create a table, by default with hash key `pk` (S) and its stream on; returns the stream's ARN, or "".

        `keys` maps one or two attribute names to their types, the hash key first: {"pk": "S", "sk": "N"}.
        """
        request = table_request(table, keys or {"pk": "S"}, stream)
        answer = self.client(access_key, region).create_table(**request)
        return answer["TableDescription"].get("LatestStreamArn", "")


def table_request(table: str, keys: dict[str, str], stream: "StreamViewTypeType | None") -> dict[str, Any]:
    """CreateTable's request; `keys` as of DynamoDBLocal.create_table, `stream` None: off."""
    request: dict[str, Any] = {
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in keys.items()],
        "KeySchema": [{"AttributeName": n, "KeyType": role} for n, role in zip(keys, ("HASH", "RANGE"), strict=False)],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if stream is not None:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream}
    return request


def new_access_key() -> str:
    """A key id that names a database nobody else uses. Letters and digits only: others are refused."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(20))


def java_and_jars(name: str) -> tuple[str, str]:
    """The java command, and the folder of what scripts/fetch_jars knows by `name`. Raises Unavailable."""
    done = subprocess.run([sys.executable, FETCH, name], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip())
    java, jars = done.stdout.splitlines()
    return java, jars


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 400  # it wants a signature, so it is there
    except OSError:
        return False
    finally:
        connection.close()


@cache
def _session() -> boto3.Session:
    """One for all: loading the service descriptions takes longer than starting a client."""
    return boto3.Session()
