"""Expired credentials are refreshed beneath us; when that does not help for long, somebody must act."""

from dynamirror.errors import CredentialsExpired, Retry, Stop, Throttled
from dynamirror.ports import Clock

CREDENTIALS_PATIENCE_S = 300.0


class CredentialsPatience:
    """Tells a refresh under way from credentials that nobody renews. One for each caller that retries for ever."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expired_since_s: float | None = None

    def answered(self) -> None:
        """A request was accepted, so its credentials were."""
        self._expired_since_s = None

    def failed(self, error: Retry) -> None:
        """Note a failed attempt. Raises Stop when the credentials have been expired for too long."""
        if not isinstance(error, CredentialsExpired):
            if isinstance(error, Throttled):
                self.answered()
            return
        now_s = self._clock.boottime_s()
        if self._expired_since_s is None:
            self._expired_since_s = now_s
        if now_s - self._expired_since_s > CREDENTIALS_PATIENCE_S:
            raise Stop(
                error.side,
                f"{error}; they stayed expired for {CREDENTIALS_PATIENCE_S:.0f} s: renew them and start again "
                "(nothing is lost, the checkpoints stand before what was not written)",
            ) from error
