"""Credentials that are always at hand: found by the standard AWS chain, renewed ahead of their expiry.

botocore does the finding (environment, profile, container, instance role, SSO, assumed role) in a thread;
when to look again is decided here, because botocore calls STS at every request once credentials have less
than ten minutes to live, and blocks the request meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from dynamirror.errors import AccessDenied, DynamirrorError, Refused, Side, Stop, Throttled, Unreachable
from dynamirror.model.backoff import Backoff
from dynamirror.ports import Clock

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

_log = logging.getLogger("dynamirror.aws")

# Names the session in the role's CloudTrail entries.
ROLE_SESSION_NAME = "dynamirror"

_RENEWALS_APART_S = 1.0
# Credentials that look expired the moment they were handed out: the local clock is off, so their life is unknown.
_LIFE_UNKNOWN_S = 60.0
# How long the loop sleeps at most before it looks whether its plan still holds.
_LOOK_S = 60.0
_BACKOFF = Backoff(first_s=1.0, most_s=60.0)


@dataclass(frozen=True, slots=True)
class Credentials:
    """One set of keys. `expires_at` is in seconds since the epoch; None: unknown or never."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


# Finds a fresh set. Raises Refused, Stop (nobody can help but the user), Throttled or Unreachable (later, perhaps).
Fetch: TypeAlias = Callable[[], Awaitable[Credentials]]


class CredentialSource:
    """Hands out the present credentials of one identity.

    Opened by `start`, kept fresh by `run`, which its owner runs as a task.
    """

    def __init__(self, fetch: Fetch, clock: Clock, random: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._random = random
        self._present: Credentials | None = None
        # On the boottime clock; None: these are not known to expire.
        self._renew_at_s: float | None = None
        self._lock = asyncio.Lock()
        self._rounds = 0
        self._failure: DynamirrorError | None = None

    def current(self) -> Credentials:
        """The present credentials, at once. They may have expired if they could not be renewed."""
        assert self._present is not None, "start() comes first"
        return self._present

    async def start(self) -> None:
        """Find the first credentials. Raises what the fetch raises."""
        if self._present is None:
            await self.refresh()

    async def refresh(self, refused: Credentials | None = None) -> None:
        """Fetch again, now: the service refused `refused` as expired.

        Callers that come while a fetch is under way share it and its outcome; nothing is fetched when
        `refused` has been replaced already. Raises what the fetch raises; the old credentials stay.
        """
        rounds = self._rounds
        async with self._lock:
            if refused is not None and self._present is not refused:
                return
            if self._rounds == rounds:
                await self._fetch_once()
            if self._failure is not None:
                raise self._failure

    async def run(self) -> None:
        """Renew at half of the remaining life, for ever; a failure is logged and tried again with back-off."""
        failures = 0
        while True:
            wait_s = _LOOK_S if self._renew_at_s is None else self._renew_at_s - self._clock.boottime_s()
            if wait_s > 0:
                await self._clock.sleep(min(wait_s, _LOOK_S))
                continue
            try:
                await self.refresh(self._present)
                failures = 0
            except DynamirrorError as failure:
                delay_s = _BACKOFF.delay_s(failures, self._random)
                failures += 1
                self._renew_at_s = self._clock.boottime_s() + delay_s
                self._report(failure, delay_s)

    async def _fetch_once(self) -> None:
        try:
            self._install(await self._fetch())
            self._failure = None
        except DynamirrorError as failure:
            self._failure = failure
        self._rounds += 1

    def _install(self, fresh: Credentials) -> None:
        self._present = fresh
        if fresh.expires_at is None:
            self._renew_at_s = None
            return
        life_s = fresh.expires_at - self._clock.wall_s()
        delay_s = max(life_s / 2, _RENEWALS_APART_S) if life_s > 0 else _LIFE_UNKNOWN_S
        self._renew_at_s = self._clock.boottime_s() + delay_s

    def _report(self, failure: DynamirrorError, delay_s: float) -> None:
        present = self._present
        life_s = None
        if present is not None and present.expires_at is not None:
            life_s = round(present.expires_at - self._clock.wall_s())
        _log.warning(
            "credentials could not be renewed: %s; trying again in %.1f s",
            failure,
            delay_s,
            extra={"event": "credentials-not-renewed", "remaining_s": life_s},
        )


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
        raise _of_chain(failure, profile, side) from failure
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
        raise _of_network(failure, f"assume the role {role_arn}", side) from failure
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
    return " ".join(str(failure).split())[:300]
