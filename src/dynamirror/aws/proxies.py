"""Which proxy a URL is called through: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as urllib reads them.

The value of such a variable may hold a password, and one that is misspelled may hold it anywhere: no message
shows any of it.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from dynamirror.aws.endpoints import names_a_host
from dynamirror.errors import Refused

_SCHEMES = ("http", "https")


class Proxies:
    """The proxies that `environ` names. What no URL needs is not looked at."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Variable and value by scheme ("no" holds the exceptions); lower-case names win, and an empty one hides.
        self._found: dict[str, tuple[str, str]] = {}
        for lower in (False, True):
            for name, value in environ.items():
                if name[-6:].lower() == "_proxy" and name.islower() is lower:
                    self._found[name[:-6].lower()] = name, value.strip()
        # A CGI script's HTTP_PROXY is set by the request's sender (CVE-2016-1000110).
        if "REQUEST_METHOD" in environ:
            self._found.pop("http", None)

    def of(self, url: str) -> SplitResult | None:
        """The proxy for a checked `url`, None for a direct connection. Raises Refused, naming only the variable."""
        parts = urlsplit(url)
        name, value = self._found.get(parts.scheme, ("", ""))
        if not value:
            name, value = self._found.get("all", ("", ""))
        if not value or proxy_bypass_environment(parts.netloc, {"no": self._found.get("no", ("", ""))[1]}):
            return None
        proxy = _parsed(value if "://" in value else f"http://{value}")
        if proxy is None:
            raise Refused(
                f"{name} cannot be used: it must look like http://host:port or https://host:port (no SOCKS), "
                "a user name and password before the host as user:password@ with /, ? and # in percent-encoding; "
                f"correct it, or list {parts.hostname} in NO_PROXY"
            )
        return proxy


def _parsed(value: str) -> SplitResult | None:
    """None when it is not what a proxy's URL must be. Errors of the parser quote the value, so none goes out."""
    try:
        proxy = urlsplit(value)
        good_port = proxy.port is None or proxy.port > 0
    except ValueError:
        return None
    # More after the port is most often a password with a "/" in it: the "host" is the user name then.
    nothing_else = proxy.path in ("", "/") and not proxy.query and not proxy.fragment
    if proxy.scheme in _SCHEMES and good_port and nothing_else and names_a_host(proxy.hostname):
        return proxy
    return None
