"""Verifies Signature Version 4 from its rules alone, not with the product's signer.

Source: IAM User Guide, "Create a signed AWS API request"; refusals in the service's words.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from tests.bench.answers import CORAL, Refusal, token_expired

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request), ?SignedHeaders=(?P<signed>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
# A signature's time may be off by so much either way.
SKEW_S = 300.0


@dataclass(slots=True)
class Credential:
    """What belongs to an access key. `database`: the access key that DynamoDB Local is given, None: the same."""

    secret: str
    token: str | None = None
    database: str | None = None
    # Seconds since the epoch; None: they do not expire.
    expires_at_s: float | None = None


def verify(
    credentials: Mapping[str, Credential], target: str, headers: Mapping[str, str], body: bytes, now_s: float
) -> None:
    """Raises Refusal. `target` is the request line's, `headers` by lower-case name, `now_s` seconds since the epoch."""
    text = headers.get("authorization")
    if text is None:
        raise Refusal(f"{CORAL}MissingAuthenticationTokenException", "Missing Authentication Token")
    parts = _AUTHORIZATION.fullmatch(text)
    date = headers.get("x-amz-date", "")
    if parts is None or not date:
        raise Refusal(f"{CORAL}IncompleteSignatureException", "Authorization header requires existence of all parts.")
    credential = credentials.get(parts["key"])
    if credential is None or credential.token != headers.get("x-amz-security-token"):
        message = "The security token included in the request is invalid."
        raise Refusal(f"{CORAL}UnrecognizedClientException", message)
    _check_time(date, parts["day"], now_s)
    if not hmac.compare_digest(_signature(parts, credential.secret, target, headers, body), parts["signature"]):
        message = (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
        raise Refusal(f"{CORAL}InvalidSignatureException", message)
    if credential.expires_at_s is not None and now_s >= credential.expires_at_s:
        raise token_expired()


def _check_time(date: str, day: str, now_s: float) -> None:
    name = f"{CORAL}InvalidSignatureException"
    try:
        signed_s = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Refusal(f"{CORAL}IncompleteSignatureException", f"Date must be in ISO-8601 'basic format'. {date}") from (
            error
        )
    if not date.startswith(day):
        raise Refusal(name, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
    now = _stamp(now_s)
    if signed_s < now_s - SKEW_S:
        edge = _stamp(now_s - SKEW_S)
        raise Refusal(name, f"Signature expired: {date} is now earlier than {edge} ({now} - 5 min.)")
    if signed_s > now_s + SKEW_S:
        edge = _stamp(now_s + SKEW_S)
        raise Refusal(name, f"Signature not yet current: {date} is still later than {edge} ({now} + 5 min.)")


def _signature(parts: re.Match[str], secret: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    path, _, query = target.partition("?")
    names = parts["signed"].split(";")
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    canonical = f"POST\n{path}\n{query}\n{lines}\n{parts['signed']}\n{sha256(body).hexdigest()}"
    digest = sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{parts['scope']}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (parts["day"], parts["region"], parts["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
