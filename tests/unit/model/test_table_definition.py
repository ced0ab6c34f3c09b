"""What a clone is to be, what is left to do for it, and how two tables differ: functions of values."""

from dataclasses import replace
from typing import Any

import pytest

from dynamirror.errors import Refused
from dynamirror.model.table_definition import (
    AWS_MANAGED,
    MARK,
    AddIndex,
    AddTags,
    Index,
    SetRecovery,
    SetTtl,
    TableDefinition,
    Throughput,
    Unmark,
    is_unfinished,
    mark_of,
    steps,
)
from dynamirror.model.table_differences import Severity, differences
from dynamirror.model.table_overrides import Wishes, check_makeable, check_overrides, wanted

PK = (("pk", "HASH"),)
G = Index("g", (("a", "HASH"), ("b", "HASH"), ("c", "RANGE")), "ALL")
H = Index("h", (("a", "HASH"),), "INCLUDE", ("y", "x"))
L = Index("l", (("pk", "HASH"), ("a", "RANGE")), "KEYS_ONLY")
TYPES = {"pk": "S", "a": "S", "b": "N", "c": "B"}
PLAIN = TableDefinition(PK, TYPES)
RICH = TableDefinition(
    PK, TYPES, (L,), (G, H), tags={"team": "a"}, stream="KEYS_ONLY", recovery_days=7, ttl="expires", arn="arn:source"
)
PROVISIONED = replace(RICH, on_demand=False, capacity=Throughput(10, 20))


def want(source: TableDefinition, **overrides: Any) -> TableDefinition:
    return wanted(source, Wishes("eu-west-1", overrides))


def lines(source: TableDefinition, destination: TableDefinition) -> list[str]:
    return [f"{one.severity.value}: {one.line}" for one in differences(source, destination)]


def test_steps_are_in_order_and_time_to_live_is_last_but_the_mark() -> None:
    found = replace(PLAIN, tags={MARK: "arn:source"})
    add_g = AddIndex(G, {"a": "S", "b": "N", "c": "B"})
    add_h = AddIndex(H, {"a": "S"})
    at_once, later = steps(RICH, found, False), steps(RICH, found, True)
    assert at_once.before_copy == (AddTags({"team": "a"}), SetRecovery(7), add_g, add_h)
    assert at_once.after_copy == (SetTtl("expires"), Unmark())
    assert later.before_copy == (AddTags({"team": "a"}), SetRecovery(7))
    assert later.after_copy == (add_g, add_h, SetTtl("expires"), Unmark())


def test_each_step_knows_when_it_is_done_and_is_then_not_left() -> None:
    found = replace(PLAIN, tags={MARK: "arn:source"})
    left = steps(RICH, found, False)
    assert not any(step.done(found) for step in (*left.before_copy, *left.after_copy))
    assert all(step.done(RICH) for step in (*left.before_copy, *left.after_copy))
    assert steps(RICH, RICH, True) == steps(RICH, RICH, False) == type(left)()


def test_what_a_table_has_is_not_changed() -> None:
    there = replace(RICH, recovery_days=35, ttl="other", tags={"team": "b"}, global_indexes=(replace(H, name="g"), H))
    assert steps(RICH, there, False) == type(steps(RICH, there, False))()


def test_what_a_service_does_not_offer_is_no_step() -> None:
    found = replace(PLAIN, unoffered=frozenset({"tags", "recovery_days", "ttl"}))
    left = steps(replace(RICH, global_indexes=()), found, False)
    assert (left.before_copy, left.after_copy) == ((), ())


def test_a_mark_tells_what_is_unfinished() -> None:
    assert is_unfinished(replace(PLAIN, tags={MARK: "x"}))
    assert not is_unfinished(PLAIN)
    assert is_unfinished(replace(PLAIN, unoffered=frozenset({"tags"})))
    long = "arn:aws:dynamodb:us-east-1:1:table/" + "n" * 254 + "1"
    assert len(mark_of(long)) == 256
    assert mark_of(long) != mark_of(long[:-1] + "2")


def test_without_overrides_it_is_the_source() -> None:
    assert want(RICH) == replace(RICH, arn="")
    reserved = {"aws:cloudformation:stack-name": "s", "AWS:x": "y", MARK: "arn:other"}
    assert want(replace(RICH, tags={**RICH.tags, **reserved})).tags == {"team": "a"}


@pytest.mark.parametrize(
    "overrides,changed",
    [
        ({"table_class": "STANDARD_INFREQUENT_ACCESS"}, {"table_class": "STANDARD_INFREQUENT_ACCESS"}),
        ({"encryption": "alias/mine"}, {"encryption": "alias/mine"}),
        ({"deletion_protection": True}, {"deletion_protection": True}),
        ({"stream": "off"}, {"stream": None}),
        ({"stream": "NEW_IMAGE"}, {"stream": "NEW_IMAGE"}),
        ({"recovery": False}, {"recovery_days": None}),
        ({"recovery": True}, {"recovery_days": 7}),
        ({"recovery": 1}, {"recovery_days": 1}),
        ({"ttl": "off"}, {"ttl": None}),
        ({"ttl": "gone_at"}, {"ttl": "gone_at"}),
        ({"tags": {"team": "b", "new": "c"}}, {"tags": {"team": "b", "new": "c"}}),
        ({"tags": {"team": False}}, {"tags": {}}),
        ({"read_max": 5}, {"maxima": Throughput(5)}),
        ({"read_max": 0}, {"maxima": None}),
        ({"indexes": {"g": False, "l": False}}, {"global_indexes": (H,), "local_indexes": ()}),
        (
            {"indexes": {"g": {"write_max": 5}}},
            {"global_indexes": (replace(G, maxima=Throughput(None, 5)), H)},
        ),
    ],
    ids=str,
)
def test_overrides(overrides: dict[str, Any], changed: dict[str, Any]) -> None:
    assert want(RICH, **overrides) == replace(RICH, arn="", **changed)


@pytest.mark.parametrize(
    "overrides,said",
    [
        ({"colour": "red"}, "unknown setting of the destination table: colour; there are billing, "),
        ({"billing": "free"}, "billing .* must be one of on-demand, provisioned, not 'free'"),
        ({"billing": "provisioned"}, "needs read_capacity and write_capacity"),
        ({"billing": "provisioned", "read_capacity": 1}, "needs read_capacity and write_capacity"),
        ({"read_capacity": 1}, "read_capacity is without effect: the destination table is to be on demand"),
        ({"billing": "provisioned", "read_capacity": 0}, "a whole number of at least 1, not 0"),
        ({"read_max": True}, "a whole number of at least 0, not True"),
        ({"deletion_protection": "yes"}, "must be true or false"),
        ({"stream": "ON"}, "must be one of NEW_AND_OLD_IMAGES, "),
        ({"recovery": 36}, "must be true, false, or 1 to 35 days, not 36"),
        ({"ttl": ""}, "ttl .* must be a text"),
        ({"tags": ["a"]}, "tags .* must be a map by name"),
        ({"tags": {"aws:x": "y"}}, "the tag aws:x .* cannot be set"),
        ({"tags": {"x": 1}}, "the tag x .* must be a text, or false"),
        ({"indexes": {"none": False}}, "has no index none; it has g, h, l"),
        ({"indexes": {"l": {"read_max": 1}}}, "local index l has no settings of its own"),
        ({"indexes": {"g": {"size": 1}}}, "unknown setting size of the index g; there are read_capacity, "),
    ],
    ids=str,
)
def test_overrides_that_cannot_be_are_refused(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said) as error:
        want(RICH, **overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        {"colour": "red"},
        {"ttl": ""},
        {"indexes": {"g": {"size": 1}}},
        {"indexes": {"g": 1}},
        {"warm_throughput": "yes"},
    ],
    ids=str,
)
def test_what_cannot_be_whatever_the_source_is_can_be_told_without_it(overrides: dict[str, Any]) -> None:
    with pytest.raises(Refused) as error:
        check_overrides(overrides)
    with pytest.raises(Refused) as named:
        wanted(RICH, Wishes("eu-west-1", overrides, "table.toml"))
    assert str(named.value) == f"table.toml: {error.value}"


def test_what_depends_on_the_source_waits_for_it() -> None:
    check_overrides({"billing": "provisioned", "read_max": 1, "indexes": {"other": False, "g": {"read_max": 1}}})


def test_billing_changes_with_all_its_throughput() -> None:
    on_demand = replace(RICH, maxima=Throughput(5, 6), global_indexes=(replace(G, maxima=Throughput(7)), H))
    found = want(
        on_demand, billing="provisioned", read_capacity=3, write_capacity=4, indexes={"h": {"read_capacity": 9}}
    )
    assert (found.on_demand, found.capacity, found.maxima) == (False, Throughput(3, 4), None)
    assert [one.capacity for one in found.global_indexes] == [Throughput(3, 4), Throughput(9, 4)]
    assert {one.maxima for one in found.global_indexes} == {None}
    back = want(found, billing="on-demand", write_max=8)
    assert (back.on_demand, back.capacity, back.maxima) == (True, None, Throughput(None, 8))
    assert {one.capacity for one in back.global_indexes} == {None}


def test_warm_throughput_is_taken_over_when_asked_and_above_what_a_new_table_has() -> None:
    warm = replace(RICH, warm=Throughput(30_000, 4_000), global_indexes=(replace(G, warm=Throughput(12_000, 4_000)), H))
    assert want(warm).warm is None
    found = want(warm, warm_throughput=True)
    assert (found.warm, found.global_indexes[0].warm) == (Throughput(30_000), None)
    provisioned = replace(PROVISIONED, warm=Throughput(10, 21))
    assert want(provisioned, warm_throughput=True).warm == Throughput(None, 21)


def test_a_stream_may_be_asked_for() -> None:
    assert want(replace(RICH, stream=None), stream="NEW_AND_OLD_IMAGES").stream == "NEW_AND_OLD_IMAGES"


def test_a_key_of_another_region_needs_an_override() -> None:
    def check(key: str, **overrides: Any) -> None:
        source = replace(RICH, encryption=key)
        wishes = Wishes("eu-west-1", overrides)
        check_makeable(source, wanted(source, wishes), wishes)

    with pytest.raises(Refused, match="a KMS key of us-east-1, which a table in eu-west-1 cannot use"):
        check("arn:aws:kms:us-east-1:1:key/k")
    check("arn:aws:kms:eu-west-1:1:key/k")
    check(AWS_MANAGED)
    check("arn:aws:kms:us-east-1:1:key/k", encryption="arn:aws:kms:eu-west-1:1:key/k")


def test_the_mark_needs_room_among_the_tags() -> None:
    full = replace(RICH, tags={f"t{n}": "v" for n in range(50)})
    wishes = Wishes("eu-west-1")
    with pytest.raises(Refused, match="has 50 tags"):
        check_makeable(full, wanted(full, wishes), wishes)
    wishes = Wishes("eu-west-1", {"tags": {"t0": False}})
    check_makeable(full, wanted(full, wishes), wishes)


def test_equal_tables_do_not_differ() -> None:
    assert not lines(RICH, replace(RICH, arn="other", tags={**RICH.tags, MARK: "x", "aws:y": "z"}))
    # The service keeps them in no order.
    assert not lines(RICH, replace(RICH, global_indexes=(replace(H, attributes=("x", "y")), G)))


@pytest.mark.parametrize(
    "changed,line",
    [
        (
            {"keys": (*PK, ("a", "RANGE"))},
            "breaks: primary key: source pk (S, hash), destination pk (S, hash), a (S, range)",
        ),
        ({"global_indexes": (G,)}, "differs: index h: only at the source"),
        ({"local_indexes": ()}, "differs: local index l: only at the source"),
        (
            {"global_indexes": (G, H, replace(H, name="i"))},
            "risks: index i: only at the destination; an item whose a (S, hash) is of another type is refused there",
        ),
        (
            {"global_indexes": (G, replace(H, keys=(("b", "HASH"),)))},
            "risks: key of index h: source a (S, hash), destination b (N, hash)",
        ),
        (
            {"global_indexes": (G, replace(H, projection="ALL", attributes=()))},
            "differs: projection of index h: source INCLUDE x y, destination ALL",
        ),
        ({"maxima": Throughput(5)}, "differs: on-demand maximum: source none, destination 5 read"),
        ({"maxima": Throughput(5, 6)}, "risks: on-demand maximum: source none, destination 5 read, 6 write"),
        (
            {"on_demand": False, "capacity": Throughput(1, 2)},
            "risks: billing: source on-demand, destination provisioned (1 read, 2 write)",
        ),
        ({"ttl": None}, "differs: time to live: source expires, destination off"),
        (
            {"ttl": "x"},
            "risks: time to live: source expires, destination x; items vanish there that the source has",
        ),
        ({"table_class": "X"}, "differs: table class: source STANDARD, destination X"),
        ({"deletion_protection": True}, "differs: deletion protection: source off, destination on"),
        ({"stream": None}, "differs: stream: source KEYS_ONLY, destination off"),
        ({"recovery_days": None}, "differs: point-in-time recovery: source 7 days, destination off"),
        ({"encryption": AWS_MANAGED}, "differs: encryption: source aws-owned, destination aws-managed"),
        ({"tags": {}}, "differs: tag team: only at the source"),
        ({"tags": {"team": "b"}}, "differs: tag team: not the same"),
        ({"tags": {"team": "a", "x": "y"}}, "differs: tag x: only at the destination"),
        (
            {"unoffered": frozenset({"tags"}), "tags": {}},
            "differs: tags: not known of the destination (not offered by its service, or not allowed)",
        ),
        ({"beyond": ("replicas in x",)}, "differs: the destination has replicas in x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_difference_is_one_line(changed: dict[str, Any], line: str) -> None:
    assert lines(RICH, replace(RICH, **changed)) == [line]


def test_less_write_capacity_is_a_risk_and_more_is_not() -> None:
    less, more = (replace(PROVISIONED, capacity=Throughput(10, write)) for write in (19, 21))
    assert lines(PROVISIONED, less) == ["risks: capacity: source 10 read, 20 write, destination 10 read, 19 write"]
    assert lines(PROVISIONED, more)[0].startswith("differs: ")
    assert lines(PROVISIONED, replace(PROVISIONED, capacity=None))[0].endswith("20 write, destination none")
    index = replace(PROVISIONED, global_indexes=(replace(G, capacity=Throughput(1, 1)), H))
    assert differences(index, PROVISIONED)[0].severity is Severity.RISKS


def test_an_attribute_that_is_a_key_of_another_type_breaks() -> None:
    types = "as a key of type N at the source, S at the destination"
    breaks = f"breaks: attribute b: {types}, where an item that has it is refused"
    there = replace(RICH, types={**TYPES, "b": "S"})
    assert lines(RICH, there)[0] == breaks
    assert (
        lines(replace(RICH, global_indexes=(G,)), replace(there, global_indexes=(replace(G, name="i"),)))[0] == breaks
    )
    # What is a key here only may have any type in an item.
    assert differences(replace(PLAIN, types={"pk": "S"}), RICH)[0].severity is Severity.RISKS


def test_a_multi_region_key_is_the_same_key() -> None:
    here, there = (
        replace(RICH, encryption=f"arn:aws:kms:{region}:1:key/mrk-1") for region in ("us-east-1", "eu-west-1")
    )
    assert not lines(here, there)


def test_the_worst_comes_first() -> None:
    there = replace(RICH, types=TYPES | {"pk": "N"}, ttl="x", tags={}, local_indexes=())
    assert lines(RICH, there)[0] == "breaks: primary key: source pk (S, hash), destination pk (N, hash)"
    severities = [one.severity for one in differences(RICH, there)]
    assert severities == [Severity.BREAKS, Severity.RISKS, Severity.DIFFERS, Severity.DIFFERS]
