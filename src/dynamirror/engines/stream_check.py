"""Whether the source's stream can be read, asked before anything is made: it may be at an endpoint of its own."""

import msgspec

from dynamirror.aws.faults import not_dynamodb
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Endpoint
from dynamirror.engines.waiting import Question
from dynamirror.errors import AccessDenied, NotFound, Retry, Side, Stop
from dynamirror.ports import Clock


async def check_readable(streams: Endpoint, table: str, stream_arn: str | None, clock: Clock) -> None:
    """Raises Stop, or a Retry that did not pass, unless the streams endpoint answers for this stream.

    A stream that is still off (`stream_arn` None) cannot be described: then the answer to any question counts.
    """
    if stream_arn is None:
        operation, wanted, request = "ListStreams", "Streams", {"TableName": table, "Limit": 1}
    else:
        operation, wanted, request = "DescribeStream", "StreamDescription", {"StreamArn": stream_arn, "Limit": 1}
    question = Question(Side.SOURCE, streams.url, f"{operation} of {stream_arn or table}")
    body = msgspec.json.encode(request)
    try:
        answer = await patiently(clock, question, lambda: streams.call(operation, body))
        _check_shape(streams, answer, wanted)
    except NotFound as error:
        raise NotFound(
            Side.SOURCE,
            f"the streams endpoint {streams.url} does not know the stream of the source table ({stream_arn or table}); "
            "check --source-streams-endpoint",
        ) from error
    except AccessDenied:
        # Rights to list streams are not needed to read one.
        if stream_arn is not None:
            raise
    except (Stop, Retry) as error:
        where = f"at {streams.url} (--source-streams-endpoint)"
        raise type(error)(Side.SOURCE, f"the stream of the source table cannot be read {where}: {error}") from error


def _check_shape(streams: Endpoint, answer: bytes, wanted: str) -> None:
    try:
        found = wanted in msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        found = False
    if not found:
        raise not_dynamodb(Side.SOURCE, streams.url, 200)
