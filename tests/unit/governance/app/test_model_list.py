"""``holdfast models``: what was served beside what became of it."""

from __future__ import annotations

from holdfast.governance.model_list import joined


def test_what_was_served_stands_beside_what_became_of_it() -> None:
    groups = [
        {"values": ["small"], "figures": {"rows": 30, "unpriced": 0, "billed_nano": 300}},
        {"values": ["large"], "figures": {"rows": 10, "unpriced": 2, "billed_nano": 900}},
        {"values": ["own"], "figures": {"rows": 5, "unpriced": 5, "billed_nano": 0}},
    ]
    judged = [
        {"model": "small", "workflow": "a", "n": 20, "accepted": 18, "rejected": 1, "escalated": 1},
        {"model": "small", "workflow": "b", "n": 10, "accepted": 4, "rejected": 6, "escalated": 0},
        {"model": "tried", "workflow": "b", "n": 0, "accepted": 0, "rejected": 0, "escalated": 0},
    ]
    large, own, small, tried = sorted(joined(groups, judged), key=lambda one: one["model"])
    assert [one["model"] for one in joined(groups, judged)][:2] == ["large", "small"], "the dearest first"
    assert (small["calls"], small["n"], small["accepted"], small["rejected"]) == (30, 30, 22, 7)
    assert (large["billed_nano"], large["n"]) == (900, 0)
    assert own["billed_nano"] is None, "what has no price did not cost nothing"
    assert tried["calls"] == 0 and tried["billed_nano"] is None
