"""Items without the attributes of old global tables: nothing else of them may change."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dynamirror.model.replica_marks import without_marks

# As the service may write them: digits that a float has not, escapes, spaces, nesting, marks that are not the item's.
VALUES = st.sampled_from(
    [
        b'{"N":"12345678901234567890123456789012345678"}',
        b'{"N": "1.0E-130"}',
        b'{"B":"AAEC/w=="}',
        b'{"BS":["AA==","/w=="]}',
        b'{"S":"\\u0000 \\"aws:rep:x\\" \\u00e9"}',
        '{"S":"ключ"}'.encode(),
        b'{"S":"aws:rep:deleting"}',
        b'{"M":{"aws:rep:deleting":{"BOOL":true}}}',
        b'{ "L" : [ {"NULL":true} , {"SS":["aws:rep:updatetime",""]} ] }',
    ]
)
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(
        ["aws:rep:deleting", "aws:rep:updatetime", "aws:rep:", "aws:reply", "AWS:rep:x", ' aws:rep:"', "id"]
    ),
)


def item(attributes: dict[str, bytes]) -> bytes:
    return b"{" + b", ".join(json.dumps(name).encode() + b" : " + value for name, value in attributes.items()) + b"}"


@given(st.dictionaries(NAMES, VALUES))
def test_all_other_attributes_stay_verbatim_and_in_order(attributes: dict[str, bytes]) -> None:
    kept = {name: value for name, value in attributes.items() if not name.startswith("aws:rep:")}
    found = bytes(without_marks(Raw(item(attributes))))
    values = {name: bytes(value) for name, value in msgspec.json.decode(found, type=dict[str, Raw]).items()}
    assert list(values.items()) == list(kept.items())


@pytest.mark.parametrize(
    "untouched",
    [b"", b'{"id" : {"S":"\\u0041"}}', b'{ "a":{"S":"aws:rep:x"}}', b'{ "m":{"M":{"aws:rep:x":{"N":"1"}}}}'],
)
def test_an_item_without_marks_of_its_own_is_the_bytes_it_came_as(untouched: bytes) -> None:
    assert bytes(without_marks(Raw(untouched))) == untouched


@pytest.mark.parametrize("broken", [b'["aws:rep:x"]', b'{"aws:rep:x":', b'{"aws:rep:x"}'])
def test_what_is_no_item_is_refused(broken: Any) -> None:
    with pytest.raises(msgspec.MsgspecError):
        without_marks(Raw(broken))
