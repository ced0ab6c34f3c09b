"""Rows, conditions and expressions of the lease table against what KCL 1.7.5 writes and reads."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from dynamirror.aws.lease_rows import create_request, read_row, update_request
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.errors import ConditionFailed, Retry, Unanswered
from dynamirror.model.lease import (
    SHARD_END,
    Lease,
    Terms,
    Update,
    adopted,
    checkpoint,
    new_lease,
    release,
    renew,
    take,
)
from tests.support.script import ScriptedCaller

SHARD = "shardId-00000001700000000000-aaaaaaaa"
PARENT = "shardId-00000001699985600000-bbbbbbbb"
TABLE = "DynamoDBCrossRegionReplicationT"
TERMS = Terms("host-1-abc", 10_000, heartbeat=True)
HELD = Lease(SHARD, "100000000012345678901", TERMS.worker, 417, 1, (PARENT,), TERMS)

# The created row as a Java worker leaves it, and the one that a Java worker is processing.
CREATED: dict[str, Any] = {
    "leaseKey": {"S": SHARD},
    "leaseCounter": {"N": "0"},
    "ownerSwitchesSinceCheckpoint": {"N": "0"},
    "checkpoint": {"S": "TRIM_HORIZON"},
    "checkpointSubSequenceNumber": {"N": "0"},
    "parentShardId": {"SS": [PARENT]},
}
PROCESSING = {
    **CREATED,
    "leaseOwner": {"S": "workerDynamoDBCrossRegionReplicationT1"},
    "leaseCounter": {"N": "417"},
    "checkpoint": {"S": "100000000012345678901"},
}
OURS = {"xr_for": {"S": TERMS.worker}, "xr_leaseMs": {"N": "10000"}, "xr_hb": {"N": "1"}}


def plain(request: Any) -> Any:
    return json.loads(json.dumps(request))


def resolved(request: Any) -> tuple[str, str, dict[str, Any]]:
    """Update and condition with real names, and the values, of which none may be unused."""
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    update, condition = request["UpdateExpression"], request["ConditionExpression"]
    for placeholder in (*names, *values):
        assert placeholder in f"{update} {condition}", f"{placeholder} is used nowhere"
    for placeholder in sorted(names, key=len, reverse=True):
        update = update.replace(placeholder, names[placeholder])
        condition = condition.replace(placeholder, names[placeholder])
    return update, condition, values


def test_a_created_row_is_kcls() -> None:
    assert plain(create_request(new_lease(SHARD, (PARENT,)))) == {
        "Item": CREATED,
        "ConditionExpression": "attribute_not_exists(#leaseKey)",
        "ExpressionAttributeNames": {"#leaseKey": "leaseKey"},
    }


def test_a_first_shard_has_no_parent_attribute() -> None:
    assert "parentShardId" not in create_request(new_lease(SHARD, ()))["Item"]


def test_an_adopted_child_is_owned_from_the_start() -> None:
    row = create_request(adopted(replace(new_lease(SHARD, (PARENT,)), start_at_ms=5), TERMS))["Item"]
    assert row == CREATED | OURS | {
        "leaseOwner": {"S": TERMS.worker},
        "leaseCounter": {"N": "1"},
        "xr_startAt": {"N": "5"},
    }


def test_renew_moves_the_counter_only() -> None:
    assert resolved(update_request(renew(HELD))) == (
        "SET leaseCounter = :leaseCounter",
        "leaseCounter = :seen_leaseCounter AND leaseOwner = :seen_leaseOwner",
        {
            ":seen_leaseCounter": {"N": "417"},
            ":seen_leaseOwner": {"S": TERMS.worker},
            ":leaseCounter": {"N": "418"},
        },
    )


def test_taking_a_free_lease_demands_that_it_is_free() -> None:
    update, condition, values = resolved(update_request(take(new_lease(SHARD, (PARENT,)), TERMS, 0)))
    assert condition == "leaseCounter = :seen_leaseCounter AND attribute_not_exists(leaseOwner)"
    assert update == (
        "SET leaseCounter = :leaseCounter, leaseOwner = :leaseOwner, "
        "xr_for = :xr_for, xr_hb = :xr_hb, xr_leaseMs = :xr_leaseMs"
    )
    assert values == {
        ":seen_leaseCounter": {"N": "0"},
        ":leaseCounter": {"N": "1"},
        ":leaseOwner": {"S": TERMS.worker},
        **{":" + name: value for name, value in OURS.items()},
    }


def test_taking_from_another_owner_counts_the_switch_by_addition() -> None:
    java, _ = read_row(PROCESSING)
    assert java is not None
    update, condition, values = resolved(update_request(take(java, TERMS, 0)))
    assert update.endswith(" ADD ownerSwitchesSinceCheckpoint :ownerSwitchesSinceCheckpoint")
    assert values[":ownerSwitchesSinceCheckpoint"] == {"N": "1"}
    assert condition == "leaseCounter = :seen_leaseCounter AND leaseOwner = :seen_leaseOwner"
    assert values[":seen_leaseOwner"] == PROCESSING["leaseOwner"]
    assert "checkpoint =" not in update


@pytest.mark.parametrize("position", ["100000000012345678902", SHARD_END])
def test_a_checkpoint_resets_what_kcl_resets_and_never_reopens(position: str) -> None:
    update, condition, values = resolved(update_request(checkpoint(HELD, position)))
    assert update == (
        "SET leaseCounter = :leaseCounter, checkpoint = :checkpoint, "
        "checkpointSubSequenceNumber = :checkpointSubSequenceNumber, "
        "ownerSwitchesSinceCheckpoint = :ownerSwitchesSinceCheckpoint"
    )
    assert condition == (
        "leaseCounter = :seen_leaseCounter AND leaseOwner = :seen_leaseOwner AND checkpoint <> :not_checkpoint"
    )
    assert values == {
        ":seen_leaseCounter": {"N": "417"},
        ":seen_leaseOwner": {"S": TERMS.worker},
        ":not_checkpoint": {"S": "SHARD_END"},
        ":leaseCounter": {"N": "418"},
        ":checkpoint": {"S": position},
        ":checkpointSubSequenceNumber": {"N": "0"},
        ":ownerSwitchesSinceCheckpoint": {"N": "0"},
    }


def test_the_checkpoint_that_ends_skipping_says_so() -> None:
    update, _, _ = resolved(update_request(checkpoint(replace(HELD, start_at_ms=5), SHARD_END)))
    assert update.endswith(" REMOVE xr_startAt")


def test_release_leaves_no_owner_and_none_of_our_terms() -> None:
    update, condition, values = resolved(update_request(release(HELD)))
    assert update == (
        "SET leaseCounter = :leaseCounter, xr_clean = :xr_clean REMOVE leaseOwner, xr_for, xr_hb, xr_leaseMs"
    )
    assert condition == "leaseCounter = :seen_leaseCounter AND leaseOwner = :seen_leaseOwner"
    assert values[":leaseCounter"] == values[":xr_clean"] == {"N": "418"}


def test_a_take_removes_the_clean_mark() -> None:
    update, _, _ = resolved(update_request(take(release(HELD).after, TERMS, 0)))
    assert update.endswith(" REMOVE xr_clean")


@pytest.mark.parametrize("update", [take(new_lease(SHARD, ()), TERMS, 0), renew(HELD), release(HELD)])
def test_no_update_can_create_a_row(update: Update) -> None:
    """An absent row has no leaseCounter, and a comparison with an absent attribute is false."""
    first, *_ = update_request(update)["ConditionExpression"].split(" AND ")
    assert first == "#leaseCounter = :seen_leaseCounter"


def test_parents_are_never_rewritten() -> None:
    with pytest.raises(AssertionError):
        update_request(Update(HELD, replace(HELD, counter=418, parent_ids=())))


def test_a_java_row_is_read() -> None:
    assert read_row({**PROCESSING, "unknown": {"M": {}}}) == (
        Lease(SHARD, "100000000012345678901", "workerDynamoDBCrossRegionReplicationT1", 417, 0, (PARENT,)),
        [],
    )


def test_what_was_written_is_read_again() -> None:
    lease = replace(HELD, start_at_ms=1_700_000_000_000)
    assert read_row(create_request(lease)["Item"]) == (lease, [])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PROCESSING.items() if key != name}


@pytest.mark.parametrize(
    "row,why",
    [
        (without("leaseCounter"), "leaseCounter is missing"),
        (PROCESSING | {"leaseCounter": {"S": "1"}}, "leaseCounter is no integer"),
        (PROCESSING | {"leaseCounter": {"N": "1.5"}}, "leaseCounter is no integer"),
        (PROCESSING | {"leaseCounter": {"N": "9223372036854775808"}}, "leaseCounter is no integer"),
        (PROCESSING | {"leaseCounter": {"N": "1" * 38}}, "leaseCounter is no integer"),
        (without("ownerSwitchesSinceCheckpoint"), "ownerSwitchesSinceCheckpoint is missing"),
        (without("checkpoint"), "checkpoint is missing"),
        (PROCESSING | {"checkpoint": {"S": "AT_TIMESTAMP"}}, "checkpoint is neither"),
        (PROCESSING | {"checkpoint": {"S": "soon"}}, "checkpoint is neither"),
        (PROCESSING | {"checkpoint": {"S": ""}}, "checkpoint is no string"),
        (PROCESSING | {"checkpointSubSequenceNumber": {"N": "1"}}, "checkpointSubSequenceNumber is not 0"),
        (PROCESSING | {"parentShardId": {"S": PARENT}}, "parentShardId is no set"),
        (PROCESSING | {"parentShardId": {"L": [{"S": PARENT}]}}, "parentShardId is no set"),
        (PROCESSING | {"leaseOwner": {"NULL": True}}, "leaseOwner is no string"),
        (PROCESSING | {"entityType": {"S": "LEADER"}}, "entityType is not LEASE"),
        (PROCESSING | {"leaseKey": {"S": "bootstrap-segment-1"}}, "leaseKey is no shard id"),
        (PROCESSING | {"leaseKey": {"N": "1"}}, "leaseKey is no string"),
        (without("leaseKey"), "leaseKey is missing"),
    ],
)
def test_a_row_that_is_no_lease_is_left_out(row: Any, why: str) -> None:
    lease, [wrong] = read_row(row)
    assert lease is None
    assert why in wrong.why


@pytest.mark.parametrize(
    "attributes,why",
    [
        (OURS | {"xr_leaseMs": {"S": "10000"}}, "xr_leaseMs is no integer"),
        (OURS | {"xr_leaseMs": {"N": "0"}}, "xr_leaseMs is not positive"),
        ({"xr_for": {"S": "w"}}, "xr_leaseMs is missing"),
        ({"xr_startAt": {"S": "now"}}, "xr_startAt is no integer"),
    ],
)
def test_a_damaged_attribute_of_ours_makes_the_row_one_of_java(attributes: Any, why: str) -> None:
    java, _ = read_row(PROCESSING)
    lease, [wrong] = read_row(PROCESSING | attributes)
    assert lease == java
    assert why in wrong.why


async def test_a_scan_reads_all_pages_and_reports_a_bad_row_once(caplog: pytest.LogCaptureFixture) -> None:
    other = {**CREATED, "leaseKey": {"S": PARENT}}
    bad = {**CREATED, "leaseKey": {"S": "segment-1"}}
    torn = {**CREATED, "leaseKey": {"S": "shardId-7"}, "checkpoint": {"S": "here"}}
    pages = [{"Items": [CREATED, bad, torn], "LastEvaluatedKey": {"leaseKey": {"S": "segment-1"}}}, {"Items": [other]}]
    caller = ScriptedCaller(*pages, *pages)
    table = LeaseTable(caller, TABLE)
    with caplog.at_level(logging.ERROR, "dynamirror.leases"):
        for _ in range(2):
            assert [lease.shard_id for lease in await table.scan()] == [SHARD, PARENT]
    assert caller.requests[:2] == [
        {"TableName": TABLE},
        {"TableName": TABLE, "ExclusiveStartKey": {"leaseKey": {"S": "segment-1"}}},
    ]
    line, other_line = caplog.records
    assert "segment-1" in line.getMessage()
    assert "shardId-7" in other_line.getMessage()
    assert line.__dict__["event"] == "lease_row_refused"
    assert table.unreadable == {"shardId-7"}


async def test_of_a_second_scan_only_what_has_changed_is_read_anew() -> None:
    gone, same = ({**CREATED, "leaseKey": {"S": f"{SHARD}{i}"}} for i in range(2))
    moved = {**CREATED, "leaseCounter": {"N": "7"}}
    caller = ScriptedCaller(*({"Items": items} for items in ([CREATED, gone, same], [same, moved], [CREATED, same])))
    table = LeaseTable(caller, TABLE)
    first, second, third = [{lease.shard_id: lease for lease in await table.scan()} for _ in range(3)]
    key = same["leaseKey"]["S"]
    assert first.keys() == {SHARD, gone["leaseKey"]["S"], key}
    assert first[key] is second[key] is third[key]
    assert second.keys() == third.keys() == {SHARD, key}
    assert [seen[SHARD].counter for seen in (first, second, third)] == [first[SHARD].counter, 7, first[SHARD].counter]


async def test_get_is_consistent() -> None:
    caller = ScriptedCaller({"Item": PROCESSING}, {})
    table = LeaseTable(caller, TABLE)
    lease = await table.get(SHARD)
    assert lease is not None
    assert lease.counter == 417
    assert await table.get(SHARD) is None
    assert caller.asked[0] == (
        "GetItem",
        {"TableName": TABLE, "Key": {"leaseKey": {"S": SHARD}}, "ConsistentRead": True},
    )


async def test_a_damaged_row_does_not_pass_for_a_missing_one() -> None:
    """A child whose parent's row is missing may be read at once."""
    with pytest.raises(Retry, match="mend it"):
        await LeaseTable(ScriptedCaller({"Item": without("checkpoint")}), TABLE).get(SHARD)


async def test_create_tells_whether_the_row_is_new() -> None:
    caller = ScriptedCaller({}, ConditionFailed("it is there"))
    table = LeaseTable(caller, TABLE)
    assert await table.create(new_lease(SHARD, ()))
    assert not await table.create(new_lease(SHARD, ()))
    assert caller.asked[0][0] == "PutItem"
    assert caller.asked[0][1]["TableName"] == TABLE


async def test_an_update_is_one_attempt() -> None:
    caller = ScriptedCaller(ConditionFailed("moved"))
    with pytest.raises(ConditionFailed):
        await LeaseTable(caller, TABLE).update(renew(HELD))
    [(operation, request)] = caller.asked
    assert operation == "UpdateItem"
    assert request["Key"] == {"leaseKey": {"S": SHARD}}


async def test_an_unreadable_answer_is_no_answer() -> None:
    with pytest.raises(Unanswered, match="cannot be read"):
        await LeaseTable(ScriptedCaller(b'{"Items": 3}'), TABLE).scan()
    with pytest.raises(Unanswered, match="one of its rows: the answer"):
        await LeaseTable(ScriptedCaller(b'{"Items": [null]}'), TABLE).scan()
