"""What a case expects against what came: every field that is named must be there; others may be.

A string that begins with ``$`` is a variable: it takes the first value it meets and must meet the same one after that.
``$_`` meets anything, ``$none`` an absent field.
"""

from __future__ import annotations

from typing import Any

ANY, NONE = "$_", "$none"


class Mismatch(Exception):
    """Something else came than the case expects; the text says what, and where."""


class Variables(dict[str, Any]):
    """The variables of one case, by name with the ``$``."""

    def fill(self, value: Any) -> Any:
        """The value with its variables replaced. Raises ``Mismatch`` for one that has no value yet."""
        if isinstance(value, str) and value.startswith("$"):
            if value not in self:
                raise Mismatch(f"{value} has no value here")
            return self[value]
        if isinstance(value, dict):
            return {name: self.fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value

    def match(self, wanted: Any, got: Any, where: str = "") -> None:
        """Raise ``Mismatch`` unless ``got`` is what is wanted; variables of ``wanted`` take their values."""
        if isinstance(wanted, str) and wanted.startswith("$"):
            self._variable(wanted, got, where)
        elif isinstance(wanted, dict) and isinstance(got, dict):
            for key, item in wanted.items():
                name = str(self.get(key, key))
                place = f"{where}.{name}"
                if item == NONE:
                    if got.get(name) is not None:
                        raise Mismatch(f"{place}: expected nothing, got {short(got[name])}")
                elif name not in got:
                    raise Mismatch(f"{place}: is missing in {short(got)}")
                else:
                    self.match(item, got[name], place)
        elif isinstance(wanted, list) and isinstance(got, list):
            if len(wanted) != len(got):
                raise Mismatch(f"{where}: expected {len(wanted)} entries, got {len(got)}: {short(got)}")
            for number, (item, other) in enumerate(zip(wanted, got, strict=True)):
                self.match(item, other, f"{where}[{number}]")
        elif wanted != got or isinstance(wanted, bool) != isinstance(got, bool):
            raise Mismatch(f"{where or 'value'}: expected {short(wanted)}, got {short(got)}")

    def _variable(self, name: str, got: Any, where: str) -> None:
        if name == ANY:
            return
        if name in self:
            self.match(self[name], got, where)
        else:
            self[name] = got


def short(value: Any) -> str:
    """A value, to be read by a person."""
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"
