"""Where figures go: which of the flags of `settings/metrics_flags` go together, and what is on by itself."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from dynamirror.errors import Refused
from dynamirror.model.loopback import is_loopback
from dynamirror.settings.groups import Address, CloudWatchSettings, MetricsSettings
from dynamirror.settings.values import Value

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>\d{1,5})", re.ASCII)
_PORT_MAX = 65_535


def metrics_settings(given: Mapping[str, Value], java_form: bool) -> MetricsSettings:
    """`given`: converted values by field. Raises Refused."""
    http = given.get("http")
    return MetricsSettings(_cloudwatch(given, java_form), None if http is None else _address(str(http)))


def _cloudwatch(given: Mapping[str, Value], java_form: bool) -> CloudWatchSettings | None:
    wanted, refused = given.get("publish_cloudwatch") is True, given.get("dont_publish_cloudwatch") is True
    if wanted and refused:
        raise Refused("--publish-cloudwatch and --dont-publish-cloudwatch exclude each other: leave one of them out")
    endpoint, per_shard = given.get("cloudwatch_endpoint"), given.get("cloudwatch_per_shard") is True
    by_itself = java_form and not _on_this_machine(given.get("source_endpoint"))
    if wanted or (by_itself and not refused):
        return CloudWatchSettings(None if endpoint is None else str(endpoint), per_shard)
    for name, needless in (("--cloudwatch-endpoint", endpoint is not None), ("--cloudwatch-per-shard", per_shard)):
        if needless:
            raise Refused(f"{name} does nothing where nothing is published: give --publish-cloudwatch, or leave it out")
    return None


def _on_this_machine(endpoint: Value | None) -> bool:
    if endpoint is None:
        return False
    text = str(endpoint).strip()
    try:
        host = urlsplit(text if "://" in text else f"https://{text}").hostname
    except ValueError:
        # It is refused where it is used.
        return False
    return host is not None and is_loopback(host)


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) <= _PORT_MAX:
        raise Refused(f"--http {text}: give an address of this machine and a port, as 127.0.0.1:9600")
    host = match["six"] or match["host"]
    if not is_loopback(host):
        raise Refused(
            f"--http {text}: only an address of this machine is served (127.0.0.1, localhost, [::1]), since the pages "
            "ask for no password"
        )
    return Address("127.0.0.1" if host.lower().rstrip(".").endswith("localhost") else host, int(match["port"]))
