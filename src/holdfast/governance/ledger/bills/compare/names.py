"""Which names of models mean the same model in a report and in the ledger."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d)$")
_VERSION = re.compile(r"(?:-v\d+)?:\d+$")
_SNAPSHOT = re.compile(r"-(?:latest|0\d{2,3})$")
_REGION = re.compile(r"^(?:us|eu|apac|jp|au|ca|global|us-gov)\.(?=[a-z]+\.)")
_VENDOR = re.compile(r"^(?:anthropic|openai|google|meta|mistral|amazon|cohere|deepseek|xai|azure)[./]")


def plain(name: str) -> str:
    """A model's name without what differs between reports: case, separators, vendor, region, version and date."""
    found = re.sub(r"[\s_]+", "-", name.strip().lower())
    found = found.rsplit("/", 1)[-1] if found.count("/") else found
    found = _VENDOR.sub("", _REGION.sub("", found))
    found = _VERSION.sub("", found)
    found = _DATE.sub("", found)
    found = _SNAPSHOT.sub("", found)
    return re.sub(r"(?<=\d)\.(?=\d)", "-", found)


class BillNames:
    """One name for each model of a report and a ledger.

    A name that both have means itself. Names that only one side has mean the same model when they are equal without case,
    vendor, version and date, or when ``aliases`` says so; then the ledger's name stands for both.

    Attributes:
        matched: pairs (report, ledger) that were taken for one model although they are written differently.
    """

    def __init__(self, report: Iterable[str], ledger: Iterable[str], aliases: Mapping[str, str]) -> None:
        theirs, ours = set(report), set(ledger)
        self._report = {name: aliases.get(name, name) for name in theirs}
        self._ledger = {name: name for name in ours}
        self.matched = sorted((name, aliases[name]) for name in theirs & set(aliases) if aliases[name] != name)
        named = set(self._report.values())
        groups: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
        for name in theirs:
            groups[plain(self._report[name])][0].add(name)
        for name in ours:
            groups[plain(name)][1].add(name)
        for in_report, in_ledger in groups.values():
            lone = {name for name in in_report if self._report[name] not in ours}
            missing = in_ledger - named
            if lone and missing:
                self._join(lone, missing)
            elif (
                lone and len(in_ledger) == 1
            ):  # "gpt-5" and "gpt-5-2025-08-07" in the report, one of them in the ledger
                self._join(lone, in_ledger)
            elif missing and len(in_report) == 1:  # the report lumps what the ledger tells apart
                self._join(in_report, missing)

    def _join(self, in_report: set[str], in_ledger: set[str]) -> None:
        name = min(in_ledger)
        for other in in_ledger:
            self._ledger[other] = name
        for other in in_report:
            if self._report[other] in self._ledger and self._report[other] not in in_ledger:
                self._ledger[self._report[other]] = name
            self._report[other] = name
            self.matched.extend((other, mine) for mine in sorted(in_ledger) if mine != other)

    def in_report(self, name: str) -> str:
        """The common name of a model of the report."""
        return self._report.get(name, name)

    def in_ledger(self, name: str) -> str:
        """The common name of a model of the ledger."""
        return self._ledger.get(name, name)
