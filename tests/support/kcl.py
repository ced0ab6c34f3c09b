"""Workers on the real KCL 1.7.5, as processes: the Java tool's side of a lease table (support/java/KclWorker.java)."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.dynamodb_local import GUARD, Unavailable, java_and_jars

SOURCE = Path(__file__).parent / "java" / "KclWorker.java"
COMPILE_TIMEOUT_S = 120
# What KCL logs when a scan of the lease table or a sync of shards fails.
SCAN_FAILURES = re.compile(
    r"encountered in lease taking thread|Caught exception while sync'ing|Worker\.run caught exception"
    r"|Caught exception when initializing|NullPointerException"
)
# The SDK of those days makes its exceptions by reflection. Without this every refusal is an unknown one to KCL from
# Java 17 on, also that of a condition.
OPENED = ("--add-opens=java.base/java.lang=ALL-UNNAMED",)
LOG_FORMAT = "%1$tH:%1$tM:%1$tS.%1$tL %4$s %5$s%6$s%n"


@dataclass(frozen=True, slots=True)
class Kcl:
    """The java command, and where the classes are."""

    java: str
    classpath: str


@dataclass(frozen=True, slots=True)
class KclPlace:
    """What a worker copies, and by which lease table (which is also KCL's application name)."""

    url: str
    source_region: str
    stream_arn: str
    destination_region: str
    destination: str
    leases: str
    failover_s: float
    parent_poll_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """One thing the worker said that it did: worker NAME, begins SHARD PLACE, wrote SHARD COUNT SEQUENCE, ends ..."""

    at_s: float
    what: str
    words: tuple[str, ...]


class KclWorker:
    """`with KclWorker(kcl, place, folder / "java", environ) as java:`; two files are written, .log is KCL's own."""

    def __init__(self, kcl: Kcl, place: KclPlace, path: Path, environ: Mapping[str, str]) -> None:
        self._kcl = kcl
        self._place = place
        self._said, self._log = path.with_suffix(".said"), path.with_suffix(".log")
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        place = self._place
        command = [self._kcl.java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *OPENED]
        command += [f"-Djava.util.logging.SimpleFormatter.format={LOG_FORMAT}", "-cp", self._kcl.classpath, "KclWorker"]
        command += [place.url, place.source_region, place.stream_arn, place.destination_region, place.destination]
        command += [place.leases, str(round(place.failover_s * 1000)), str(round(place.parent_poll_s * 1000))]
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", GUARD, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            error.add_note(f"--- the Java worker ---\n{self._said.read_text()[-3000:]}\n{self.log[-6000:]}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, once entered."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """kill -9, and wait until it is gone. A second time does nothing."""
        if self.process.stdin is not None:
            self.process.stdin.close()  # GUARD
        self.process.wait()

    @property
    def log(self) -> str:
        """KCL's log so far."""
        return self._log.read_text(errors="replace")

    def said(self, what: str) -> list[Line]:
        """What the worker did so far, of one kind."""
        found = []
        for text in self._said.read_text().split("\n")[:-1]:
            at_ms, kind, *words = text.split(" ")
            if kind == what:
                found.append(Line(int(at_ms) / 1000, kind, tuple(words)))
        return found

    @property
    def name(self) -> str:
        """Its id in the lease table; empty until it has said so."""
        return next((line.words[0] for line in self.said("worker")), "")

    def alive(self) -> None:
        """Fail when the process has ended."""
        code = self.process.poll()
        assert code is None, f"the Java worker ended with {code}:\n{self.log[-6000:]}"

    def scan_failures(self) -> list[str]:
        """Lines of KCL's log that tell of a failed scan or sync."""
        return [line for line in self.log.splitlines() if SCAN_FAILURES.search(line)]


def find_kcl() -> Kcl:
    """The jars of the cache, fetched if need be, and the worker's classes, compiled if need be. Raises Unavailable."""
    java, jars = java_and_jars("kcl")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    classes = Path(jars).parent / f"kcl-worker-{digest}"
    if not classes.is_dir():
        _compile(classes, jars)
    return Kcl(java, f"{jars}/*{os.pathsep}{classes}")


def _compile(classes: Path, jars: str) -> None:
    """Into a folder that appears whole or not at all; whoever comes second keeps the first one's."""
    javac = shutil.which("javac")
    if javac is None:
        raise Unavailable("no javac on PATH: install a JDK, the worker of the tests is compiled with it")
    with tempfile.TemporaryDirectory(dir=classes.parent) as scratch:
        made = Path(scratch) / "classes"
        command = [javac, "-nowarn", "-proc:none", "-d", str(made), "-cp", f"{jars}/*", str(SOURCE)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        try:
            made.rename(classes)
        except OSError:
            if not classes.is_dir():
                raise
