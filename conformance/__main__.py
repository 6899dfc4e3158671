"""``python -m conformance --driver COMMAND``: run the suite, one line a case; the exit code says whether all held."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from rich.console import Console
from rich.text import Text

from conformance import cases, run

PYTHON = f"{sys.executable} -m conformance.drivers.python"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("words", nargs="*", help="only cases with all of these in their name")
    parser.add_argument("--driver", default=PYTHON, help="the command that starts a driver; the Python client's")
    parser.add_argument(
        "--rule", action="append", default=[], help="only cases of this rule, such as FOLD-3; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a case, and nothing else")
    parser.add_argument("--jobs", type=int, default=4, help="driver processes at a time")
    parser.add_argument("--wait", type=float, default=run.WAIT_S, help="seconds anything a client owes may take")
    parser.add_argument("--first", action="store_true", help="stop at the first case that does not hold")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    return parser.parse_args()


def main() -> int:
    """0: every case holds. 1: some do not. 2: there is none."""
    options = arguments()
    chosen = cases.select(cases.load(), options.rule, options.words)
    console = Console(highlight=False)
    if not chosen:
        console.print("no such case")
        return 2
    if options.list:
        for case in chosen:
            console.print(Text(f"{case.id}  {' '.join(case.rules)}"))
        return 0
    if options.json:
        return 0 if all(o.passed for o in asyncio.run(_run(options, chosen, as_json))) else 1
    done: list[run.Outcome] = []

    def report(outcome: run.Outcome) -> None:
        done.append(outcome)
        mark, style = ("✓", "green") if outcome.passed else ("✗", "red")
        line = Text.assemble((mark, style), f" {outcome.case.id} ", (" ".join(outcome.case.rules), "dim"))
        console.print(line)
        if not outcome.passed:
            console.print(Text(f"    {outcome.problem}"), style="red")
        status.update(f"{len(done)} of {len(chosen)}")

    with console.status(f"0 of {len(chosen)}") as status:
        outcomes = asyncio.run(_run(options, chosen, report))
    passed = sum(outcome.passed for outcome in outcomes)
    console.print(f"{passed} of {len(outcomes)} cases hold")
    return 0 if passed == len(outcomes) else 1


async def _run(
    options: argparse.Namespace, chosen: list[cases.Case], on_outcome: run.OutcomeCallback
) -> list[run.Outcome]:
    return await run.run(
        chosen, options.driver, jobs=options.jobs, wait_s=options.wait, first=options.first, on_outcome=on_outcome
    )


def as_json(outcome: run.Outcome) -> None:
    """Write an outcome as one line."""
    line = {
        "case": outcome.case.id,
        "rules": outcome.case.rules,
        "held": outcome.passed,
        "problem": outcome.problem,
        "took_s": round(outcome.took_s, 3),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
