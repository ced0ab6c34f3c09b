"""A stream that is switched off and on again beside a real `replicate`, with each policy."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import whole_table
from tests.support.verify_pair import VerifyPair


class Anew:
    """A pair that is replicated; the stream may be switched off and on."""

    def __init__(self, local: DynamoDBLocal, access_key: str, folder: Path) -> None:
        self.pair = VerifyPair(local, access_key, folder, items=40, small=True)
        self._runs = 0

    def run(self, *words: str) -> Command:
        self._runs += 1
        return self.pair.command(f"run{self._runs}", *words)

    def put(self, key: str) -> None:
        self.pair.source.put_item(TableName="Orders", Item={"pk": {"S": key}})

    def has(self, key: str) -> bool:
        return "Item" in self.pair.destination.get_item(TableName="Copy", Key={"pk": {"S": key}}, ConsistentRead=True)

    def switch(self, on: bool) -> None:
        how: Any = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"} if on else {"StreamEnabled": False}
        self.pair.source.update_table(TableName="Orders", StreamSpecification=how)

    def switch_off_and_on(self) -> None:
        """With changes that are in no stream."""
        self.switch(on=False)
        self.put("lost")
        self.pair.source.delete_item(TableName="Orders", Key={"pk": {"S": "item 0"}})
        self.switch(on=True)
        self.put("behind")

    def equal(self) -> bool:
        return whole_table(self.pair.source, "Orders") == whole_table(self.pair.destination, "Copy")


@pytest.fixture
def anew(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Anew:
    return Anew(dynamodb_local, access_key, tmp_path)


def followed(anew: Anew, key: str) -> None:
    """A run that applies this item, and is stopped in order."""
    with anew.run("replicate") as command:
        anew.put(key)
        wait_until(lambda: anew.has(key), 60)
        assert command.terminate()[0] == 0


def test_by_default_a_new_stream_stops_the_worker_once_the_old_one_is_applied(anew: Anew) -> None:
    followed(anew, "first")
    anew.put("left")
    anew.switch_off_and_on()
    with anew.run("replicate") as command:
        # What the old stream still has is applied first.
        assert command.process.wait(60) == 3, command.output
        assert "event=old_stream" in command.output
    assert anew.has("left")
    for _ in range(2):
        with anew.run("replicate") as command:
            assert command.process.wait(60) == 6
            assert "was switched off and on again" in command.output
            assert "--on-gap" in command.output
    assert not anew.has("behind")
    with anew.run("verify", "--since", "1h") as command:
        assert command.process.wait(60) == 3
        assert "follows an earlier stream" in command.output


def test_a_running_worker_goes_on_with_the_new_stream_where_it_may(anew: Anew) -> None:
    with anew.run("replicate", "--on-gap", "continue") as command:
        anew.put("first")
        wait_until(lambda: anew.has("first"), 60)
        anew.switch_off_and_on()
        wait_until(lambda: anew.has("behind"), 150)
        assert not anew.has("lost")
        assert command.terminate()[0] == 6
        assert "verify --repair" in command.output
    assert anew.pair.run("verify", "--repair", "--patience", "2s")[0] == 0
    assert anew.equal()
    followed(anew, "last")


def test_a_copy_and_its_gap_are_mended_by_the_task_itself(anew: Anew) -> None:
    flags = ("--copy", "--allow-non-empty", "--on-gap", "reconcile")
    with anew.run("replicate", *flags) as command:
        wait_until(anew.equal, 60)
        wait_until(lambda: "phase=over" in command.output, 150)
        assert command.terminate()[0] == 0
    anew.switch_off_and_on()
    with anew.run("replicate", *flags) as command:
        wait_until(lambda: "event=gap_closed" in command.output, 200)
        assert anew.equal()
        assert "event=copy_over_before" in command.output
        assert command.terminate()[0] == 0
