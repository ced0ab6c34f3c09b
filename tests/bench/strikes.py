"""What a fault does to one request: which answer it gets, and whether, and when, it is carried out."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol
from zlib import crc32

from tests.bench import answers
from tests.bench.answers import Answer, Refusal
from tests.bench.call import STREAMS_API, Call
from tests.bench.faults import FaultPlan, Kind
from tests.bench.journal import Entry
from tests.bench.wire import Wire

# A late write lands so long after its client was told that the connection is lost; below --stray-life (30 s).
LATE_S = (3.0, 20.0)
# A slow answer takes so long: some are complete before the client gives up (5 s), some are not.
DRIP_S = (0.5, 8.0)


class Carrier(Protocol):
    """What carries requests out: the proxy."""

    faults: FaultPlan
    late_pending: int

    async def answer(self, call: Call, entry: Entry, part: set[int] | None = None) -> Answer:
        """See FaultProxy."""

    def run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """See FaultProxy."""


async def strike(carrier: Carrier, wire: Wire, call: Call, entry: Entry) -> None:
    """Answer one request, with the fault that the rules have for it. Raises Refusal, which is an answer, and Gone."""
    kind = carrier.faults.strike(call)
    if kind is None:
        await _send(wire, entry, await carrier.answer(call, entry))
        return
    entry.fault = kind.value
    match kind:
        case Kind.RESET_BEFORE | Kind.PARTITION:
            wire.reset()
        case Kind.HANG:
            await wire.hang()
        case Kind.LATE:
            carrier.late_pending += 1
            carrier.run(_late(carrier, call, entry, carrier.faults.random.uniform(*LATE_S)))
            wire.reset()
        case Kind.HTML:
            await _send(wire, entry, answers.html_page(carrier.faults.random.choice((502, 503, 504))))
        case Kind.UNPROCESSED:
            kept = carrier.faults.random.sample(range(call.keys), carrier.faults.random.randrange(1, call.keys))
            await _send(wire, entry, await carrier.answer(call, entry, set(kept)))
        case Kind.THROTTLE | Kind.INTERNAL_ERROR | Kind.UNAVAILABLE | Kind.EXPIRED:
            raise _refusal(kind, carrier.faults, call)
        case _:
            await _after(kind, carrier, wire, (call, entry))


async def _after(kind: Kind, carrier: Carrier, wire: Wire, request: tuple[Call, Entry]) -> None:
    """The faults that strike once the request has been carried out."""
    call, entry = request
    try:
        got = await carrier.answer(call, entry)
    except Refusal as refusal:
        got = refusal.answer
    match kind:
        case Kind.RESET_AFTER:
            wire.reset()
        case Kind.HANG_APPLIED:
            await wire.hang()
        case Kind.INTERNAL_ERROR_APPLIED:
            raise answers.internal_error()
        case Kind.DRIP:
            entry.answered(got)
            await wire.drip(got, carrier.faults.random.uniform(*DRIP_S))
        case Kind.TRUNCATED:
            await wire.truncate(got)
        case _:
            assert kind is Kind.CORRUPT
            entry.answered(got)
            await wire.send(_corrupted(got, carrier.faults))


async def _late(carrier: Carrier, call: Call, entry: Entry, after_s: float) -> None:
    try:
        await asyncio.sleep(after_s)
        await carrier.answer(call, entry)
    except Refusal as refusal:
        entry.answered(refusal.answer)
    finally:
        carrier.late_pending -= 1


async def _send(wire: Wire, entry: Entry, answer: Answer) -> None:
    entry.answered(answer)
    await wire.send(answer)


def _corrupted(got: Answer, faults: FaultPlan) -> Answer:
    """One byte is another; the checksum is still that of the true body."""
    body = bytearray(got.body)
    body[faults.random.randrange(len(body))] ^= 0x01
    # DynamoDB Local leaves the checksum out of errors, the service does not.
    return Answer(got.status, bytes(body), {"x-amz-crc32": str(crc32(got.body)), **got.headers})


def _refusal(kind: Kind, faults: FaultPlan, call: Call) -> Refusal:
    match kind:
        case Kind.INTERNAL_ERROR:
            return answers.internal_error()
        case Kind.UNAVAILABLE:
            return answers.unavailable()
        case Kind.EXPIRED:
            return answers.token_expired()
        case _:
            return _throttle(faults, call)


def _throttle(faults: FaultPlan, call: Call) -> Refusal:
    """Any of the throttles that the operation can meet."""
    if call.api == STREAMS_API:
        return answers.too_many_readers() if call.operation == "GetRecords" else answers.rate_exceeded()
    if call.keys == 0 and call.operation not in ("Query", "Scan"):
        return answers.rate_exceeded()
    arn = f"arn:aws:dynamodb:{call.region}:000000000000:table/{call.table}"
    use = "Write" if call.writes else "Read"
    return faults.random.choice(
        (
            answers.throughput_exceeded(arn, [f"Table{use}ProvisionedThroughputExceeded"]),
            answers.throughput_exceeded(arn, [f"Table{use}KeyRangeThroughputExceeded"]),
            answers.on_demand_exceeded(arn, f"Table{use}KeyRangeThroughputExceeded"),
            answers.on_demand_exceeded(arn, f"Table{use}MaxOnDemandThroughputExceeded"),
            answers.account_exceeded(arn, f"Table{use}AccountLimitExceeded"),
        )
    )
