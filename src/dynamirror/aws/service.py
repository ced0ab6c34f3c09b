"""One API of one side: a call is one signed attempt, and its outcome is an answer or an error of errors.py.

Nothing is retried but two refusals that are cured here, each once a call: a clock that is off and
credentials that expired. Both are answers, so nothing of the first attempt was applied.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol
from zlib import crc32

from dynamirror.aws.credentials import Credentials
from dynamirror.aws.endpoints import host_of, path_of
from dynamirror.aws.faults import ClockOff, fault_of, not_dynamodb, target_of
from dynamirror.aws.http import Request, Response, Transport
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import CredentialsExpired, DynamirrorError, Side, Unanswered

TABLES_API = "DynamoDB_20120810"
STREAMS_API = "DynamoDBStreams_20120810"
# With less left of its time a call is not repeated: it would only become unanswered.
TIMEOUT_S_MIN = 0.5
_CONTENT_TYPE = "application/x-amz-json"

_log = logging.getLogger("dynamirror.aws")


class Keys(Protocol):
    """What a service needs of a CredentialSource."""

    def current(self) -> Credentials:
        """The present credentials, at once."""

    async def refresh(self, refused: Credentials) -> None:
        """Replace `refused`."""


class ServiceClock:
    """The service's time as far as it is known: the local clock, corrected once a service has objected."""

    def __init__(self, wall_s: Callable[[], float], boottime_s: Callable[[], float]) -> None:
        """Both as in ports.Clock."""
        self._wall_s = wall_s
        # For how long something takes: it counts while the machine sleeps, and nobody sets it.
        self.boottime_s = boottime_s
        # Seconds to add to the local clock.
        self.offset_s = 0.0

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return self._wall_s() + self.offset_s

    def correct(self, service_now_s: float) -> None:
        """Take over the time that a service has just answered with."""
        self.offset_s = service_now_s - self._wall_s()


@dataclass(frozen=True, slots=True)
class Signing:
    """With what, as whom and by which clock requests are signed."""

    signer: Signer
    keys: Keys
    clock: ServiceClock


class Service:
    """`api` is TABLES_API or STREAMS_API, `url` a checked endpoint, `timeout_s` the total time-out of one attempt."""

    def __init__(
        self, api: str, side: Side, url: str, signing: Signing, transport: Transport, timeout_s: float
    ) -> None:
        self.side = side
        self.url = url
        self.clock = signing.clock
        self._api = api
        self._host = host_of(url)
        self._path = path_of(url)
        self._signer = signing.signer
        self._keys = signing.keys
        self._transport = transport
        self._timeout_s = timeout_s
        # The service's clock as of its last answer, in whole seconds; 0: it has not said.
        self.served_s = 0.0
        self._served = ""
        # It was DynamoDB that answered, once at least.
        self._known = False

    async def call(self, operation: str, body: bytes) -> bytes:
        """The answer's body. `body` is the JSON of the request; it is sent as it is. All is over within the time-out:
        a repetition after a cure that took long could leave when its caller may not send any more (P-10).

        Raises any error of errors.py but Gap and LeaseLost; Unanswered also when the answer was damaged on its way.
        """
        cured: set[type[DynamirrorError]] = set()
        timeout_s = self._timeout_s
        started_s = self.clock.boottime_s()
        while True:
            credentials = self._keys.current()
            answer = await self._attempt(operation, body, credentials, timeout_s)
            if answer.status == 200 and answer.body[:1] == b"{":
                self._check_origin(operation, answer.headers)
                self._known = True
                self._note_time(answer.headers.get("date", ""))
                return answer.body
            fault = self._fault(operation, body, answer)
            if type(fault) in cured or not await self._cure(fault, answer, credentials):
                raise fault
            cured.add(type(fault))
            timeout_s = started_s + self._timeout_s - self.clock.boottime_s()
            if timeout_s < TIMEOUT_S_MIN:
                raise fault

    async def _attempt(self, operation: str, body: bytes, credentials: Credentials, timeout_s: float) -> Response:
        target = f"{self._api}.{operation}"
        headers = self._signer.headers(self._host, self._path, target, body, credentials, self.clock.now_s())
        answer = await self._transport(Request(self.url, headers, body), timeout_s)
        # Sent with every answer of the service, also with refusals; other implementations may leave it out.
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and checksum != str(crc32(answer.body)):
            raise Unanswered(self.side, f"{operation}: the answer of {self.url} was damaged on its way (checksum)")
        return answer

    def _check_origin(self, operation: str, headers: Mapping[str, str]) -> None:
        """Half of the operations answer with an empty object, which anybody may say."""
        if not _named_as_dynamodb(headers):
            said = (
                "answered with JSON (HTTP 200), but with none of DynamoDB's headers; check the endpoint, and any proxy"
            )
            raise Unanswered(self.side, f"{operation}: {self.url} {said}")

    def _note_time(self, date: str) -> None:
        # The same for a second's worth of answers.
        if date != self._served:
            self._served = date
            with suppress(ValueError):
                self.served_s = parsedate_to_datetime(date).timestamp()

    async def _cure(self, fault: DynamirrorError, answer: Response, credentials: Credentials) -> bool:
        if isinstance(fault, CredentialsExpired):
            await self._keys.refresh(credentials)
            return True
        return isinstance(fault, ClockOff) and self._correct_clock(answer)

    def _correct_clock(self, answer: Response) -> bool:
        try:
            service_now_s = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except ValueError:
            return False
        self.clock.correct(service_now_s)
        _log.warning(
            "the local clock is off by %.0f s against %s; requests are signed with the service's time",
            -self.clock.offset_s,
            self.url,
            extra={"event": "clock-corrected", "offset_s": self.clock.offset_s},
        )
        return True

    def _fault(self, operation: str, body: bytes, answer: Response) -> DynamirrorError:
        if answer.status == 200:
            # One that was cut off, or that somebody on the way made up, says nothing of the endpoint.
            if self._known or _named_as_dynamodb(answer.headers):
                said = "answered (HTTP 200), but not with DynamoDB's JSON; a proxy before it?"
                return Unanswered(self.side, f"{operation}: {self.url} {said}")
            return not_dynamodb(self.side, self.url, 200)
        fault = fault_of(self.side, operation, target_of(body), (self.url, answer.status, answer.body))
        if isinstance(fault, ClockOff):
            off_s = -self.clock.offset_s
            return ClockOff(self.side, f"{fault} (it is off by {off_s:.0f} s, as far as the service's answers tell)")
        return fault


def _named_as_dynamodb(headers: Mapping[str, str]) -> bool:
    """An implementation that sends none of these is not known; MiniStack and others leave some of them out."""
    return (
        "x-amz-crc32" in headers
        or "x-amzn-requestid" in headers
        or headers.get("content-type", "").startswith(_CONTENT_TYPE)
    )
