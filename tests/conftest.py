"""Fixtures of all suites, and the environment that they run in."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from dynamirror.observe import logs
from tests.support.dynamodb_local import DynamoDBLocal, Unavailable, new_access_key
from tests.support.kcl import Kcl, find_kcl

# No test sees the developer's account, and none asks a metadata service for one, unless it is meant to.
if os.environ.get("REAL") != "1":
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

# A shell's background jobs ignore SIGINT, and so would every command that the tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("house", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("house")

UNAVAILABLE = "DynamoDB Local cannot be had: "
KCL_UNAVAILABLE = "KCL cannot be had: "


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBLocal]:
    """One DynamoDB Local for each process of the run; see its `url`, `client` and `create_table`.

    Where it cannot be had its tests are skipped and the run's end says so; with CI=true they fail.
    """
    with ExitStack() as stack:
        try:
            local = stack.enter_context(DynamoDBLocal())
        except Unavailable as reason:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{UNAVAILABLE}{' '.join(str(reason).split())}")
        yield local


@pytest.fixture(scope="session")
def kcl() -> Kcl:
    """The KCL of the Java tool, and the worker of the tests on it. Where it cannot be had: as `dynamodb_local`."""
    try:
        return find_kcl()
    except Unavailable as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{KCL_UNAVAILABLE}{' '.join(str(reason).split())}")


@pytest.fixture
def access_key() -> str:
    """A key of this test alone: with it a database of its own in DynamoDB Local, for each Region it names."""
    return new_access_key()


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Logging is the process's: each test gives back what it found."""
    root, ours = logging.getLogger(), logging.getLogger("dynamirror")
    before = root.handlers[:], root.level, ours.level
    yield
    for handler in [*root.handlers, *ours.handlers]:
        if handler not in before[0]:
            handler.close()
    while logs._held:
        logs._held.pop().close()
    root.handlers[:], ours.handlers[:] = before[0], []
    root.setLevel(before[1])
    ours.setLevel(before[2])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses DynamoDB Local is marked so, without being told."""
    for item in items:
        if "dynamodb_local" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.local)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A suite that did not run is the last thing one reads."""
    told = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for unavailable, what in ((UNAVAILABLE, "DynamoDB Local"), (KCL_UNAVAILABLE, "KCL beside DynamoDB Local")):
        if reasons := {text.partition(unavailable)[2].rstrip("')") for text in told if unavailable in text}:
            terminalreporter.write_line(
                f"NOT RUN: everything that needs {what}. {' '.join(sorted(reasons))}", red=True, bold=True
            )
