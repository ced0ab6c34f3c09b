"""Which URL a service is called at: the user's, or the one botocore resolves for the Region.

botocore knows partitions (China, GovCloud, ISO), FIPS and dual-stack endpoints, and the AWS_ENDPOINT_URL family.
"""

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from dynamirror.errors import Refused
from dynamirror.model.spelling import distance

if TYPE_CHECKING:
    from botocore.session import Session

# Names of the two services as botocore has them.
TABLES = "dynamodb"
STREAMS = "dynamodbstreams"

_REGION = re.compile(r"[a-z0-9-]+")
# Names as the resolver takes them (labels of 1 to 63 characters), addresses included.
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
# What needs no escaping, so that the path is its own canonical form (Signature Version 4).
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*/?")
_DEFAULT_PORT = {"http": 80, "https": 443}


def endpoint_url(session: "Session", service: str, region: str, override: str | None = None) -> str:
    """The URL for `service` (TABLES or STREAMS) in `region`. Blocks (reads files). Raises Refused."""
    if not _REGION.fullmatch(region):
        raise Refused(f"{region!r} is not a Region: it must look like us-east-1")
    if override is not None:
        return checked_url(override)
    url = _resolved(session, service, region, configured=True)
    # An endpoint named in the environment or the configuration counts as an override: any Region goes.
    if not _known(session, region) and url == _resolved(session, service, region, configured=False):
        raise Refused(_unknown(session, region))
    try:
        return checked_url(url)
    except Refused as failure:
        raise Refused(f"{failure} (it comes from AWS_ENDPOINT_URL..., or the AWS configuration)") from failure


def is_regional(session: "Session", override: str, region: str) -> bool:
    """Whether `override` is but the Region's own endpoint of the tables, spelled out.

    Such an endpoint does not answer for streams.
    """
    if not _known(session, region):
        return False
    return host_of(checked_url(override)) == host_of(_resolved(session, TABLES, region, configured=False))


def checked_url(url: str) -> str:
    """`url` with scheme and path. Without a scheme it is https, as in the Java tool. Raises Refused."""
    given = url.strip()
    if "://" not in given:
        given = f"https://{given}"
    try:
        parts = urlsplit(given)
    except ValueError as failure:
        raise Refused(f"the endpoint is not a URL ({failure}); it must look like https://host:port") from failure
    if parts.scheme not in _DEFAULT_PORT:
        raise Refused(f"the endpoint {_shown(parts)} must start with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise Refused(f"the endpoint {_shown(parts)} must not hold a user name or password")
    if not names_a_host(parts.hostname) or not _has_good_port(parts):
        raise Refused(
            f"the endpoint {_shown(parts)} names no host that can be called; it must look like https://host:port"
        )
    if parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise Refused(f"the endpoint {_shown(parts)} must end after the host and port, or a plain path")
    return f"{parts.scheme}://{host_of(given)}{parts.path or '/'}"


def host_of(url: str) -> str:
    """The Host header for `url`: the port is left out where it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in (None, _DEFAULT_PORT.get(parts.scheme)) else f"{host}:{parts.port}"


def names_a_host(name: str | None) -> bool:
    """Whether a connection to `name` (without brackets) can be tried at all."""
    return name is not None and _HOST.fullmatch(name) is not None


def path_of(url: str) -> str:
    """The path of a checked URL, canonical as Signature Version 4 wants it."""
    return urlsplit(url).path or "/"


def _resolved(session: "Session", service: str, region: str, *, configured: bool) -> str:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # Unsigned: making a client must not look for credentials.
    config = Config(signature_version=UNSIGNED)
    if not configured:
        config = config.merge(Config(ignore_configured_endpoint_urls=True))  # type: ignore[call-arg]
    try:
        client = session.create_client(service, region_name=region, config=config)
    except (BotoCoreError, ValueError) as failure:
        raise Refused(f"no endpoint of {service} in {region}: {failure}") from failure
    url: str = client.meta.endpoint_url
    client.close()
    return url


def _regions(session: "Session") -> list[str]:
    return [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions(TABLES, partition_name=partition)
    ]


def _known(session: "Session", region: str) -> bool:
    return region in _regions(session)


def _unknown(session: "Session", region: str) -> str:
    like = get_close_matches(region, _regions(session), n=10)
    near = sorted(like, key=lambda one: (distance(region, one), one))[:3]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return (
        f"{region} is not a Region that DynamoDB is known in{hint} "
        "(for a new Region update botocore, or name the endpoint)"
    )


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _shown(parts: SplitResult) -> str:
    """The URL without a password that stands in it."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
