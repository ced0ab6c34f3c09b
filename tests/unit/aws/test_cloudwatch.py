"""PutMetricData: what is sent, and what becomes of a refusal, a silence and nobody there."""

from collections.abc import Iterator

import pytest

from dynamirror.aws import cloudwatch as module
from dynamirror.aws.cloudwatch import CloudWatch, NotPublished
from dynamirror.aws.loopback import free_port
from dynamirror.model.statistic import Datum, Statistic
from tests.support.cloudwatch import CloudWatchServer, Told


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatchServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with CloudWatchServer() as started:
        yield started


def datum(*values: float, shard: str = "") -> Datum:
    statistic = Statistic()
    for value in values:
        statistic.see(value)
    dimensions = (("Operation", "ProcessTask"), *((("ShardId", shard),) if shard else ()))
    return Datum("RecordsProcessed", "Count", dimensions, statistic, 1.8e9)


def test_a_statistic_set_is_sent_whole_and_signed_for_the_region(server: CloudWatchServer) -> None:
    to = CloudWatch("eu-west-1", server.url, "ns")
    to.put([datum(1, 5, 3), datum(2, shard="s")])
    to.put([datum(4)])
    assert server.told("RecordsProcessed", Operation="ProcessTask") == Told("Count", 4, 13, 1, 5)
    assert server.told("RecordsProcessed", Operation="ProcessTask", ShardId="s") == Told("Count", 1, 2, 2, 2)
    assert server.state.namespaces == {"ns"}
    assert all("AKIDEXAMPLE" in one and "/eu-west-1/monitoring/" in one for one in server.state.credentials)


def test_a_thousand_data_of_shards_fit_into_one_request(server: CloudWatchServer) -> None:
    shard = "shardId-00000001795856175292-17beefff"
    CloudWatch("eu-west-1", server.url, "ns").put([datum(1, shard=f"{shard}{n}") for n in range(module.DATA_MAX)])
    assert server.state.sizes == [module.DATA_MAX]


@pytest.mark.parametrize(
    "name,status,again",
    [
        ("ThrottlingException", 400, True),
        ("AccessDeniedException", 403, True),
        ("ExpiredTokenException", 403, True),
        ("ServiceUnavailable", 503, True),
        ("InternalFailure", 500, False),
        ("InvalidParameterValueException", 400, False),
    ],
)
def test_only_what_was_surely_not_counted_is_sent_again(
    server: CloudWatchServer, name: str, status: int, again: bool
) -> None:
    server.state.refusal = (name, status)
    with pytest.raises(NotPublished, match=name) as refused:
        CloudWatch("eu-west-1", server.url, "ns").put([datum(1)])
    assert refused.value.again is again
    assert server.state.requests == 1, "one attempt"
    assert ("cloudwatch:PutMetricData" in str(refused.value)) == ("AccessDenied" in name)


def test_a_silence_is_over_soon_and_is_not_sent_again(
    server: CloudWatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_TIMEOUT_S", 0.2)
    server.state.answers.clear()
    with pytest.raises(NotPublished, match="did not answer") as refused:
        CloudWatch("eu-west-1", server.url, "ns").put([datum(1)])
    assert not refused.value.again
    assert server.state.requests == 1


def test_nobody_there_and_no_credentials_are_tried_again(
    server: CloudWatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotPublished, match="EndpointConnectionError") as refused:
        CloudWatch("eu-west-1", f"http://127.0.0.1:{free_port()}", "ns").put([datum(1)])
    assert refused.value.again
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    to = CloudWatch("eu-west-1", server.url, "ns")
    with pytest.raises(NotPublished, match="NoCredentialsError"):
        to.put([datum(1)])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    to.put([datum(1)])
    assert server.state.requests == 1
