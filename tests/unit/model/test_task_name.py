"""Names that must be the Java tool's to the letter, so that its lease table is found."""

import pytest

from dynamirror.errors import ExitCode, Refused
from dynamirror.model.task_name import LEASE_TABLE_PREFIX, lease_table_name, state_table_name

PAIR = (("us-east-1", "T1"), ("us-west-2", "T1"))


def test_the_name_without_a_task_name_is_the_java_tools() -> None:
    assert lease_table_name(None, *PAIR) == "DynamoDBCrossRegionReplication087d7f59f597b3def3afb113a28d23ca"


def test_a_task_name_follows_the_prefix() -> None:
    assert lease_table_name("orders", *PAIR) == "DynamoDBCrossRegionReplicationorders"


def test_a_name_as_long_as_a_table_name_may_be() -> None:
    room = 255 - len(LEASE_TABLE_PREFIX)
    assert len(lease_table_name("x" * room, *PAIR)) == 255
    with pytest.raises(Refused, match=r"would have 258 characters .* shorten --task-name by 3") as caught:
        lease_table_name("x" * (room + 3), *PAIR)
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_state_table_stands_beside_the_lease_table() -> None:
    assert state_table_name("DynamoDBCrossRegionReplicationorders") == "DynamoDBCrossRegionReplicationorders-state"
    assert state_table_name("x" * 249) == "x" * 249 + "-state"


def test_long_state_table_names_stay_apart() -> None:
    one, other = state_table_name("x" * 254 + "a"), state_table_name("x" * 254 + "b")
    assert one != other
    assert len(one) == len(other) == 255
    assert one.endswith("-state")
