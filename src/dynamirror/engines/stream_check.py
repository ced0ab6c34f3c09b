"""Whether the source's stream can be read, asked before anything is made: it may be at an endpoint of its own."""

import msgspec

from dynamirror.aws.faults import not_dynamodb
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Endpoint
from dynamirror.engines.waiting import Question
from dynamirror.errors import NotFound, Retry, Side, Stop
from dynamirror.ports import Clock, TableFacts

# A label in the form of the service's, of a time before there were any streams.
_NO_STREAM = "/stream/1970-01-01T00:00:00.000"


async def check_readable(streams: Endpoint, source: TableFacts, clock: Clock) -> None:
    """Raises Stop, or a Retry that did not pass, unless the streams endpoint answers for the table's stream.

    For a stream that is still off it is asked about one that is not there, with the same rights: that it knows no such
    stream is the answer of the right service then.
    """
    stream_arn = source.stream_arn or source.arn + _NO_STREAM
    question = Question(Side.SOURCE, streams.url, f"DescribeStream of {stream_arn}")
    request = {"StreamArn": stream_arn, "Limit": 1}
    body = msgspec.json.encode(request)
    try:
        answer = await patiently(clock, question, lambda: streams.call("DescribeStream", body))
        _check_shape(streams, answer)
    except NotFound as error:
        if source.stream_arn is None:
            return
        raise NotFound(
            Side.SOURCE,
            f"the streams endpoint {streams.url} does not know the stream of the source table ({stream_arn}); "
            "check --source-streams-endpoint",
        ) from error
    except (Stop, Retry) as error:
        where = f"at {streams.url} (--source-streams-endpoint)"
        raise type(error)(Side.SOURCE, f"the stream of the source table cannot be read {where}: {error}") from error


def _check_shape(streams: Endpoint, answer: bytes) -> None:
    try:
        found = "StreamDescription" in msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        found = False
    if not found:
        raise not_dynamodb(Side.SOURCE, streams.url, 200)
