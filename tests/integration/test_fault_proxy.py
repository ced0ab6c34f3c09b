"""The bench does what the tests that stand on it take for granted: pass-through, signatures, faults, capacity."""

import json
import time
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)

from tests.bench.faults import Kind
from tests.bench.harness import REGION, Bench, error_of, signed_post, struck
from tests.bench.signature import Credential
from tests.support.command import wait_until


class TestPassThrough:
    def test_answers_come_back_as_dynamodb_local_gave_them(self, bench: Bench) -> None:
        bench.put("a", note={"S": "ü"})
        body = b'{"TableName" : "Orders", "Key": {"pk": {"S": "a"}}}'
        status, headers, got = signed_post(bench.thread.url, bench.access_key, "DynamoDB_20120810.GetItem", body)
        direct = signed_post(bench.local.url, bench.access_key, "DynamoDB_20120810.GetItem", body)
        assert (status, got) == (200, direct[2])
        assert headers["x-amz-crc32"] == direct[1]["x-amz-crc32"] == str(crc32(got))
        assert headers["content-type"] == direct[1]["content-type"]

    def test_errors_too(self, bench: Bench) -> None:
        name, answer = error_of(lambda: bench.tables.describe_table(TableName="None"))
        assert name == "ResourceNotFoundException"
        assert answer == error_of(lambda: bench.direct.describe_table(TableName="None"))[1] | {
            "ResponseMetadata": answer["ResponseMetadata"]
        }

    def test_a_stream_that_is_not_sharded_stays_as_it_is(self, bench: Bench) -> None:
        bench.put("a")
        [shard_id] = bench.listed()
        assert [key for _, key in bench.drain(shard_id)] == ["a"]

    def test_the_journal_has_every_request(self, bench: Bench) -> None:
        bench.put("a")
        batch = [{"PutRequest": {"Item": {"pk": {"S": f"k{n}"}}}} for n in range(7)]
        bench.tables.batch_write_item(RequestItems={"Orders": batch})  # type: ignore[dict-item]
        [put] = bench.journal.of("PutItem", "Orders")
        assert (put.status, put.fault, put.call.keys, put.call.region) == (200, "", 1, REGION)
        assert put.performed_at_s is not None
        [write] = bench.journal.of("BatchWriteItem", "Orders")
        assert write.call.keys == 7
        assert bench.journal.operations() == {"PutItem": 1, "BatchWriteItem": 1}


class TestSignatures:
    def test_a_wrong_secret_is_refused_and_nothing_is_applied(self, bench: Bench) -> None:
        name, answer = error_of(lambda: bench.put("a", bench.client("dynamodb", secret="other")))
        assert name == "InvalidSignatureException"
        assert "does not match the signature you provided" in answer["Error"]["Message"]
        assert not bench.has("a")

    def test_an_unknown_key_is_refused(self, bench: Bench) -> None:
        assert error_of(lambda: bench.put("a", bench.client("dynamodb", key="AKIDUNKNOWN")))[0] == (
            "UnrecognizedClientException"
        )

    def test_a_session_token_must_be_the_right_one(self, bench: Bench) -> None:
        bench.proxy.credentials["AKIDROLE"] = Credential("role secret", "token", database=bench.access_key)
        bench.put("a", bench.client("dynamodb", "role secret", "AKIDROLE", "token"))
        assert bench.has("a"), "the role's requests go to the account's own database"
        wrong = bench.client("dynamodb", "role secret", "AKIDROLE", "token of before")
        assert error_of(lambda: bench.put("b", wrong))[0] == "UnrecognizedClientException"

    def test_credentials_expire(self, bench: Bench) -> None:
        bench.proxy.credentials["AKIDROLE"] = Credential(
            "s", "t", database=bench.access_key, expires_at_s=time.time() - 1
        )
        assert error_of(lambda: bench.put("a", bench.client("dynamodb", "s", "AKIDROLE", "t")))[0] == (
            "ExpiredTokenException"
        )

    @pytest.mark.parametrize(
        "change,name",
        [
            ({"body": b'{"TableName":"Order2"}'}, "InvalidSignatureException"),
            ({"x-amz-target": "DynamoDB_20120810.DeleteTable"}, "InvalidSignatureException"),
            ({"authorization": None}, "MissingAuthenticationTokenException"),
            ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, "IncompleteSignatureException"),
            ({"signed_at_s": -400.0}, "InvalidSignatureException"),
            ({"signed_at_s": 400.0}, "InvalidSignatureException"),
        ],
    )
    def test_what_was_changed_after_signing_is_refused(self, bench: Bench, change: dict[str, Any], name: str) -> None:
        target = "DynamoDB_20120810.DescribeTable"
        status, _, body = signed_post(bench.thread.url, bench.access_key, target, b'{"TableName":"Orders"}', change)
        assert status == 400
        assert json.loads(body)["__type"].partition("#")[2] == name
        if "signed_at_s" in change:
            assert b"Signature " in body, body
        assert bench.direct.describe_table(TableName="Orders")


class TestFaults:
    @pytest.mark.parametrize(
        "kind,error",
        [
            (Kind.INTERNAL_ERROR, "InternalServerError"),
            (Kind.UNAVAILABLE, "ServiceUnavailableException"),
            (Kind.EXPIRED, "ExpiredTokenException"),
        ],
    )
    def test_a_refusal_is_not_applied(self, bench: Bench, kind: Kind, error: str) -> None:
        bench.faults.add(kind, ["PutItem"], count=1)
        assert error_of(lambda: bench.put("a"))[0] == error
        assert not bench.has("a")
        struck(bench, kind, applied=False)
        bench.put("a")
        assert bench.has("a")

    def test_throttles_name_their_reasons(self, bench: Bench) -> None:
        bench.faults.add(Kind.THROTTLE, ["PutItem", "GetShardIterator", "DescribeTable"])
        seen = {}
        for _ in range(40):
            name, answer = error_of(lambda: bench.put("a"))
            [reason] = answer.get("ThrottlingReasons") or answer["throttlingReasons"]
            assert reason["resource"].endswith("table/Orders")
            seen[name, reason["reason"]] = True
        assert set(seen) == {
            ("ProvisionedThroughputExceededException", "TableWriteProvisionedThroughputExceeded"),
            ("ProvisionedThroughputExceededException", "TableWriteKeyRangeThroughputExceeded"),
            ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded"),
            ("ThrottlingException", "TableWriteMaxOnDemandThroughputExceeded"),
            ("RequestLimitExceeded", "TableWriteAccountLimitExceeded"),
        }
        assert not bench.has("a")
        assert error_of(lambda: bench.tables.describe_table(TableName="Orders"))[0] == "ThrottlingException"
        assert error_of(lambda: bench.iterator("shardId-00000000000000000001-00000000"))[0] == "ThrottlingException"

    def test_part_of_a_batch_of_writes_comes_back(self, bench: Bench) -> None:
        bench.faults.add(Kind.UNPROCESSED, count=1)
        names = [f"k{n}" for n in range(25)]
        batch: Any = [{"PutRequest": {"Item": {"pk": {"S": name}, "b": {"B": b"\0"}}}} for name in names]
        answer = bench.tables.batch_write_item(RequestItems={"Orders": batch}, ReturnConsumedCapacity="TOTAL")
        left: Any = answer["UnprocessedItems"]["Orders"]
        assert 1 <= len(left) < 25
        assert all(request in batch for request in left), "what comes back is what was sent"
        assert {name for name in names if bench.has(name)} == set(names) - {
            request["PutRequest"]["Item"]["pk"]["S"] for request in left
        }
        assert answer["ConsumedCapacity"][0]["TableName"] == "Orders"

    def test_part_of_a_batch_of_reads_comes_back(self, bench: Bench) -> None:
        keys: Any = [{"pk": {"S": f"k{n}"}} for n in range(10)]
        for n in range(10):
            bench.put(f"k{n}")
        bench.faults.add(Kind.UNPROCESSED, count=1)
        answer = bench.tables.batch_get_item(RequestItems={"Orders": {"Keys": keys, "ConsistentRead": True}})
        left = answer["UnprocessedKeys"]["Orders"]
        assert left["ConsistentRead"] is True
        got = answer["Responses"]["Orders"]
        assert sorted(item["pk"]["S"] for item in [*got, *left["Keys"]]) == sorted(key["pk"]["S"] for key in keys)
        assert got
        assert left["Keys"]

    @pytest.mark.parametrize("kind", [Kind.RESET_BEFORE, Kind.RESET_AFTER])
    def test_a_reset(self, bench: Bench, kind: Kind) -> None:
        bench.faults.add(kind, ["PutItem"], count=1)
        with pytest.raises(ConnectionClosedError):
            bench.put("a")
        struck(bench, kind, applied=kind is Kind.RESET_AFTER)
        assert bench.has("a") is (kind is Kind.RESET_AFTER)

    def test_a_reset_is_one_of_tcp(self, bench: Bench) -> None:
        bench.faults.add(Kind.RESET_BEFORE, count=1)
        with pytest.raises(ConnectionResetError):
            signed_post(bench.thread.url, bench.access_key, "DynamoDB_20120810.ListTables", b"{}")

    def test_a_late_write_lands_after_newer_ones(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.bench.strikes.LATE_S", (5.0, 5.0))
        bench.faults.add(Kind.LATE, count=1)
        bench.tables.describe_table(TableName="Orders")
        assert not bench.faults.counts, "only writes are late"
        with pytest.raises(ConnectionClosedError):
            bench.put("a", version={"N": "1"})
        assert bench.proxy.late_pending == 1
        bench.put("a", version={"N": "2"})
        assert bench.item("a")["version"] == {"N": "2"}
        wait_until(lambda: bench.proxy.late_pending == 0, 30)
        assert bench.item("a")["version"] == {"N": "1"}
        struck(bench, Kind.LATE, applied=True)

    @pytest.mark.parametrize("kind", [Kind.HANG, Kind.HANG_APPLIED])
    def test_a_hang_lasts_until_the_client_gives_up(self, bench: Bench, kind: Kind) -> None:
        bench.faults.add(kind, ["PutItem"], count=1)
        begun_s = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            bench.put("a", bench.client("dynamodb", timeout_s=1.0))
        assert time.monotonic() - begun_s > 0.9
        struck(bench, kind, applied=kind is Kind.HANG_APPLIED)
        assert bench.has("a") is (kind is Kind.HANG_APPLIED)

    def test_an_answer_in_drips_is_whole(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.bench.strikes.DRIP_S", (0.8, 0.8))
        bench.faults.add(Kind.DRIP, count=1)
        begun_s = time.monotonic()
        bench.put("a")
        assert time.monotonic() - begun_s > 0.7
        struck(bench, Kind.DRIP, applied=True)

    def test_a_truncated_body(self, bench: Bench) -> None:
        bench.faults.add(Kind.TRUNCATED, ["ListTables"], count=1)
        with pytest.raises((HTTPClientError, BotoCoreError)):
            bench.tables.list_tables()
        struck(bench, Kind.TRUNCATED, applied=True)

    def test_a_corrupt_body_has_the_checksum_of_the_true_one(self, bench: Bench) -> None:
        bench.faults.add(Kind.CORRUPT, count=1)
        target = "DynamoDB_20120810.ListTables"
        _, headers, body = signed_post(bench.thread.url, bench.access_key, target, b"{}")
        assert headers["x-amz-crc32"] != str(crc32(body))
        _, headers, whole = signed_post(bench.thread.url, bench.access_key, target, b"{}")
        assert headers["x-amz-crc32"] == str(crc32(whole))
        assert len(body) == len(whole)
        assert sum(one != other for one, other in zip(body, whole, strict=True)) == 1
        struck(bench, Kind.CORRUPT, applied=True)

    def test_errors_are_corrupted_too_and_noted_as_they_were(self, bench: Bench) -> None:
        # Whichever byte it is: many are needed for the name to be unreadable.
        bench.faults.add(Kind.CORRUPT, count=200)
        for _ in range(200):
            status, _, _ = signed_post(
                bench.thread.url, bench.access_key, "DynamoDB_20120810.DescribeTable", b'{"TableName":"Missing"}'
            )
            assert status == 400
        assert bench.journal.errors() == {"ResourceNotFoundException": 200}

    def test_an_html_page_of_a_middlebox(self, bench: Bench) -> None:
        bench.faults.add(Kind.HTML, count=1)
        target = "DynamoDB_20120810.ListTables"
        status, headers, body = signed_post(bench.thread.url, bench.access_key, target, b"{}")
        assert status in (502, 503, 504)
        assert headers["content-type"] == "text/html"
        assert body.startswith(b"<html>")
        assert "x-amz-crc32" not in headers
        struck(bench, Kind.HTML, applied=False)

    def test_an_error_after_the_write_landed(self, bench: Bench) -> None:
        bench.faults.add(Kind.INTERNAL_ERROR_APPLIED, count=1)
        assert error_of(lambda: bench.put("a"))[0] == "InternalServerError"
        assert bench.has("a")
        struck(bench, Kind.INTERNAL_ERROR_APPLIED, applied=True)

    def test_a_partition_is_of_one_kind_and_passes(self, bench: Bench) -> None:
        rule = bench.faults.partition(60, ["PutItem"])
        for _ in range(3):
            with pytest.raises(ConnectionClosedError):
                bench.put("a")
        bench.tables.describe_table(TableName="Orders")
        assert rule.until_s is not None
        rule.until_s -= 60
        bench.put("a")
        assert bench.faults.counts == {Kind.PARTITION: 3}

    def test_rules_match_by_table_and_region_and_rate(self, bench: Bench) -> None:
        bench.faults.add(Kind.INTERNAL_ERROR, tables=["Copy"])
        bench.faults.add(Kind.INTERNAL_ERROR, regions=["eu-west-1"])
        rule = bench.faults.add(Kind.INTERNAL_ERROR, ["PutItem"], ["Orders"], rate=0.3)
        failed = 0
        for n in range(200):
            try:
                bench.put(f"k{n}")
            except ClientError:
                failed += 1
        assert failed == rule.struck == bench.faults.counts[Kind.INTERNAL_ERROR]
        assert 35 < failed < 85
        bench.faults.clear()
        bench.put("a")


class TestCapacity:
    def place(self, bench: Bench) -> tuple[str, str, str]:
        return bench.access_key, REGION, "Orders"

    def test_a_table_takes_what_it_was_provisioned_for(self, bench: Bench) -> None:
        begun_s, throttled = time.monotonic(), 0
        metered = bench.thread.do(bench.proxy.meter.provision, self.place(bench), "pk", 1, 1000, burst_s=20)
        # As long as a busy machine needs to outrun a unit a second.
        while not throttled and time.monotonic() - begun_s < 60:
            try:
                bench.put("a", blob={"S": "x" * 1500})
            except ClientError as error:
                [reason] = error.response["ThrottlingReasons"]  # type: ignore[typeddict-item]
                assert reason["reason"] == "TableWriteProvisionedThroughputExceeded"
                throttled += 1
        assert throttled
        # 20 units were saved up; an item of 1.5 KB takes two, the last of them perhaps on credit.
        assert 20 <= metered.write.taken <= 20 + time.monotonic() - begun_s + 2

    def test_a_hot_partition_is_throttled_alone(self, bench: Bench) -> None:
        bench.thread.do(bench.proxy.meter.provision, self.place(bench), "pk", 40_000, 1000, partitions=4, burst_s=0.1)
        blob = {"S": "x" * 99_000}
        assert throttled(lambda: bench.put("hot", blob=blob)) == "TableWriteKeyRangeThroughputExceeded"
        others = []
        for n in range(12):
            try:
                bench.put(f"k{n}", blob={"S": "x"})
            except ClientError:
                continue
            others.append(n)
        assert others, "the other partitions go on"

    def test_a_batch_is_carried_out_as_far_as_the_capacity_goes(self, bench: Bench) -> None:
        bench.thread.do(bench.proxy.meter.provision, self.place(bench), "pk", 0.1, 1000, burst_s=100)
        batch: Any = [{"PutRequest": {"Item": {"pk": {"S": f"k{n}"}}}} for n in range(25)]
        left: Any = bench.tables.batch_write_item(RequestItems={"Orders": batch})["UnprocessedItems"]["Orders"]
        assert left == batch[-len(left) :]
        assert 14 <= len(left) <= 15
        assert error_of(lambda: bench.tables.batch_write_item(RequestItems={"Orders": left}))[0] == (
            "ProvisionedThroughputExceededException"
        )

    def test_reads_cost_what_they_return(self, bench: Bench) -> None:
        bench.put("a", blob={"S": "x" * 40_000})
        metered = bench.thread.do(bench.proxy.meter.provision, self.place(bench), "pk", 10, 30, burst_s=1)
        bench.tables.get_item(TableName="Orders", Key={"pk": {"S": "a"}}, ConsistentRead=True)
        assert metered.read.taken == 10
        bench.tables.get_item(TableName="Orders", Key={"pk": {"S": "a"}})
        assert metered.read.taken == 15
        assert throttled(lambda: bench.tables.scan(TableName="Orders")) == "TableReadProvisionedThroughputExceeded"

    def test_tables_that_are_not_metered_cost_nothing(self, bench: Bench) -> None:
        bench.thread.do(bench.proxy.meter.provision, (bench.access_key, REGION, "Other"), "pk", 1, 1)
        batch: Any = [{"PutRequest": {"Item": {"pk": {"S": f"k{n}"}}}} for n in range(25)]
        for _ in range(5):
            assert not bench.tables.batch_write_item(RequestItems={"Orders": batch})["UnprocessedItems"]


def throttled(call: Callable[[], object]) -> str:
    """Call until it is throttled; the reason."""
    for _ in range(50):
        try:
            call()
        except ClientError as error:
            [reason] = error.response["ThrottlingReasons"]  # type: ignore[typeddict-item]
            return str(reason["reason"])
    raise AssertionError("never throttled")
