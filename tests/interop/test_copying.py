"""T12: a Java worker that starts while we copy the table finds shards only, and leaves what is ours alone."""

from typing import Any

import pytest

from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import DESTINATION, LEASES, SOURCE, START_S, SideBySide, held_java
from tests.support.command import wait_until

STATE = f"{LEASES}-state"
ITEMS, ITEM_BYTES = 600, 4000


@pytest.mark.long
def test_a_copy_and_a_java_worker_keep_out_of_each_others_way(side: SideBySide) -> None:
    padding = "x" * ITEM_BYTES
    for number in range(ITEMS):
        item: Any = {"pk": {"S": f"old{number}"}, "serial": {"N": "0"}, "padding": {"S": padding}}
        side.source.put_item(TableName=SOURCE, Item=item)
    with side.python("--copy", "--max-read-rate", "10") as python:
        wait_until(lambda: PYTHON in writers(side), START_S, python)
        with side.java() as java:
            held_java(java, side, 2)
            assert "event=copy_phase phase=over" not in python.output
            wait_until(lambda: "event=copy_phase phase=over" in python.output, 200, python)
            assert side.facts.tables_of(JAVA) <= {LEASES, SOURCE, DESTINATION, ""}
            assert side.facts.tables_of(PYTHON) >= {STATE}
            assert set(side.rows()) == set(side.stream.open_shards())
            side.put_all()
            side.check(java, tenures_max=4)
            python.alive()


def writers(side: SideBySide) -> set[str]:
    """Who has written to the destination so far."""
    return {write.writer for write in side.facts.writes()}
