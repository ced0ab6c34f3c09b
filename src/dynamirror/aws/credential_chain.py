"""Where credentials come from: the standard AWS chain (environment, profile, container, instance role, SSO) and STS.

botocore does it, in a thread. Its errors become ours here.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from dynamirror.aws.credentials import Credentials, Fetch
from dynamirror.errors import AccessDenied, DynamirrorError, Refused, Side, Stop, Throttled, Unreachable

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

# Names the session in the role's CloudTrail entries.
ROLE_SESSION_NAME = "dynamirror"


def chain(profile: str | None, region: str, side: Side) -> Fetch:
    """Credentials by the standard chain. `region` is where STS is asked when the configuration names none."""

    async def fetch() -> Credentials:
        return await asyncio.to_thread(_find, profile, region, side)

    return fetch


def assumed_role(role_arn: str, profile: str | None, region: str, side: Side) -> Fetch:
    """Credentials of `role_arn`, assumed with what the chain finds for `profile`."""

    async def fetch() -> Credentials:
        return await asyncio.to_thread(_assume, role_arn, profile, region, side)

    return fetch


def new_session(profile: str | None, region: str) -> "Session":
    """A botocore session. Raises Refused when the profile does not exist or the configuration cannot be read."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session(profile=profile)
    try:
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", region)
        session.get_scoped_config()
    except BotoCoreError as failure:
        raise Refused(
            f"the AWS configuration cannot be used: {failure}; profiles there are: "
            f"{', '.join(session.available_profiles) or 'none'}"
        ) from failure
    return session


def _find(profile: str | None, region: str, side: Side) -> Credentials:
    # A session of its own each time: botocore remembers what it found, and a refused set must not come back.
    return _found(new_session(profile, region), profile, side)


def _found(session: "Session", profile: str | None, side: Side) -> Credentials:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        found = session.get_credentials()
        frozen = found and found.get_frozen_credentials()
    except ClientError as failure:
        raise _of_sts(failure, "renew the credentials", side) from failure
    except (ResponseParserError, KeyError) as failure:
        raise _not_sts("renew the credentials", side) from failure
    except (BotoCoreError, RuntimeError, OSError, ValueError) as failure:
        raise _of_chain(failure, profile, side) from _cause(failure)
    if not frozen or not frozen.access_key or not frozen.secret_key:
        raise _none_found(session, profile, side)
    expiry = getattr(found, "_expiry_time", None)
    return Credentials(
        frozen.access_key, frozen.secret_key, frozen.token or None, expiry.timestamp() if expiry else None
    )


def _assume(role_arn: str, profile: str | None, region: str, side: Side) -> Credentials:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    session = new_session(profile, region)
    base = _found(session, profile, side)
    try:
        sts: Any = session.create_client(
            "sts",
            aws_access_key_id=base.access_key,
            aws_secret_access_key=base.secret_key,
            aws_session_token=base.token,
            config=Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard"}),
        )
        try:
            given = sts.assume_role(RoleArn=role_arn, RoleSessionName=ROLE_SESSION_NAME)["Credentials"]
            return Credentials(
                given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], given["Expiration"].timestamp()
            )
        finally:
            sts.close()
    except ClientError as failure:
        raise _of_sts(failure, f"assume the role {role_arn}", side) from failure
    except BotoCoreError as failure:
        raise _of_network(failure, f"assume the role {role_arn}", side) from _cause(failure)
    except (ResponseParserError, KeyError) as failure:
        raise _not_sts(f"assume the role {role_arn}", side) from failure


def _none_found(session: "Session", profile: str | None, side: Side) -> Stop:
    searched = ", ".join(provider.METHOD for provider in session.get_component("credential_provider").providers)
    return Stop(
        side,
        f"no AWS credentials for the {side.value} ({_profile(profile)}; searched: {searched}); "
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure` or `aws sso login`, "
        "or name a profile",
    )


def _of_chain(failure: Exception, profile: str | None, side: Side) -> DynamirrorError:
    if _may_pass(failure):
        return Unreachable(side, f"the credentials of the {side.value} could not be fetched: {_line(failure)}")
    return Stop(
        side,
        f"the AWS credentials of the {side.value} cannot be used ({_profile(profile)}): {_line(failure)}; "
        "for SSO run `aws sso login`",
    )


def _of_network(failure: "BotoCoreError", attempt: str, side: Side) -> DynamirrorError:
    text = f"could not {attempt} for the {side.value}: {_line(failure)}"
    return Unreachable(side, text) if _may_pass(failure) else Stop(side, text)


def _may_pass(failure: Exception) -> bool:
    """A network, or the machine's own credential service, that may answer later."""
    from botocore import exceptions

    passing = (
        exceptions.ConnectionError,
        exceptions.CredentialRetrievalError,
        exceptions.HTTPClientError,
        exceptions.MetadataRetrievalError,
    )
    return isinstance(failure, passing)


def _of_sts(failure: "ClientError", attempt: str, side: Side) -> DynamirrorError:
    error = failure.response.get("Error", {})
    name, said = error.get("Code", ""), error.get("Message", "")
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"could not {attempt} for the {side.value}: {name}: {said}"[:500]
    if name in ("AccessDenied", "AccessDeniedException"):
        return AccessDenied(side, f"{text}; allow sts:AssumeRole, and check the role's trust policy")
    if "Throttl" in name or name == "RequestLimitExceeded":
        return Throttled(side, text)
    if status >= 500:
        return Unreachable(side, text)
    return Stop(side, text)


def _not_sts(attempt: str, side: Side) -> Unreachable:
    return Unreachable(
        side,
        f"could not {attempt} for the {side.value}: what answered is not STS; check HTTPS_PROXY and "
        "AWS_ENDPOINT_URL_STS",
    )


def _profile(profile: str | None) -> str:
    return f"profile {profile}" if profile else "no profile named"


def _line(failure: Exception) -> str:
    if _cause(failure) is None:
        return "its requests do not get through the proxy; check HTTPS_PROXY"
    return " ".join(str(failure).split())[:300]


def _cause(failure: Exception) -> Exception | None:
    """None for errors that quote a proxy's URL, password included when it is misspelled (or not even masked)."""
    from botocore import exceptions

    quotes = type(failure) is exceptions.HTTPClientError or isinstance(failure, exceptions.ProxyConnectionError)
    return None if quotes else failure
