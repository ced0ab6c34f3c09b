"""Everything that talks to AWS, made from the settings: one opened, kept and closed by its owner.

The source and its stream are reached with the source profile and role, the destination with its profile, the
lease and state tables with the process's own credentials, as in the Java tool.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.credential_chain import assumed_role, chain, new_session
from dynamirror.aws.credentials import CredentialSource
from dynamirror.aws.endpoints import STREAMS, TABLES, endpoint_url, is_regional
from dynamirror.aws.http import HttpPool, tls_context
from dynamirror.aws.proxies import Proxies
from dynamirror.aws.service import STREAMS_API, TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import Refused, Side
from dynamirror.ports import Clock
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.groups import ReplicationSettings, SourceSettings

if TYPE_CHECKING:
    from botocore.session import Session

# Creating a table may take the service longer than an attempt of the data path is given.
_CONTROL_TIMEOUT_S = 20.0
# The flags of Region and endpoint.
_FLAGS_OF_SIDE = {
    Side.SOURCE: ("source_region", "source_endpoint"),
    Side.DESTINATION: ("destination_region", "destination_endpoint"),
    Side.STATE: ("kcl_region", "kcl_endpoint"),
}
# Beside the writes in flight: other calls of the same side.
_CONNECTIONS_SPARE = 32


@dataclass(frozen=True, slots=True)
class Connections:
    """The services and control planes of a task; the two Services of the source share one pool."""

    source: Service
    streams: Service
    destination: Service
    state: Service
    source_control: ControlPlane
    destination_control: ControlPlane
    state_control: ControlPlane
    sources: tuple[CredentialSource, ...]

    async def keep_fresh(self) -> None:
        """Renew all credentials ahead of their expiry, for ever; to be run as a task by the owner."""
        async with asyncio.TaskGroup() as tasks:
            for source in self.sources:
                tasks.create_task(source.run())


@dataclass(frozen=True, slots=True)
class _Place:
    """One side, as far as it can be known without a request."""

    side: Side
    region: str
    profile: str | None
    role_arn: str | None
    url: str
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What all sides share."""

    environ: Mapping[str, str]
    clock: Clock
    random: Callable[[], float]
    timeout_s: float
    connections_max: int


@dataclass(frozen=True, slots=True)
class _Open:
    """One side with credentials and a pool."""

    place: _Place
    around: _Surroundings
    signing: Signing
    pool: HttpPool

    def tables(self, timeout_s: float) -> Service:
        return Service(TABLES_API, self.place.side, self.place.url, self.signing, self.pool.send, timeout_s)

    def streams(self, url: str, timeout_s: float) -> Service:
        return Service(STREAMS_API, self.place.side, url, self.signing, self.pool.send, timeout_s)

    def control(self, streams: Service | None = None) -> ControlPlane:
        return ControlPlane(self.tables(_CONTROL_TIMEOUT_S), self.around.clock, self.around.random, streams)


@asynccontextmanager
async def connect(
    settings: ReplicationSettings, environ: Mapping[str, str], clock: Clock, random: Callable[[], float]
) -> AsyncIterator[Connections]:
    """Resolve endpoints, find credentials, open the pools; no request to DynamoDB is made.

    Raises Refused (Region, endpoint, proxy, profile, certificates), Stop (no credentials) or Retry (the credentials
    could not be fetched now). botocore reads the process's own environment; `environ` is for proxies and
    REQUESTS_CA_BUNDLE.
    """
    places, streams_url = await asyncio.to_thread(_places, settings, environ)
    proxies = Proxies(environ)
    for url in (*(place.url for place in places), streams_url):
        proxies.of(url)
    timeout_s = settings.write.attempt_timeout_s
    connections_max = settings.write.requests_in_flight_max + _CONNECTIONS_SPARE
    around = _Surroundings(environ, clock, random, timeout_s, connections_max)
    known: dict[tuple[str | None, str | None], CredentialSource] = {}
    async with AsyncExitStack() as stack:
        source, destination, state = [await _open(place, around, known, stack) for place in places]
        yield Connections(
            source=source.tables(timeout_s),
            streams=source.streams(streams_url, timeout_s),
            destination=destination.tables(timeout_s),
            state=state.tables(timeout_s),
            source_control=source.control(source.streams(streams_url, _CONTROL_TIMEOUT_S)),
            destination_control=destination.control(),
            state_control=state.control(),
            sources=tuple(known.values()),
        )


async def _open(
    place: _Place,
    around: _Surroundings,
    known: dict[tuple[str | None, str | None], CredentialSource],
    stack: AsyncExitStack,
) -> _Open:
    """Sides with the same identity share its CredentialSource through `known`."""
    identity = (place.profile, place.role_arn)
    if identity not in known:
        known[identity] = _credentials(place, around)
        await known[identity].start()
    pool = HttpPool(
        place.side,
        around.environ,
        place.tls,
        connections_max=around.connections_max,
        unacknowledged_s=around.timeout_s,
        boottime_s=around.clock.boottime_s,
    )
    await stack.enter_async_context(pool)
    signing = Signing(Signer(place.region), known[identity], ServiceClock(around.clock.wall_s, around.clock.boottime_s))
    return _Open(place, around, signing, pool)


def _credentials(place: _Place, around: _Surroundings) -> CredentialSource:
    if place.role_arn is None:
        fetch = chain(place.profile, place.region, place.side)
    else:
        fetch = assumed_role(place.role_arn, place.profile, place.region, place.side)
    return CredentialSource(fetch, around.clock, around.random)


def _places(settings: ReplicationSettings, environ: Mapping[str, str]) -> tuple[list[_Place], str]:
    """The three sides, and the URL of the source's streams. Blocks: botocore reads its files."""
    source, destination, task = settings.source, settings.destination, settings.task
    sessions: dict[str | None, Session] = {}
    contexts: dict[str | None, ssl.SSLContext] = {}

    def place(
        side: Side, region: str, endpoint: str | None, profile: str | None, role_arn: str | None = None
    ) -> _Place:
        if profile not in sessions:
            sessions[profile] = _session(side, profile, region)
        session = sessions[profile]
        ca_bundle = session.get_config_variable("ca_bundle") or environ.get("REQUESTS_CA_BUNDLE")
        if ca_bundle not in contexts:
            contexts[ca_bundle] = tls_context(ca_bundle)
        with _named(_FLAGS_OF_SIDE[side], endpoint, region):
            url = endpoint_url(session, TABLES, region, endpoint)
        return _Place(side, region, profile, role_arn, url, contexts[ca_bundle])

    places = [
        place(Side.SOURCE, source.region, source.endpoint, source.profile, source.role_arn),
        place(Side.DESTINATION, destination.region, destination.endpoint, destination.profile),
        place(Side.STATE, task.region, task.endpoint, None),
    ]
    return places, _streams_url(sessions[source.profile], source)


def _session(side: Side, profile: str | None, region: str) -> "Session":
    """A refusal that is about the profile names its flag; one without a flag comes from the environment."""
    try:
        return new_session(profile, region)
    except Refused as failure:
        if profile is None or profile not in str(failure):
            raise
        raise Refused(f"{FLAG_OF_FIELD[f'{side.value}_profile'].name}: {failure}") from failure


def _streams_url(session: "Session", source: SourceSettings) -> str:
    override = source.streams_endpoint
    if override is None and source.endpoint is not None and not is_regional(session, source.endpoint, source.region):
        override = source.endpoint
    with _named(("source_region", "source_streams_endpoint"), source.streams_endpoint, source.region):
        return endpoint_url(session, STREAMS, source.region, override)


@contextmanager
def _named(flags: tuple[str, str], endpoint: str | None, region: str) -> Iterator[None]:
    """A refusal in the block names the flag that it is about; `flags` are those of Region and endpoint, by field."""
    of_region, of_endpoint = flags
    try:
        yield
    except Refused as failure:
        if endpoint is None and region not in str(failure):
            # An endpoint from elsewhere, which the message says.
            raise
        named = FLAG_OF_FIELD[of_region if endpoint is None else of_endpoint].name
        raise Refused(f"{named}: {failure}") from failure
