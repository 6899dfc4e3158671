"""What a run says, read piece by piece: the pieces add up to its text, and nothing is read twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.client.run_text import RunText, run_text
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

RUN = "r1"


class Log:
    """A view that grows by what a run and a bystander say."""

    def __init__(self) -> None:
        self.view = View()
        self.attempt = 0
        self._seq = 0
        self._lengths: dict[str, int] = {}
        for run in (RUN, "r2"):
            self.add(e.RUN_QUEUED, {"agent": "writer", "attempts": 3}, run)
        self.start()

    def add(self, type_: str, data: dict[str, Any], run: str = RUN, offset: int | None = None) -> None:
        self._seq += 1
        attempt = self.attempt if type_ in e.APPENDABLE else None
        assert self.view.apply(Event(self._seq, 1, "agent:writer", type_, data, run, attempt, offset))

    def start(self) -> None:
        self.attempt += 1
        self.add(e.RUN_STARTED, {"generation": self.attempt, "worker": "w"})

    def lose(self) -> None:
        self.add(e.RUN_ATTEMPT_LOST, {"generation": self.attempt, "reason": "lease"})
        self._lengths = {ident: size for ident, size in self._lengths.items() if ident.startswith("r2")}
        self.start()

    def write(self, name: str, text: str, run: str = RUN) -> None:
        ident = f"{run}.{self.attempt}.{name}"
        if ident not in self._lengths:
            self._lengths[ident] = 0
            self.add(e.TEXT_START, {"messageId": ident, "role": "assistant"}, run)
        self.add(e.TEXT_CONTENT, {"messageId": ident, "delta": text}, run, self._lengths[ident])
        self._lengths[ident] += len(text.encode("utf-16-le")) // 2

    def end(self, name: str, **more: bool) -> None:
        self.add(e.TEXT_END, {"messageId": f"{RUN}.{self.attempt}.{name}", **more})

    def reload(self) -> None:
        """As a snapshot brings it."""
        self.view = View.load(msgspec.json.decode(encode(self.view.export())))

    def whole(self) -> str:
        return run_text(self.view.export()["items"], self.view.runs[RUN])


NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.text("xyø𝄞\n", min_size=1, max_size=4)),
        st.tuples(st.just("bystander"), NAMES, st.just("z")),
        st.tuples(st.just("end"), NAMES),
        st.tuples(st.sampled_from(["reload", "look", "export"])),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_pieces_add_up_wherever_one_looks(steps: list[tuple[str, ...]]) -> None:
    """Messages side by side, snapshots in between, somebody else's words: the order is that of the beginnings."""
    log, saying, over = Log(), RunText(RUN), set[str]()
    for step, *given_ in steps:
        if step == "write" and given_[0] not in over:
            log.write(*given_)
        elif step == "bystander":
            log.write(*given_, run="r2")
        elif step == "end" and given_[0] not in over and f"{RUN}.1.{given_[0]}" in log._lengths:
            over.add(given_[0])
            log.end(given_[0])
        elif step == "reload":
            log.reload()
        elif step == "export":
            log.view.export()
        elif step == "look":
            saying.read_new(log.view)
            assert log.whole().startswith("".join(saying.pieces))
    saying.read_new(log.view)
    log.add(e.RUN_ENDED, {"status": "completed"})
    assert "".join(saying.pieces) + saying.remainder(log.whole()) == log.whole()


def test_every_character_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a piece is that of what is new, however long the text is."""
    read = 0
    real = View.text_after

    def counted(self: View, message: str, start: int) -> str:
        nonlocal read
        text = real(self, message, start)
        read += len(text)
        return text

    monkeypatch.setattr(View, "text_after", counted)
    log, saying = Log(), RunText(RUN)
    for number in range(2_000):
        log.write("a", f"{number}ø ")
        assert saying.read_new(log.view) == f"{number}ø "
        assert saying.read_new(log.view) == ""
    assert read == len(log.whole())


def test_of_a_lost_attempt_only_that_counts_which_no_later_one_says_again() -> None:
    """RUN-8."""
    log, saying = Log(), RunText(RUN)
    log.write("a", "whole")
    log.end("a", kept=True)
    log.write("b", "half")
    assert saying.read_new(log.view) == "whole\n\nhalf"
    log.lose()
    assert saying.read_new(log.view) == "", "it waits for what the next attempt says"
    log.write("b", "ha")
    assert saying.read_new(log.view) == ""
    log.write("b", "lf and more")
    assert saying.read_new(log.view) == " and more"
    assert log.whole() == "whole\n\nhalf and more" == "".join(saying.pieces)
    log.lose()
    log.write("b", "other")
    with pytest.raises(Refused, match=r"run\.fenced"):
        saying.read_new(log.view)
    assert log.whole() == "whole\n\nother"
    log.end("b")
    log.lose()
    assert log.whole() == "whole", "complete, and said in vain"
