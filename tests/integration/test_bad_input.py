"""What an operator may get wrong: one clear line that says what to do, its exit code, nothing half-done."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dynamirror.model.task_name import LEASE_TABLE_PREFIX, lease_table_name
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.recording_proxy import DENIED, EXPIRED, RecordingProxy

SOURCE, DESTINATION = "us-east-1", "eu-west-1"


class Table:
    """A source, a destination, and the command that joins them; each test spoils something."""

    def __init__(self, local: DynamoDBLocal, access_key: str) -> None:
        self.local = local
        self.access_key = access_key
        self.environ = bare_environ(access_key)
        self.flags = {
            "--source-region": SOURCE,
            "--source-table": "Orders",
            "--source-endpoint": local.url,
            "--destination-region": DESTINATION,
            "--destination-table": "Copy",
            "--destination-endpoint": local.url,
        }

    def create(self, source_stream: bool = True) -> None:
        self.local.create_table(
            self.access_key, "Orders", SOURCE, stream="NEW_AND_OLD_IMAGES" if source_stream else None
        )
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)

    def arguments(self, *more: str) -> list[str]:
        return ["replicate", *(word for pair in self.flags.items() for word in pair), *more]

    def refused(self, *more: str) -> tuple[int, str]:
        """Run to the end; returns exit code and the one line on stderr that tells why."""
        done = subprocess.run(
            [sys.executable, "-m", "dynamirror", *self.arguments(*more)],
            check=False,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("dynamirror: ")]
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert "secret" not in done.stderr.lower().replace("aws_secret_access_key", "")
        return done.returncode, lines[0]

    def tables(self) -> set[str]:
        return {
            name
            for region in (SOURCE, DESTINATION)
            for name in self.local.client(self.access_key, region).list_tables()["TableNames"]
        }


@pytest.fixture
def table(dynamodb_local: DynamoDBLocal, access_key: str) -> Table:
    return Table(dynamodb_local, access_key)


def test_an_unknown_flag(table: Table) -> None:
    code, line = table.refused("--destinationTabel", "x")
    assert code == 2
    assert "did you mean --destination" in line


def test_a_flag_is_missing(table: Table) -> None:
    del table.flags["--source-table"]
    code, line = table.refused()
    assert code == 2
    assert "--source-table" in line


@pytest.mark.parametrize("flag", ["--source-region", "--kcl-region"])
def test_an_unknown_region(table: Table, flag: str) -> None:
    table.flags[flag] = "us-esat-1"
    del table.flags["--source-endpoint"]
    code, line = table.refused()
    assert code == 2
    assert f"{flag}: us-esat-1 is not a Region" in line
    assert "us-east-1" in line


@pytest.mark.parametrize("flag,value", [("--batch-size", "1001"), ("--max-idle-poll", "soon"), ("--start-at", "then")])
def test_a_value_that_cannot_be(table: Table, flag: str, value: str) -> None:
    code, line = table.refused(flag, value)
    assert code == 2
    assert flag in line
    assert value in line


def test_a_task_name_that_is_too_long(table: Table) -> None:
    code, line = table.refused("--task-name", "x" * 250)
    assert code == 2
    assert "255" in line


def test_a_profile_that_does_not_exist(table: Table) -> None:
    code, line = table.refused("--source-profile", "nobody")
    assert code == 2
    assert "--source-profile: " in line
    assert "nobody" in line


def test_a_missing_source_table(table: Table) -> None:
    code, line = table.refused()
    assert code == 3
    assert "source table Orders does not exist" in line


def test_a_missing_destination_table(table: Table) -> None:
    table.local.create_table(table.access_key, "Orders", SOURCE)
    code, line = table.refused()
    assert code == 4
    assert "destination table Copy does not exist" in line
    assert table.tables() == {"Orders"}, "nothing may be made before the checks are through"


def test_the_stream_is_off_and_can_be_switched_on(table: Table, tmp_path: Path) -> None:
    table.create(source_stream=False)
    code, line = table.refused()
    assert code == 3
    assert "aws dynamodb update-table" in line
    assert "--enable-stream" in line
    with _closed_port() as closed:
        code, line = table.refused("--enable-stream", "--source-streams-endpoint", closed)
    assert code == 3
    assert closed in line
    described = table.local.client(table.access_key, SOURCE).describe_table(TableName="Orders")["Table"]
    assert "LatestStreamArn" not in described, "a stream that cannot be read may not be switched on"
    with Command(table.arguments("--enable-stream"), tmp_path / "log", table.environ) as command:
        wait_until(lambda: "replicating" in command.output, 60, command)
        table.local.client(table.access_key, SOURCE).put_item(TableName="Orders", Item={"pk": {"S": "x"}})
        copy = table.local.client(table.access_key, DESTINATION)
        wait_until(lambda: copy.scan(TableName="Copy")["Count"] == 1, 60, command)


def test_the_stream_has_keys_only(table: Table) -> None:
    table.local.create_table(table.access_key, "Orders", SOURCE, stream="KEYS_ONLY")
    table.local.create_table(table.access_key, "Copy", DESTINATION, stream=None)
    code, line = table.refused("--enable-stream")
    assert code in (2, 3)
    assert "KEYS_ONLY" in line
    assert "NEW_AND_OLD_IMAGES" in line


def test_key_schemas_that_differ(table: Table) -> None:
    table.local.create_table(table.access_key, "Orders", SOURCE, {"pk": "S", "sk": "N"})
    table.local.create_table(table.access_key, "Copy", DESTINATION, {"pk": "S"}, stream=None)
    code, line = table.refused()
    assert code == 4
    assert "sk (N, range)" in line


def test_source_and_destination_are_one_table(table: Table) -> None:
    table.create()
    table.flags |= {"--destination-region": SOURCE, "--destination-table": "Orders"}
    code, line = table.refused()
    assert code == 2
    assert "same table" in line


def test_a_task_name_of_another_pair(table: Table, tmp_path: Path) -> None:
    table.create()
    table.local.create_table(table.access_key, "Other", DESTINATION, stream=None)
    with Command(table.arguments("--task-name", "mine"), tmp_path / "log", table.environ) as command:
        wait_until(lambda: "replicating" in command.output, 60, command)
        command.terminate()
    table.flags["--destination-table"] = "Other"
    code, line = table.refused("--task-name", "mine")
    assert code in (2, 5)
    assert "Copy" in line
    assert "--task-name" in line


def test_tables_that_are_deleted_under_a_worker(table: Table, tmp_path: Path) -> None:
    table.create()
    with Command(table.arguments("--task-name", "mine"), tmp_path / "log", table.environ) as command:
        wait_until(lambda: "lease_taken" in command.output, 60, command)
        table.local.client(table.access_key, SOURCE).delete_table(TableName=LEASE_TABLE_PREFIX + "mine-state")
        assert command.process.wait(timeout=60) == 5
        assert "dynamirror: the lease table" in command.output
        assert "was deleted under this worker" in command.output


def test_a_lease_table_of_something_else(table: Table) -> None:
    table.create()
    table.local.create_table(table.access_key, LEASE_TABLE_PREFIX + "taken", SOURCE, {"id": "S"}, stream=None)
    code, line = table.refused("--task-name", "taken")
    assert code == 5
    assert "leaseKey" in line


def test_the_reverse_task_is_running(table: Table, tmp_path: Path) -> None:
    table.create()
    table.local.client(table.access_key, DESTINATION).update_table(
        TableName="Copy", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    with Command(table.arguments(), tmp_path / "log", table.environ) as forth:
        wait_until(lambda: "replicating" in forth.output, 60, forth)
        back = Table(table.local, table.access_key)
        back.flags |= {"--source-region": DESTINATION, "--source-table": "Copy"}
        back.flags |= {"--destination-region": SOURCE, "--destination-table": "Orders"}
        code, line = back.refused()
        assert code == 2
        assert "--allow-loop" in line
        assert lease_table_name(None, (DESTINATION, "Copy"), (SOURCE, "Orders")) not in back.tables()
        with Command(back.arguments("--allow-loop"), tmp_path / "back", back.environ) as allowed:
            wait_until(lambda: "replicating" in allowed.output, 60, allowed)


def test_no_credentials(table: Table) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del table.environ[name]
    code, line = table.refused()
    assert code == 3
    assert "credentials" in line
    assert "AWS_ACCESS_KEY_ID" in line or "profile" in line


def test_expired_credentials(table: Table) -> None:
    table.create()
    with RecordingProxy(table.local.url, lambda key: None, EXPIRED) as proxy:
        table.flags["--source-endpoint"] = proxy.url
        code, line = table.refused()
    assert code == 3
    assert "expired" in line


def test_access_denied_names_the_action(table: Table) -> None:
    table.create()
    with RecordingProxy(table.local.url, lambda key: None, DENIED) as proxy:
        table.flags["--source-endpoint"] = proxy.url
        code, line = table.refused()
    assert code == 3
    assert "dynamodb:DescribeTable" in line


def test_an_endpoint_that_refuses(table: Table) -> None:
    with _closed_port() as url:
        table.flags["--source-endpoint"] = url
        code, line = table.refused()
    assert code == 3
    assert url in line


def test_an_endpoint_that_is_not_http(table: Table) -> None:
    with _raw_server(b"220 mail.example.com ESMTP\r\n") as url:
        table.flags["--source-endpoint"] = url
        code, line = table.refused()
    assert code == 3
    assert "not in HTTP" in line


@pytest.mark.parametrize("status", [200, 404])
def test_an_endpoint_that_is_not_dynamodb(table: Table, status: int) -> None:
    with _web_server(status) as url:
        table.flags["--source-endpoint"] = url
        code, line = table.refused()
    assert code == 3
    assert "not DynamoDB" in line


@pytest.mark.parametrize("what", ["refuses", "is not HTTP", "is not DynamoDB", "has no such stream"])
def test_a_streams_endpoint_is_checked_before_anything_is_made(table: Table, what: str) -> None:
    table.create()
    with (
        _closed_port() as closed,
        _raw_server(b"220 mail.example.com ESMTP\r\n") as mail,
        _web_server(404) as web,
        RecordingProxy(table.local.url, lambda key: "ANOTHERDATABASE") as other,
    ):
        urls = {"refuses": closed, "is not HTTP": mail, "is not DynamoDB": web, "has no such stream": other.url}
        code, line = table.refused("--source-streams-endpoint", urls[what])
    assert code == 3
    assert "stream" in line
    assert urls[what].removeprefix("http://") in line
    assert table.tables() == {"Orders", "Copy"}


@pytest.mark.parametrize(
    "flag", ["--source-endpoint", "--source-streams-endpoint", "--destination-endpoint", "--kcl-endpoint"]
)
def test_an_endpoint_that_is_no_url(table: Table, flag: str) -> None:
    table.flags[flag] = "ftp://localhost:8000"
    code, line = table.refused()
    assert code == 2
    assert f"{flag}: the endpoint ftp://localhost:8000 must start with https:// or http://" in line


def test_an_endpoint_of_the_environment_that_is_no_url(table: Table) -> None:
    del table.flags["--source-endpoint"]
    table.environ["AWS_ENDPOINT_URL"] = "ftp://localhost:8000"
    code, line = table.refused()
    assert code == 2
    assert "AWS_ENDPOINT_URL" in line
    assert "--source-region" not in line


def test_https_where_plain_http_is_spoken(table: Table) -> None:
    table.flags["--source-endpoint"] = table.local.url.removeprefix("http://")
    code, line = table.refused()
    assert code == 3
    assert "write http:// before the host" in line


def test_a_log_directory_that_is_a_file(table: Table, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, line = table.refused("--log-dir", str(tmp_path / "file"))
    assert code == 2
    assert "is, or is below, a file" in line


@contextmanager
def _closed_port() -> Iterator[str]:
    """A port that nobody listens on, nor will."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def _raw_server(greeting: bytes) -> Iterator[str]:
    """Something that speaks first, and not HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        client.sendall(greeting)
                        client.recv(65536)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def _web_server(status: int) -> Iterator[str]:
    """An ordinary web site."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
