"""Which request is struck by which fault: rules by operation, table and rate, drawn from one seed and counted."""

import random
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from tests.bench.call import BATCHES, Call


class Kind(StrEnum):
    """The faults. "Applied" means that the request is carried out all the same."""

    # Answers of the service.
    THROTTLE = "throttle"
    UNPROCESSED = "unprocessed"  # part of a batch is carried out, the rest handed back
    INTERNAL_ERROR = "internal-error"  # 500, not applied
    INTERNAL_ERROR_APPLIED = "internal-error-applied"  # 500, applied
    UNAVAILABLE = "unavailable"  # 503, not applied
    EXPIRED = "expired"  # credentials
    # No answer.
    RESET_BEFORE = "reset-before"  # not applied
    RESET_AFTER = "reset-after"  # applied
    LATE = "late"  # reset now, applied seconds later
    HANG = "hang"  # until the client gives up; not applied
    HANG_APPLIED = "hang-applied"
    PARTITION = "partition"  # reset, not applied: what `partition` refuses
    # Answers that came to harm; the request is applied, but for HTML.
    DRIP = "drip"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"  # the checksum is that of the true body
    HTML = "html"  # a middlebox answers 502, 503 or 504


@dataclass(slots=True, eq=False)
class Rule:
    """Strikes requests that it matches: `operations`, `tables`, `regions` and `access_keys` are sets of names, None
    means all; `containing` stands in the body."""

    kind: Kind
    rate: float = 1.0
    operations: frozenset[str] | None = None
    tables: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    access_keys: frozenset[str] | None = None
    containing: bytes = b""
    # Strikes left; None: no end.
    left: int | None = None
    # On time.monotonic; None: no end.
    until_s: float | None = None
    struck: int = 0

    def matches(self, call: Call, now_s: float) -> bool:
        """Whether `call` may be struck at all."""
        if self.left == 0 or (self.until_s is not None and now_s >= self.until_s):
            return False
        wanted = (
            (self.operations, call.operation),
            (self.tables, call.table),
            (self.regions, call.region),
            (self.access_keys, call.access_key),
        )
        named = all(names is None or name in names for names, name in wanted)
        return named and self.containing in call.body and _fits(self.kind, call)


class FaultPlan:
    """The rules in force. The first one that strikes decides; `counts` tells how often each kind has struck."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.counts: Counter[Kind] = Counter()
        self._rules: list[Rule] = []

    def add(
        self,
        kind: Kind,
        operations: Collection[str] | None = None,
        tables: Collection[str] | None = None,
        *,
        rate: float = 1.0,
        count: int | None = None,
        regions: Collection[str] | None = None,
    ) -> Rule:
        """Strike matching requests at `rate` (0 to 1), at most `count` times. Returns the rule, which counts too."""
        return self.put(Rule(kind, rate, _set(operations), _set(tables), _set(regions), left=count))

    def put(self, rule: Rule) -> Rule:
        """Put a rule in force behind all others."""
        self._rules.append(rule)
        return rule

    def partition(
        self,
        for_s: float,
        operations: Collection[str] | None = None,
        tables: Collection[str] | None = None,
        regions: Collection[str] | None = None,
    ) -> Rule:
        """Refuse every matching request with a reset for `for_s` seconds; goes before all other rules."""
        until_s = time.monotonic() + for_s
        rule = Rule(Kind.PARTITION, 1.0, _set(operations), _set(tables), _set(regions), until_s=until_s)
        self._rules.insert(0, rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Take one rule out; a second time does nothing."""
        if rule in self._rules:
            self._rules.remove(rule)

    def clear(self) -> None:
        """Take all rules out; what has been struck already goes on (late writes, hangs)."""
        self._rules.clear()

    def strike(self, call: Call) -> Kind | None:
        """The fault that this request meets, counted."""
        now_s = time.monotonic()
        for rule in list(self._rules):
            if rule.matches(call, now_s) and (rule.rate >= 1.0 or self.random.random() < rule.rate):
                rule.struck += 1
                if rule.left is not None:
                    rule.left -= 1
                self.counts[rule.kind] += 1
                return rule.kind
        return None


def _fits(kind: Kind, call: Call) -> bool:
    """Part of a batch needs two keys; late is of interest for writes only."""
    if kind is Kind.UNPROCESSED:
        return call.operation in BATCHES and call.keys > 1
    return kind is not Kind.LATE or call.writes


def _set(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
