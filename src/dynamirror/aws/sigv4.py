"""AWS Signature Version 4 for one kind of request: a POST of bytes to a DynamoDB-like endpoint.

Called for each attempt, just before it is sent, so that a signature is never older than its request.
General signers cost three times as much (botocore's: 62 us); here the day key and the date are cached.
Source of the rules: IAM User Guide, "Create a signed AWS API request".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from hmac import HMAC, digest

from dynamirror.aws.credentials import Credentials

CONTENT_TYPE = "application/x-amz-json-1.0"

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_SIGNED_WITH_TOKEN = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"


class Signer:
    """Signs for one Region and service; used by one event loop only."""

    def __init__(self, region: str, service: str = "dynamodb") -> None:
        self.region = region
        self.service = service
        self._second = -1
        self._amz_date = ""
        self._keyed_for: tuple[str, Credentials] | None = None
        self._scope = ""
        # Of the day's key; a copy signs, which costs half of beginning with the key.
        self._keyed: HMAC

    def headers(
        self, host: str, path: str, target: str, body: bytes, credentials: Credentials, at_s: float
    ) -> Mapping[str, str]:
        """The headers of a signed POST of `body`, complete but for those of the connection.

        `host` as the Host header will carry it (with the port unless it is the scheme's own), `path` already in
        canonical form, `at_s` seconds since the epoch on the service's clock. The mapping is the caller's.
        """
        second = int(at_s)
        if second != self._second:
            self._second = second
            self._amz_date = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        amz_date = self._amz_date
        keyed_for = self._keyed_for
        if keyed_for is None or keyed_for[1] is not credentials or keyed_for[0] != amz_date[:8]:
            self._derive_day_key(amz_date[:8], credentials)
        token = credentials.token
        signed = _SIGNED if token is None else _SIGNED_WITH_TOKEN
        token_line = "" if token is None else f"x-amz-security-token:{token}\n"
        canonical = (
            f"POST\n{path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{amz_date}\n{token_line}"
            f"x-amz-target:{target}\n\n{signed}\n{sha256(body).hexdigest()}"
        )
        to_sign = f"{_ALGORITHM}\n{amz_date}\n{self._scope}\n{sha256(canonical.encode()).hexdigest()}"
        keyed = self._keyed.copy()
        keyed.update(to_sign.encode())
        headers = {
            "Host": host,
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Date": amz_date,
            "X-Amz-Target": target,
            "Authorization": f"{_ALGORITHM} Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={signed}, Signature={keyed.hexdigest()}",
        }
        if token is not None:
            headers["X-Amz-Security-Token"] = token
        return headers

    def _derive_day_key(self, day: str, credentials: Credentials) -> None:
        key = b"AWS4" + credentials.secret_key.encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = digest(key, part.encode(), "sha256")
        self._keyed = HMAC(key, digestmod="sha256")
        self._scope = f"{day}/{self.region}/{self.service}/aws4_request"
        self._keyed_for = (day, credentials)
