"""Which gaps a task closes by itself."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamirror.engines import gap_healing
from dynamirror.engines.gap_healing import heal_gaps
from dynamirror.loops.gate import Gate
from dynamirror.model.gap import STREAM_END, TABLE_END, OpenGap
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.accounts import settings


class Beats:
    """One worker, which lives."""

    def __init__(self) -> None:
        self.beat = 0

    async def beats(self) -> Mapping[str, int]:
        self.beat += 1
        return {"me": self.beat}


@pytest.mark.parametrize("behind, compares", [(STREAM_END, True), (TABLE_END, False)])
def test_of_a_source_made_anew_it_is_for_a_person(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, behind: str, compares: bool
) -> None:
    """Another worker may have gone on (--on-gap continue): whoever reconciles would delete what the new table lacks."""
    compared = []

    async def compare(*_: object) -> None:
        compared.append(True)

    monkeypatch.setattr(gap_healing, "_compared", compare)

    async def scenario() -> None:
        gaps = [
            OpenGap("2026-01-01T00", behind, "another stream", 1, "other"),
            OpenGap("shard", "5", "trimmed", 1, "w"),
        ]

        async def look() -> None:
            pass

        worker = SimpleNamespace(id="me", copier=None, gaps=SimpleNamespace(open=gaps, look=look), gate=Gate())
        facts = SimpleNamespace(state=Beats())
        healing = heal_gaps(
            cast("Any", None), cast("Any", facts), settings(on_gap="reconcile"), cast("Any", worker), VirtualClock()
        )
        task = asyncio.create_task(healing)
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.wait([task])

    run_virtual(scenario())
    assert bool(compared) is compares
    said = [record for record in caplog.records if getattr(record, "event", "") == "gap_for_a_person"]
    assert len(said) == (0 if compares else 1)
