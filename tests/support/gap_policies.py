"""Gap policies for tests that are about something else."""

from dynamirror.follow.gaps import GapPolicy
from dynamirror.observe.metrics import Metrics


def stopping() -> GapPolicy:
    """A gap stops the worker."""
    return GapPolicy(None, "w", Metrics(), lambda: 0.0)
