"""The command on an AWS account, between two Regions: one item, then mixed changes through a kill."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dynamirror.model.task_name import lease_table_name, state_table_name
from tests.support.account import DESTINATION, ENDPOINT, SOURCE, Account
from tests.support.command import Command, wait_until
from tests.support.items import random_item, whole_table

pytestmark = pytest.mark.real
CHANGES = 2_000
KEYS = 100


def key_of(number: int) -> Any:
    """The key of one of the items that are written over and over."""
    return {"pk": {"S": f"key {number:03} ü"}}


class Pair:
    """A source with its stream on, and an empty destination."""

    def __init__(self, source: Account, destination: Account, log: Path) -> None:
        self.source, self.destination = source, destination
        self.here, self.there = source.prefix + "source", destination.prefix + "destination"
        self._log = log
        # So that the names of its leases too are nobody else's.
        self._task = source.prefix.rstrip("-")
        leases = lease_table_name(self._task, (SOURCE, self.here), (DESTINATION, self.there))
        for name in (leases, state_table_name(leases)):
            source.sweep(name)
        source.create("source", {"pk": "S"}, streaming=True)
        destination.create("destination", {"pk": "S"})

    def command(self) -> Command:
        flags = ["--sourceRegion", SOURCE, "--sourceTable", self.here]
        flags += ["--destinationRegion", DESTINATION, "--destinationTable", self.there, "--taskName", self._task]
        if ENDPOINT is not None:
            flags += ["--sourceEndpoint", ENDPOINT, "--destinationEndpoint", ENDPOINT]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DYNAMIRROR_")}
        return Command(flags, self._log, ours)

    def write(self, count: int, rng: random.Random) -> None:
        """Puts and deletes in batches of 24, and an update after each."""
        for first in range(0, count, 25):
            batch: list[Any] = []
            updated, *numbers = rng.sample(range(KEYS), 25)
            for number in numbers:
                key = key_of(number)
                item = key | random_item(rng) | {"serial": {"N": str(first + len(batch))}}
                deletes = rng.random() < 0.2
                batch.append({"DeleteRequest": {"Key": key}} if deletes else {"PutRequest": {"Item": item}})
            left: Any = {self.here: batch}
            while left:
                left = self.source.client.batch_write_item(RequestItems=left)["UnprocessedItems"]
            self.source.client.update_item(
                TableName=self.here,
                Key=key_of(updated),
                UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    def equal(self) -> bool:
        here, there = (self.source.client, self.here), (self.destination.client, self.there)
        return whole_table(*here) == whole_table(*there)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        source, destination = stack.enter_context(Account(SOURCE)), stack.enter_context(Account(DESTINATION))
        yield Pair(source, destination, tmp_path / "log")


@pytest.mark.timeout(600)
def test_changes_arrive_and_nothing_is_lost_through_a_kill(pair: Pair) -> None:
    pair.source.client.put_item(TableName=pair.here, Item={"pk": {"S": "one"}, "n": {"N": "1"}})
    with pair.command() as command:
        wait_until(pair.equal, 120, command)
        pair.write(CHANGES // 2, random.Random(1))
        time.sleep(0.5)
        command.kill()
    pair.write(CHANGES // 2, random.Random(2))
    with pair.command() as command:
        wait_until(pair.equal, 240, command)
        # Late writes of the killed process, if any, are written over after T + L.
        time.sleep(45)
        assert pair.equal()
        assert command.terminate()[0] == 0
    assert len(whole_table(pair.destination.client, pair.there)) > KEYS / 2
