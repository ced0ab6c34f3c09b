"""Socket tests run on both event loops: workers use uvloop where it is installed; its transports differ in detail."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Both loops for what has to do with sockets, the plain one for the rest."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop") is not None and item.path.name.startswith("test_http"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
