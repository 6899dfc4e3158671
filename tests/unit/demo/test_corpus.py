"""The documents: cut, ranked and quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.demo.corpus import SETS, Corpus, Passage, best_sentences, cut, documents, terms

DOCUMENT = """# Guide

Intro that is long enough to be a passage of its own, because it goes on for more than sixty characters.

## 2. Rules

- LOG-1 Events have one total order, contiguous from 1, and nothing may change it afterwards.
- **Resume, exactly.** A reader names its cursor and gets [every event](x.md) after it, once, in order.

| a | table |
|---|---|

```python
code = "is not prose"
```
"""


def test_cut_at_headings_and_rules() -> None:
    passages = {title: (uri, body) for title, uri, body in cut(DOCUMENT, "guide.md")}
    assert set(passages) == {"LOG-1, Rules", "Resume, exactly", "Guide"}
    assert passages["LOG-1, Rules"][0] == "guide.md#rules"
    everything = " ".join(body for _, body in passages.values())
    assert "code" not in everything
    assert "table" not in everything


def test_a_passage_with_all_the_words_beats_one_that_repeats_a_rare_one(tmp_path: Path) -> None:
    rare = "## Rare\n\nCursor cursor cursor cursor, and again the cursor, as often as it takes to be long enough.\n"
    whole = (
        "## Whole\n\nA lease expires when its worker is silent; the cursor of a reader does not move by that at all.\n"
    )
    (tmp_path / "PROTOCOL.md").write_text(f"# P\n{rare}{whole}{DOCUMENT}")
    found = Corpus(tmp_path).search("protocol", "Does a lease expire for a silent worker's cursor?")
    assert found[0].title == "Whole"


def test_quotes_are_plain_sentences() -> None:
    corpus = Corpus()
    for part in SETS:
        for passage in corpus.search(part, "How does a reader resume after a lost connection?"):
            quote = best_sentences(passage, "reader resume connection")
            assert quote
            assert "**" not in quote
            assert "](" not in quote


def test_quotes_are_verbatim_and_say_where_something_is_left_out() -> None:
    body = "- *Cut* is a reset of the line, and nothing else.\nA sentence in between that says nothing of the kind.\nA reset cuts the line of one reader only."
    quote = best_sentences(Passage("Cuts", "x.md#cuts", body, 1.0), "What does a reset of the line cut?")
    assert quote == "*Cut* is a reset of the line, and nothing else. … A reset cuts the line of one reader only."


@pytest.mark.parametrize("question", ["", "???", '" OR 1', "NEAR(a b)", "🐚", "AND OR NOT *"])
def test_no_question_breaks_the_search(question: str) -> None:
    corpus = Corpus()
    for part in SETS:
        corpus.search(part, question)


def test_the_same_question_finds_the_same() -> None:
    question = "What happens to a run when its lease expires?"
    assert [Corpus().search(part, question) for part in SETS] == [Corpus().search(part, question) for part in SETS]
    assert terms(question) == ["run", "lease", "expires"]


def test_every_set_has_documents() -> None:
    root = documents()
    for names in SETS.values():
        assert any((root / name).exists() for name in names)
