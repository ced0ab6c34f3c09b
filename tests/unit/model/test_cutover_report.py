"""The report's digest: the same whoever makes it, another for any change."""

import json
from hashlib import sha256

from dynamirror.model.cutover import View
from dynamirror.model.cutover_report import EXACT, OPEN, Findings, digest_of, drain_of, moment, with_digest
from dynamirror.model.lease import SHARD_END, Lease
from dynamirror.model.shard_graph import Listing, Shard

DOCUMENT = {"task": "Größe", "steps": [{"took_ms": 3, "step": "lag"}], "drain": {"exact": True}, "reverse": None}


def test_the_digest_is_that_of_the_canonical_json() -> None:
    bare = json.dumps(DOCUMENT, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest_of(DOCUMENT) == sha256(bare.encode()).hexdigest()


def test_the_digest_stands_in_the_document_and_does_not_count() -> None:
    document = with_digest(DOCUMENT)
    assert digest_of(document) == document["digest"] == digest_of(json.loads(json.dumps(document)))
    assert digest_of(document | {"task": "other"}) != document["digest"]


def test_the_drain_names_every_shard_with_its_last_number() -> None:
    view = View(Listing((Shard("s1", None, "1", "9"),), enabled=False), {"s1": Lease("s1", SHARD_END)})
    told = drain_of(Findings(drained=view, exact=True, drained_ms=1_000))
    assert told["shards"] == [{"id": "s1", "last_sequence": "9", "checkpoint": SHARD_END}]
    assert (told["exact"], told["proof"]) == (True, EXACT)
    assert drain_of(Findings(drained=view))["proof"] == OPEN == "not proven: the stream is still open"


def test_a_moment_is_in_utc() -> None:
    assert moment(1_700_000_000_999) == "2023-11-14T22:13:20Z"
