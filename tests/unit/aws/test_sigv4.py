"""Signatures, byte for byte as botocore's signer makes them."""

from datetime import UTC, datetime
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.aws.credentials import Credentials
from dynamirror.aws.sigv4 import Signer

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
PATHS = st.lists(st.text("abcXYZ019_~-.", min_size=1, max_size=8), max_size=3).map(
    lambda parts: "/" + "/".join(f"p{part}" for part in parts)
)
# Signature dates have four digits of year.
INSTANTS = st.integers(0, 4_102_444_800)


def botocore_headers(
    signer: Signer, url: str, target: str, body: bytes, credentials: Credentials, at_s: int
) -> dict[str, str]:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    request = AWSRequest("POST", url, headers=headers, data=body)
    keys = ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    now = datetime.fromtimestamp(at_s, UTC)
    with patch("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None)):
        SigV4Auth(keys, signer.service, signer.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    region=st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1", "local"]),
    host=st.sampled_from(["dynamodb.us-east-1.amazonaws.com", "localhost:8000", "[::1]:8000", "10.0.0.1"]),
    path=PATHS,
    target=PRINTABLE,
    body=st.binary(max_size=200),
    credentials=st.builds(Credentials, PRINTABLE, PRINTABLE, st.none() | PRINTABLE),
    instants=st.lists(INSTANTS, min_size=1, max_size=3),
)
def test_as_botocore_signs(
    region: str,
    host: str,
    path: str,
    target: str,
    body: bytes,
    credentials: Credentials,
    instants: list[int],
) -> None:
    signer = Signer(region)
    for at_s in instants:
        ours = signer.headers(host, path, target, body, credentials, at_s + 0.7)
        theirs = botocore_headers(signer, f"http://{host}{path}", target, body, credentials, at_s)
        for name, value in theirs.items():
            if name != "host":  # botocore leaves it to urllib3, and signs it all the same
                assert {key.lower(): value for key, value in ours.items()}[name] == value


def test_a_golden_signature() -> None:
    # Fixed inputs and the result that botocore 1.43.106 gives for them.
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "TOKEN")
    headers = Signer("us-west-2").headers(
        "dynamodb.us-west-2.amazonaws.com", "/", "DynamoDB_20120810.BatchWriteItem", b'{"A":"\xc3\xa4"}', credentials,
        1_440_938_160.0,
    )  # fmt: skip
    assert headers == {
        "Host": "dynamodb.us-west-2.amazonaws.com",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": "20150830T123600Z",
        "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-west-2/dynamodb/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
        "Signature=0752f0df11680d00086121a92f60b0138c18fe12101c4da4d2f5b493bfd69d95",
        "X-Amz-Security-Token": "TOKEN",
    }


def test_keys_that_change_or_a_day_that_ends_change_the_signature() -> None:
    signer = Signer("us-east-1")
    old, new = Credentials("AKIDEXAMPLE", "one"), Credentials("AKIDEXAMPLE", "two")
    at_s = 86_400.0 * 20_000 - 1

    def signature(credentials: Credentials, at_s: float) -> str:
        return signer.headers("h", "/", "T", b"", credentials, at_s)["Authorization"]

    signatures = [signature(old, at_s), signature(new, at_s), signature(new, at_s + 1), signature(old, at_s + 1)]
    assert len(set(signatures)) == 4
    assert signature(old, at_s) == signatures[0]


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("AKIDEXAMPLE", "SECRET", "TOKEN", 1.0))
    assert "AKIDEXAMPLE" in shown
    assert "SECRET" not in shown
    assert "TOKEN" not in shown
