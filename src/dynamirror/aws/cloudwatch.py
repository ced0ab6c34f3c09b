"""PutMetricData. botocore does it, in the thread of whoever calls; imported only where something is published."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dynamirror.aws.credential_chain import new_session
from dynamirror.errors import DynamirrorError
from dynamirror.model.statistic import Datum

# PutMetricData: metrics in one request.
DATA_MAX = 1000
_CONNECT_TIMEOUT_S = 2
_READ_TIMEOUT_S = 3
_NOT_NOW = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})
_NOT_AS_THIS = frozenset({"AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException"})
_UNKNOWN = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})


class NotPublished(DynamirrorError):
    """CloudWatch did not take the data. `again`: they may be sent once more, since they were surely not counted."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class CloudWatch:
    """One namespace. Credentials: the process's own, by the standard chain, kept fresh by botocore."""

    def __init__(self, region: str, endpoint: str | None, namespace: str) -> None:
        """`endpoint`: a checked URL; None: the Region's own."""
        self._region = region
        self._endpoint = endpoint
        self._namespace = namespace
        self._client: Any = None

    def put(self, data: Sequence[Datum]) -> None:
        """One request, at most DATA_MAX. Blocks, for some seconds at most once there are credentials. One attempt.

        Raises NotPublished.
        """
        try:
            self._put(data)
        except NotPublished as failure:
            # Whoever is not let in looks for credentials anew: botocore's client keeps what it has once found.
            self._client = None if failure.again else self._client
            raise

    def _put(self, data: Sequence[Datum]) -> None:
        from botocore import exceptions

        try:
            if self._client is None:
                self._client = self._connected()
            self._client.put_metric_data(Namespace=self._namespace, MetricData=[_member(datum) for datum in data])
        except exceptions.ClientError as error:
            raise _refused(error) from error
        except (exceptions.ReadTimeoutError, exceptions.ConnectionClosedError) as error:
            raise NotPublished(f"CloudWatch in {self._region} did not answer", again=False) from error
        except Exception as error:
            # Of the credential chain too: what it raises is as manifold as its providers. The text may quote a proxy
            # with its password, so the kind of the error has to do.
            said = f"CloudWatch in {self._region} could not be called ({type(error).__name__})"
            raise NotPublished(said, again=True) from error

    def _connected(self) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        session = new_session(None, self._region)
        return session.create_client("cloudwatch", region_name=self._region, endpoint_url=self._endpoint, config=config)


def _member(datum: Datum) -> dict[str, Any]:
    statistic = datum.statistic
    return {
        "MetricName": datum.name,
        "Unit": datum.unit,
        "Dimensions": [{"Name": name, "Value": value} for name, value in datum.dimensions],
        "Timestamp": datetime.fromtimestamp(datum.at_s, UTC),
        "StatisticValues": {
            "SampleCount": float(statistic.count),
            "Sum": statistic.total,
            "Minimum": statistic.least,
            "Maximum": statistic.most,
        },
    }


def _refused(error: Any) -> NotPublished:
    told = error.response.get("Error", {})
    name, said = str(told.get("Code", "")), str(told.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Refused for what it says, it would be refused for ever; a 5xx may have counted it.
    again = name in _NOT_NOW | _NOT_AS_THIS | _UNKNOWN or status in (403, 429, 503)
    hint = "; allow cloudwatch:PutMetricData, or give --dont-publish-cloudwatch" if "AccessDenied" in name else ""
    return NotPublished(f"CloudWatch refused PutMetricData: {name}: {said}"[:300] + hint, again=again)
