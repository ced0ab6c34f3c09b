"""Keys compare by value, whatever the spelling, order and company of their attributes."""

import base64
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema, canonical_number

PAIR = KeyCodec(KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "N")))

digits = st.text("0123456789", min_size=1, max_size=38)
numbers = st.builds(
    lambda sign, head, exponent: Decimal(f"{sign}{head}E{exponent}"),
    st.sampled_from(["", "-"]),
    digits,
    st.integers(-120, 80),
)
names = st.text(min_size=1, max_size=40).filter(lambda name: name.isprintable() or "\n" in name or '"' in name)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def spelled(draw: st.DataObject, number: Decimal) -> str:
    """One of the many spellings of a number."""
    kind = draw.draw(st.sampled_from(["plain", "scientific", "zeros", "as it is"]))
    if kind == "plain":
        return format(number, "f")
    if kind == "scientific":
        return format(number, "E")
    if kind == "zeros":
        plain = format(number, "f")
        plain = plain if "." in plain else plain + "."
        return plain + "0" * draw.draw(st.integers(1, 3))
    return str(number)


@given(numbers, st.data())
def test_every_spelling_of_a_number_is_the_same_key(number: Decimal, draw: st.DataObject) -> None:
    one, other = spelled(draw, number), spelled(draw, number)
    assert canonical_number(one) == canonical_number(other)
    assert Decimal(canonical_number(one)) == number


@given(numbers, numbers)
def test_two_numbers_are_two_keys(one: Decimal, other: Decimal) -> None:
    assert (canonical_number(str(one)) == canonical_number(str(other))) is (one == other)


@pytest.mark.parametrize(
    "text,canonical",
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.00", "0"),
        ("007", "7"),
        ("10", "10"),
        ("1E1", "10"),
        ("-1.50", "-1.5"),
        ("1e-3", "0.001"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("1.2345678901234567890123456789012345678", "1.2345678901234567890123456789012345678"),
    ],
)
def test_a_number_has_one_canonical_spelling(text: str, canonical: str) -> None:
    assert canonical_number(text) == canonical


@given(texts, st.dictionaries(names, st.just({"S": "other"}), max_size=4), st.data())
def test_order_and_company_of_the_attributes_do_not_matter(
    value: str, others: dict[str, object], draw: st.DataObject
) -> None:
    item = {**others, "id": {"S": value}, "at": {"N": "1.0"}}
    order = draw.draw(st.permutations(list(item)))
    raw = json.dumps({name: item[name] for name in order}, ensure_ascii=draw.draw(st.booleans())).encode()
    assert PAIR.of(raw) == PAIR.of(msgspec.Raw(raw)) == (value, "1")


@given(names, names, st.binary(max_size=20))
def test_attribute_names_may_be_anything(hash_name: str, range_name: str, value: bytes) -> None:
    if hash_name == range_name:
        range_name += "'"
    codec = KeyCodec(KeySchema(KeyAttribute(hash_name, "B"), KeyAttribute(range_name, "S")))
    encoded = base64.b64encode(value).decode()
    raw = json.dumps({"k0": {"N": "1"}, range_name: {"S": "r"}, hash_name: {"B": encoded}}).encode()
    assert codec.of(raw) == (encoded, "r")


@pytest.mark.parametrize("name", ["k0", "k1", "v", "S", "a.b", "a b", 'a"b', "a\\b", "a\nb", "ключ", "class"])
def test_odd_attribute_names(name: str) -> None:
    codec = KeyCodec(KeySchema(KeyAttribute(name, "N")))
    assert codec.of(json.dumps({"x": {"S": ""}, name: {"N": "1.0"}}).encode()) == "1"


def test_the_key_is_found_in_an_image_with_every_type() -> None:
    image = {
        "m": {"M": {"id": {"S": "not this"}, "at": {"N": "9"}}},
        "l": {"L": [{"NULL": True}, {"BOOL": False}]},
        "bs": {"BS": ["AA=="]},
        "at": {"N": "-2.50"},
        "id": {"S": 'quote " backslash \\ tab \t \u2028 \U0001f600'},
        "ns": {"NS": ["1", "2"]},
    }
    assert PAIR.of(json.dumps(image).encode()) == (image["id"]["S"], "-2.5")  # type: ignore[index]


@pytest.mark.parametrize("codec_name", ["id", 'i"d'])
@pytest.mark.parametrize(
    "raw", [b"{}", b'{"other":{"S":"1"}}', b'{"id":{"N":"1"},"i\\"d":{"N":"1"}}', b'{"id":{}}', b"[]", b"", b'{"id":']
)
def test_a_missing_key_is_an_error_that_names_it(codec_name: str, raw: bytes) -> None:
    codec = KeyCodec(KeySchema(KeyAttribute(codec_name, "S")))
    with pytest.raises(msgspec.DecodeError) as caught:
        codec.of(raw)
    if raw.startswith(b'{"other') or raw == b"{}":
        assert codec_name in str(caught.value)


def test_a_schema_prints_as_an_operator_says_it() -> None:
    assert str(PAIR.schema) == "id (S, hash), at (N, range)"
    assert str(KeySchema(KeyAttribute("id", "B"))) == "id (B, hash)"
