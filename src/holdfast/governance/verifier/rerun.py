"""Asks the store again what a verdict says it answered, and tells what came later from what was changed.

Rows of a state, such as who owns a workflow, are those of now: where the domain was counted as changed since, another answer is
no wonder, and where it was not, somebody changed rows behind its back. Rows with a time that only ever grow must be there
still, and none may turn up that says it was there before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from holdfast.governance.verifier.documents import Remark, Row, StatedAnswer, StatedVerdict, against, note, unsure
from holdfast.governance.verifier.published import published_text
from holdfast.governance.verifier.reader import PlanRows, answer
from holdfast.governance.verifier.rules.judgement import Judgement, whole

SLACK_MS: Final = 5_000
"""A row that says it was written so shortly before the verdict may have been committed just after it."""
Nature = Literal["state", "only grows", "counts", "newest", "verdicts", "loose"]


class Rereading(NamedTuple):
    """How a query's rows may change.

    Attributes:
        nature: ``state``: whatever holds now; ``only grows``: each row stays; ``counts``: rows are counted, and more may come;
            ``newest``: the last time of each is kept; ``verdicts``: of other gates, held against what is on record; ``loose``: rows that others replace without a count, of which nothing is proven.
        domains: whose count of changes its tables have.
        key, time: columns that name a row, and the one that says when.
        growing: what there may only be more of: the column that counts, and those by which it is divided, with ``!`` for the
            rows that have it not.
    """

    nature: Nature
    domains: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    time: str = ""
    growing: tuple[str, ...] = ()


REREADING: Final[Mapping[str, Rereading]] = {
    "workflow": Rereading("state", ("workflows",)),
    "manifest_tools": Rereading("state", ("workflows",)),
    "people": Rereading("state", ("directory", "workflows")),
    "person_names": Rereading("state", ("directory", "workflows")),
    "acceptances": Rereading("only grows", ("workflows",), ("role", "person"), "at_ms"),
    "sign_ins": Rereading("newest", ("directory", "workflows"), ("person",), "at_ms"),
    "directory": Rereading("newest", ("directory",), ("source",), "at_ms"),
    "stages": Rereading("counts", ("workflows",), ("stage", "since_ms"), "since_ms", ("runs",)),
    "stage_runs": Rereading("counts", (), (), "", ("n", "!interactive", "memory", "side_effects")),
    "passed": Rereading("verdicts", ("rollout",)),
    "waived": Rereading("state", ("rollout",)),
    "succession": Rereading("only grows", ("workflows",), ("id",), "at_ms"),
    "unrecorded_runs": Rereading("loose"),
    "inbox_due": Rereading("loose"),
    "inbox_kinds": Rereading("counts", growing=("n",)),
    "inbox_handling": Rereading("loose"),
    "inbox_looks": Rereading("loose"),
    "owner_hours": Rereading("state", ("workflows",)),
    "seated_claims": Rereading("counts", growing=("seated",)),
    "first_tokens": Rereading("loose"),
    "load_tests": Rereading("only grows", ("rollout",), ("id",), "recorded_ms"),
    "validations": Rereading("only grows", ("rollout",), ("id",), "recorded_ms"),
    "builds": Rereading("loose"),
    "seated_runs": Rereading("counts", growing=("n",)),
    "manifests": Rereading("only grows", ("workflows",), ("version", "at_ms"), "at_ms"),
    "served": Rereading("counts", growing=("n", "named")),
    "cap_calls": Rereading("counts", growing=("calls",)),
    "refusals": Rereading("counts", growing=("n",)),
    "ledger_month": Rereading("counts", growing=("n",)),
    "weeks_spent": Rereading("loose"),
    "bill_month": Rereading("loose"),
    "bill_before": Rereading("loose"),
    "bill_changed": Rereading("loose"),
    "periods": Rereading("counts", growing=("closed",)),
    "budgets": Rereading("state", ("budgets",)),
    "budget_spent": Rereading("loose"),
    "task_spend": Rereading("counts", growing=("calls",)),
    "task_outcomes": Rereading("loose"),
    "routes": Rereading("state", ("routing",)),
}
_UNTOLD: Final = Rereading("state")


class Comparison(NamedTuple):
    """What asking again came to.

    Attributes:
        moved: the rows are others, and that they came later explains it.
        now: the rows of now.
    """

    remarks: Sequence[Remark]
    moved: bool
    now: tuple[dict[str, int | str | None], ...]


async def asked_again(store: PlanRows, verdict: StatedVerdict, stated: StatedAnswer, now_ms: int) -> Comparison:
    """An answer beside that of the store. Only the published text is run, whatever the answer says was.

    Raises:
        Unavailable: of the store.
    """
    text = published_text(stated.query)
    again, _ = await answer(store, text, stated.params)
    later = stated.params | ({"as_of_ms": now_ms} if "as_of_ms" in stated.params else {})
    now, _ = await answer(store, text, later)
    if stated.cut:
        again = again[: len(stated.rows)]
    if [dict(row) for row in stated.rows] == [dict(row) for row in again]:
        return Comparison((), False, now)
    how = REREADING.get(stated.query, _UNTOLD)
    numbers = await _numbers(store)
    counted = _counted(how, stated.positions, numbers)
    if how.nature == "only grows":
        remarks = list(_only_grows(how, stated, again, verdict.as_of_ms))
    elif how.nature == "counts":
        remarks = list(_counts(how, stated, again, verdict.as_of_ms, counted))
    elif how.nature == "newest":
        remarks = list(_newest(how, stated, again, now, counted))
    elif how.nature in ("verdicts", "loose"):
        remarks = []
    else:
        remarks = [] if counted else [against(_changed(stated, again))]
    return Comparison(remarks, True, now)


async def positions(store: PlanRows, verdict: StatedVerdict) -> list[Remark]:
    """Whether the evidence was read in this life of the store, and not in its future."""
    facts = await store.rows("SELECT value FROM store_facts WHERE name = 'store.id'", {})
    life, numbers, found = str(facts[0]["value"]) if facts else "", await _numbers(store), []
    for one in verdict.answers:
        if one.positions.get("store") != life:
            found.append(unsure(f"{one.query} was read in another store, or before it was restored"))
        for domain, number in one.positions.items():
            if domain != "store" and whole(number) > numbers.get(domain, 0):
                found.append(
                    against(
                        f"forged: {one.query} says it was read at change {number} of {domain}, of which there are {numbers.get(domain, 0)}"
                    )
                )
    return found


async def _numbers(store: PlanRows) -> dict[str, int]:
    return {
        str(row["domain"]): int(row["number"])
        for row in await store.rows("SELECT domain, number FROM store_changes", {})
    }


def _counted(how: Rereading, stated: Mapping[str, int | str], now: Mapping[str, int]) -> bool:
    """Whether any domain was counted as changed since the evidence was read."""
    return any(now.get(domain, 0) > whole(stated.get(domain)) for domain in how.domains or now)


def _changed(stated: StatedAnswer, again: Sequence[Row]) -> str:
    """Which rows are others, in words."""
    before, after = [dict(row) for row in stated.rows], [dict(row) for row in again]
    missing, new = [row for row in before if row not in after], [row for row in after if row not in before]
    words = [f"{len(missing)} rows of {stated.query} are not in the store" if missing else ""]
    words.append(f"{len(new)} rows of the store are not in it" if new else "")
    first = next(iter(_pair(missing, new)), "")
    return f"changed: {', '.join(word for word in words if word)}{first}; nobody counted a change since"


def _pair(missing: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Iterator[str]:
    for before, after in zip(missing, new, strict=False):
        for name in before:
            if before[name] != after.get(name):
                yield f" ({name} was {before[name]!s:.40}, is {after.get(name)!s:.40})"


def _only_grows(how: Rereading, stated: StatedAnswer, again: Sequence[Row], as_of_ms: int) -> Iterator[Remark]:
    before, after = _by_key(how, stated.rows), _by_key(how, again)
    for key, row in before.items():
        if key not in after or whole(after[key][how.time]) < whole(row[how.time]):
            yield against(f"deleted: {stated.query} of {' '.join(key):.120} is not in the store any more")
    for key, row in after.items():
        if whole(row[how.time]) > whole(before.get(key, {}).get(how.time)):
            word = unsure if as_of_ms - whole(row[how.time]) < SLACK_MS else against
            yield word(
                f"back-dated: {stated.query} of {' '.join(key):.120} says it was there before the verdict, and was not"
            )


def _counts(
    how: Rereading, stated: StatedAnswer, again: Sequence[Row], as_of_ms: int, counted: bool
) -> Iterator[Remark]:
    if how.key:
        before, after = _by_key(how, stated.rows), _by_key(how, again)
        for key in before.keys() - after.keys():
            yield against(f"deleted: {stated.query} of {' '.join(key):.120} is not in the store any more")
        for key in after.keys() - before.keys():
            if as_of_ms - whole(after[key][how.time]) >= SLACK_MS:
                yield against(f"back-dated: {stated.query} of {' '.join(key):.120} was not there then")
        pairs = [(before[key], after[key]) for key in before.keys() & after.keys()]
        if any(whole(two[name]) < whole(one[name]) for one, two in pairs for name in how.growing):
            yield against(f"deleted: rows that {stated.query} counted are not in the store any more")
        return
    count, *parts = how.growing
    for part in ("", *parts):
        one, two = (sum(whole(row[count]) for row in rows if _has(row, part)) for rows in (stated.rows, again))
        if two < one:
            what = f" with {part.replace('!', 'no ')}" if part else ""
            yield against(f"deleted or changed: {stated.query} counted {one} rows{what}, and the store has {two}")


def _has(row: Row, part: str) -> bool:
    return not part or bool(row.get(part.removeprefix("!"))) != part.startswith("!")


def _newest(
    how: Rereading, stated: StatedAnswer, again: Sequence[Row], now: Sequence[Row], counted: bool
) -> Iterator[Remark]:
    before, after, last = _by_key(how, stated.rows), _by_key(how, again), _by_key(how, now)
    for key, row in before.items():
        newer = key in last and whole(last[key][how.time]) > whole(row[how.time])
        if key not in after and not newer and not counted:
            yield against(f"deleted: {stated.query} of {' '.join(key):.120} is not in the store any more")
        elif key in after and after[key] != row and not counted:
            yield against(
                f"changed: {stated.query} of {' '.join(key):.120} says another time, and nobody counted a change"
            )
    if not counted and after.keys() - before.keys():
        yield against(f"back-dated: {stated.query} has rows that were not there, and nobody counted a change")


def _by_key(how: Rereading, rows: Sequence[Row]) -> dict[tuple[str, ...], Row]:
    return {tuple(str(row.get(name)) for name in how.key): row for row in rows}


def moved_on(verdict: StatedVerdict, queries: Sequence[str], found: Judgement | None) -> Remark:
    """What is said of a verdict whose rows were overtaken: that it is the same still, that it stands while its source is down,
    or that nobody can tell from here."""
    names = ", ".join(queries)
    if found is not None and found.verdict == verdict.verdict:
        return note(f"the store has moved on ({names}), and says the same")
    if found is not None and found.cause == "stale":
        return note(f"the store has moved on ({names}), and its source is down: it stands")
    says = found.verdict if found is not None else "nothing"
    return unsure(f"the store has moved on since ({names}), and says {says} now: compute the plan again")
