"""Whether a host is this machine, as far as its name tells."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1, and what is called localhost (RFC 6761)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".").rpartition(".")[2] == "localhost"
