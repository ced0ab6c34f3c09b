"""DynamoDB Local at the wire: bodies in, status and bodies out, over one connection that is kept."""

import http.client
from urllib.parse import urlsplit

from dynamirror.testing.memory_dynamodb import Answer


class RawDynamoDB:
    """The database of one access key. DynamoDB Local checks no signature, so there is none."""

    def __init__(self, url: str, access_key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        credential = f"{access_key}/20260101/us-east-1/dynamodb/aws4_request"
        self._headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none",
        }

    def answer(self, operation: str, body: bytes) -> Answer:
        """Carry out one request, e.g. `PutItem`."""
        target = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        self._connection.request("POST", "/", body, self._headers | target)
        response = self._connection.getresponse()
        return Answer(response.status, response.read())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
