"""The table of limits."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from holdfast.protocol import limits


def test_no_limit_is_defined_twice() -> None:
    """The later one would silently replace the earlier one, wherever that is used."""
    tree = ast.parse(Path(str(limits.__file__)).read_text())
    names = Counter(
        target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    )  # fmt: skip
    assert len(names) > 200 and not [name for name, times in names.items() if times > 1]
