"""What becomes of one POST, with real sockets: an answer, Unreachable (nothing was sent) or Unanswered."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from dynamirror.aws import http_connection
from dynamirror.aws.http import HttpPool, Request, tls_context
from dynamirror.errors import Refused, Side, Stop, Unanswered, Unreachable
from tests.support.aws_servers import answer, answering, proxying, read_request, serving


def pool(environ: Mapping[str, str] | None = None, ca: str | None = None, **limits: Any) -> HttpPool:
    return HttpPool(Side.SOURCE, environ or {}, tls_context(ca), **limits)


def post(url: str, body: bytes = b"{}") -> Request:
    return Request(url, {"Host": "x", "X-Amz-Target": "T"}, body)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "table.test").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


async def test_a_connection_is_kept_and_the_request_arrives_as_it_is() -> None:
    async with answering(answer(b'{"a":1}'), answer(b"", "400 Bad")) as server, pool() as http:
        first = await http.send(post(server.url, b"x" * 300_000), 5)
        second = await http.send(post(server.url), 5)
    assert (first.status, first.body, first.headers["x-amz-crc32"]) == (200, b'{"a":1}', "1444654255")
    assert (second.status, second.body) == (400, b"")
    assert server.connections == 1
    line, headers, body = server.requests[0]
    assert (line, len(body)) == ("POST / HTTP/1.1", 300_000)
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == "x"
    assert headers["user-agent"].startswith("dynamirror/")


async def test_connections_are_bounded_and_the_wait_for_one_counts() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await go_on.wait()
            writer.write(answer())

    go_on = asyncio.Event()
    async with serving(slow) as server, pool(connections_max=2) as http:
        six = asyncio.gather(*[http.send(post(server.url), 30) for _ in range(6)])
        await asyncio.sleep(0.2)
        go_on.set()
        await six
        assert server.connections == 2
        go_on.clear()
        holders = [asyncio.create_task(http.send(post(server.url), 30)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="no free connection"):
            await http.send(post(server.url), 0.05)
        go_on.set()
        await asyncio.gather(*holders)


async def test_what_waits_while_the_machine_sleeps_past_its_time_is_never_sent() -> None:
    """The loop's timers stand still then; what left late could land on another owner's write."""
    slept_s = 0.0
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            arrived.set()
            await go_on.wait()
            writer.write(answer())

    async with serving(slow) as server, pool(connections_max=1, boottime_s=lambda: 1000.0 + slept_s) as http:
        first = asyncio.create_task(http.send(post(server.url), 5))
        await arrived.wait()
        second = asyncio.create_task(http.send(post(server.url), 5))
        await asyncio.sleep(0)
        slept_s = 5.5
        go_on.set()
        assert (await first).status == 200
        with pytest.raises(Unreachable, match="not sent in time; did this machine sleep"):
            await second
        # Nobody knows what became of a connection meanwhile.
        slept_s += 60.0
        await http.send(post(server.url), 5)
    assert server.connections == 2


async def test_refused_connections_and_unknown_names_are_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with pool() as http:
            with pytest.raises(Unreachable, match=r"could not connect to http://127\.0\.0\.1"):
                await http.send(post(f"http://127.0.0.1:{port}/"), 5)
            with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
                await http.send(post("http://no-such-host.invalid/"), 5)


async def test_a_connection_that_does_not_come_about_in_time_is_unreachable() -> None:
    # The port listens, but TLS never answers: nothing of the request has left.
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as server, pool() as http:
        with pytest.raises(Unreachable, match="in time"):
            await http.send(post(server.url.replace("http", "https")), 0.2)


async def test_a_late_answer_is_unanswered_and_its_connection_is_reset() -> None:
    ended: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        try:
            await reader.read(1)
            ended.put_nowait(None)
        except OSError as failure:
            ended.put_nowait(failure)

    async with serving(never) as server, pool() as http:
        with pytest.raises(Unanswered, match="no complete answer"):
            await http.send(post(server.url), 1.0)
        assert isinstance(await ended.get(), ConnectionResetError)
        with pytest.raises(Unanswered):
            await http.send(post(server.url), 1.0)
    assert server.connections == 2


async def test_what_was_not_sent_when_time_ran_out_is_never_sent() -> None:
    got = 0
    go_on, done = asyncio.Event(), asyncio.Event()

    async def stalled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await go_on.wait()
        try:
            while data := await reader.read(1 << 20):
                got += len(data)
        finally:
            done.set()

    async with serving(stalled) as server, pool() as http:
        with pytest.raises(Unanswered):
            await http.send(post(server.url, b"x" * 50_000_000), 3.0)
        go_on.set()
        await done.wait()
    assert got < 20_000_000


async def test_a_cancelled_request_is_aborted_too() -> None:
    ended: asyncio.Queue[bool] = asyncio.Queue()
    arrived = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        try:
            await reader.read(1)
            ended.put_nowait(False)
        except ConnectionResetError:
            ended.put_nowait(True)

    async with serving(never) as server, pool(connections_max=1) as http:
        task = asyncio.create_task(http.send(post(server.url), 30))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ended.get()
        # Its place is free again.
        with pytest.raises(Unanswered):
            await http.send(post(server.url), 1.0)


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 20", answer(b"123456")[:-2]], ids=["none", "head", "body"])
async def test_a_connection_lost_before_the_whole_answer_is_unanswered(beginning: bytes) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(beginning)

    async with serving(cut) as server, pool() as http:
        with pytest.raises(Unanswered, match="lost before the answer"):
            await http.send(post(server.url), 5)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"-ERR unknown\r\n\r\n"])
async def test_another_protocol_stops(said: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await reader.read()

    async with serving(other) as server, pool() as http:
        with pytest.raises(Stop, match="answered, but not in HTTP") as caught:
            await http.send(post(server.url), 5)
    assert caught.value.side is Side.SOURCE


async def test_a_connection_that_the_server_closed_while_it_rested_is_not_used() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())

    async with serving(once) as server, pool() as http:
        for _ in range(3):
            assert (await http.send(post(server.url), 5)).status == 200
            await asyncio.sleep(0.06)
    assert server.connections == 3


async def test_an_answer_that_announces_the_close_is_the_last_on_its_connection() -> None:
    async with answering(answer(headers=["Connection: close"])) as server, pool() as http:
        for _ in range(2):
            assert (await http.send(post(server.url), 5)).status == 200
    assert server.connections == 2


async def test_an_answer_before_the_end_of_the_request_is_an_answer_and_the_rest_is_not_sent() -> None:
    got = 0
    done = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        got += len(await reader.read(1000))
        writer.write(answer(b"", "413 Too large"))
        await asyncio.sleep(0.2)
        try:
            while data := await reader.read(1 << 20):
                got += len(data)
        finally:
            done.set()

    async with serving(early) as server, pool() as http:
        assert (await http.send(post(server.url, b"x" * 50_000_000), 5)).status == 413
        await done.wait()
    assert got < 20_000_000


@pytest.mark.parametrize("size", [1000, 50_000_000])
async def test_success_before_the_end_of_the_request_is_no_answer_to_it(size: int) -> None:
    """Nobody can have carried out what has not come yet: it was said to somebody else."""
    done = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(size)
        writer.write(answer())
        await done.wait()

    async with serving(early) as server, pool() as http:
        if size == 1000:
            assert (await http.send(post(server.url, b"x" * (size - 500)), 5)).status == 200
        else:
            with pytest.raises(Unanswered, match="answered before the request was sent"):
                await http.send(post(server.url, b"x" * size), 5)
        done.set()


async def test_what_came_unasked_is_never_the_answer_to_the_next_request() -> None:
    """However short the connection has rested, and though the loop has not read it yet."""
    say_it_again, said_again = threading.Event(), threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        first, _ = listening.accept()
        first.recv(65536)
        first.sendall(answer(b'{"request":1}'))
        say_it_again.wait(5)
        first.sendall(answer(b'{"request":1}'))
        said_again.set()
        second, _ = listening.accept()
        second.recv(65536)
        second.sendall(answer(b'{"request":2}'))
        first.close()
        second.close()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    async with pool(boottime_s=lambda: 0.0) as http:
        assert (await http.send(post(url), 5)).body == b'{"request":1}'
        say_it_again.set()
        # Blocks the loop, as work of its own does.
        assert said_again.wait(5)
        assert (await http.send(post(url), 5)).body == b'{"request":2}'
    server.join(5)
    listening.close()


async def test_redirects_are_answers() -> None:
    async with answering(answer(b"", "301 Moved", ["Location: http://127.0.0.1:1/"])) as server, pool() as http:
        assert (await http.send(post(server.url), 5)).status == 301


async def test_tls_is_verified_against_the_bundle(server_tls: ssl.SSLContext, ca_file: str) -> None:
    async with answering(answer(), tls=server_tls) as server:
        url = f"https://localhost:{server.port}/"
        async with pool(ca=ca_file) as http:
            for _ in range(2):
                assert (await http.send(post(url), 5)).status == 200
            with pytest.raises(Unreachable, match="no TLS connection"):
                await http.send(post(f"https://127.0.0.1:{server.port}/"), 5)
        async with pool() as http:
            with pytest.raises(Unreachable, match="AWS_CA_BUNDLE"):
                await http.send(post(url), 5)
    assert server.connections == 1


def test_a_bundle_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for name in ("missing.pem", "bad.pem"):
        with pytest.raises(Refused, match=name):
            tls_context(str(tmp_path / name))
    tls_context(str(tmp_path))


@pytest.mark.parametrize("user", [None, "ann:s%21cret"])
async def test_https_goes_through_the_proxy(server_tls: ssl.SSLContext, ca_file: str, user: str | None) -> None:
    wanted = "Basic YW5uOnMhY3JldA==" if user else None
    async with answering(answer(), tls=server_tls) as server, proxying(wanted) as proxy:
        at = f"{user}@" if user else ""
        environ = {"HTTPS_PROXY": f"http://{at}127.0.0.1:{proxy.port}", "NO_PROXY": "other.test"}
        async with pool(environ, ca_file) as http:
            for _ in range(2):
                assert (await http.send(post(f"https://table.test:{server.port}/"), 5)).status == 200
    assert [line for line, _, _ in proxy.requests] == [f"CONNECT table.test:{server.port} HTTP/1.1"]
    assert "proxy-authorization" not in server.requests[0][1]


async def test_a_proxy_that_refuses_makes_the_service_unreachable_and_its_password_is_not_told() -> None:
    async with proxying(verdict="403 Forbidden") as proxy:
        environ = {"https_proxy": f"http://ann:secret@127.0.0.1:{proxy.port}"}
        async with pool(environ) as http:
            with pytest.raises(Unreachable, match="the proxy answered 403") as caught:
                await http.send(post("https://table.test/"), 5)
    assert "secret" not in str(caught.value)


async def test_plain_http_names_the_whole_url_to_the_proxy() -> None:
    async with answering(answer()) as proxy, pool({"http_proxy": f"127.0.0.1:{proxy.port}"}) as http:
        assert (await http.send(post("http://table.test:8000/"), 5)).status == 200
    assert proxy.requests[0][0] == "POST http://table.test:8000/ HTTP/1.1"


@pytest.mark.parametrize(
    "environ",
    [
        {"http_proxy": "", "HTTP_PROXY": "http://127.0.0.1:1"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "localhost,127.0.0.1"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "no_proxy": "*"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "REQUEST_METHOD": "GET"},
        {"HTTPS_PROXY": "http://127.0.0.1:1"},
    ],
)
async def test_the_proxy_is_left_out(environ: dict[str, str]) -> None:
    async with answering(answer()) as server, pool(environ) as http:
        assert (await http.send(post(server.url), 5)).status == 200


async def test_a_line_break_in_a_header_is_refused_before_anything_is_sent() -> None:
    async with answering(answer()) as server, pool() as http:
        with pytest.raises(Refused, match="credentials"):
            await http.send(Request(server.url, {"X-Amz-Security-Token": "a\nb: c"}, b""), 5)
    assert server.connections == 0


async def test_sockets_send_at_once_and_give_up_after_the_time_out() -> None:
    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        await reader.read()

    opened: list[socket.socket] = []
    connect_one = http_connection._connect_one

    async def spy(*arguments: Any) -> socket.socket:
        opened.append(await connect_one(*arguments))
        return opened[-1]

    async with serving(noting) as server, pool(unacknowledged_s=3.5) as http:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http_connection, "_connect_one", spy)
            await http.send(post(server.url), 5)
        assert opened[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert opened[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3500
