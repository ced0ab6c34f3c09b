"""Ids of duties, and when a claim has ended."""

from dynamirror.model.duty import ClaimWatch, duty_id


def test_ids_differ_by_item_worker_and_occasion_and_are_short() -> None:
    ids = {duty_id(key, worker, n) for key in ("a", "b", ("a", ""), ("a", "b")) for worker in "vw" for n in (1, 2)}
    assert len(ids) == 16
    assert duty_id(("a", "b"), "w", 1) == duty_id(("a", "b"), "w", 1)
    assert len(duty_id(("ü" * 2048, "x" * 1024), "w" * 100, 10**9).encode()) < 200


def test_a_claim_ends_when_the_heartbeat_has_stood_still_from_answer_to_question() -> None:
    watch = ClaimWatch(10.0)
    watch.see({"w": 7}, asked_at_s=0.0, now_s=3.0)
    watch.see({"w": 7}, asked_at_s=12.9, now_s=14.0)
    assert watch.ended_at_s("w") is None
    watch.see({"w": 7}, asked_at_s=13.0, now_s=14.0)
    assert watch.ended_at_s("w") == 13.0


def test_a_heartbeat_that_moves_keeps_the_claim() -> None:
    watch = ClaimWatch(10.0)
    for beat in range(5):
        watch.see({"w": beat}, asked_at_s=100.0 * beat, now_s=100.0 * beat + 1)
        assert watch.ended_at_s("w") is None


def test_a_frozen_observer_has_not_heard_anybody_be_silent() -> None:
    watch = ClaimWatch(10.0)
    watch.see({"w": 7}, asked_at_s=0.0, now_s=500.0)
    assert watch.ended_at_s("w") is None


def test_a_worker_without_heartbeat_may_beat_soon() -> None:
    watch = ClaimWatch(10.0)
    watch.see({"w": None}, 0.0, 0.0)
    assert watch.ended_at_s("w") is None
    watch.see({"w": 1}, 9.0, 9.0)
    watch.see({"w": 1}, 10.0, 10.0)
    assert watch.ended_at_s("w") is None
    watch.see({"w": 1}, 19.0, 19.0)
    assert watch.ended_at_s("w") == 19.0


def test_who_claims_nothing_is_forgotten() -> None:
    watch = ClaimWatch(10.0)
    watch.see({"w": 1}, 0.0, 0.0)
    watch.see({}, 10.0, 10.0)
    watch.see({"w": 1}, 20.0, 20.0)
    assert watch.ended_at_s("w") is None
    assert watch.ended_at_s("unknown") is None


def test_only_those_who_have_not_moved_yet_are_looked_at_soon() -> None:
    watch = ClaimWatch(10.0)
    assert watch.undecided_until_s() is None
    watch.see({"v": 1, "w": 1}, 0.0, 0.5)
    assert watch.undecided_until_s() == 10.5
    watch.see({"v": 2, "w": 1}, 5.0, 5.5)
    assert watch.undecided_until_s() == 10.5
    watch.see({"v": 2, "w": 2}, 11.0, 11.5)
    assert watch.undecided_until_s() is None
