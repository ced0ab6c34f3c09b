"""What a copy at rest says of what it sent too late."""

import asyncio
import logging

import pytest

from dynamirror.engines.assemble_at_rest import LateAtRest
from dynamirror.model.change import Write


def test_all_batches_of_a_page_are_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    late = LateAtRest()
    with caplog.at_level(logging.WARNING, "dynamirror.copy"):
        late.note([Write("a", b""), Write("b", b"")])
        late.note([Write("c", b"")])
        asyncio.run(late.say())
        asyncio.run(late.say())
    [record] = caplog.records
    assert record.getMessage().startswith("3 items were sent later than allowed")
