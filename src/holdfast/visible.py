"""Text that somebody else wrote, where it is read as it is: in a terminal, in a log.

A tool's name, a title, an error of another server may hold characters that move the cursor, set the clipboard, or turn the
letters after them around: what is shown is not what is there then. ``visible`` is the one function for whatever is printed;
``logger`` gives the loggers through which it passes everything they log.
"""

from __future__ import annotations

import html
import json
import logging
import re
import unicodedata
from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""Scripts and emoji are written with them, and they move nothing."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is no letter: controls, formats, halves of characters, separators of lines."""

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _is_seen(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) not in _UNSEEN


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: object, *, lines: bool = False) -> str:
    """The text with every character that acts, or cannot be seen, as an escape: ``\\x1b``, ``\\u202e``.

    Args:
        text: anything; what is no string is printed as ``str`` does.
        lines: it may have several: line breaks and tabs stay. Else it is one line whatever it holds, so that nobody
            writes a line of his own beneath it.
    """
    raw = text if isinstance(text, str) else str(text)
    if raw.isprintable():
        return raw
    if lines:
        raw = raw.replace("\r\n", "\n")
    keep = "\n\t" if lines else ""
    return "".join(c if c in keep or _is_seen(c) else _escaped(c) for c in raw)


_STRING: Final = re.compile(r"[^ -~]")


def visible_json(document: str) -> str:
    """A JSON document that means the same and can be looked at: inside its strings the same characters as JSON escapes."""

    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        return character if character == "\n" or _is_seen(character) else json.dumps(character)[1:-1]

    return document if document.isprintable() else _STRING.sub(escaped, document)


def visible_html(text: object) -> str:
    """Text for HTML: nothing in it is markup, and nothing in it turns the letters after it around."""
    return html.escape(visible(text, lines=True))


class Visible(logging.Filter):
    """Makes what is logged visible: the message one line, the trace of an exception with its lines indented."""

    _formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``; every record passes."""
        try:
            record.msg, record.args = visible(record.getMessage()), None
        except Exception:  # a message that does not fit its arguments is reported by the handler, as logging does
            return True
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            trace = visible(self._formatter.formatException(record.exc_info), lines=True)
            record.exc_text = trace.replace("\n", "\n  ")
        return True


def logger(name: str) -> logging.Logger:
    """A logger whose messages, and the exceptions with them, are made visible before any handler has them."""
    found = logging.getLogger(name)
    if not any(isinstance(attached, Visible) for attached in found.filters):
        found.addFilter(Visible())
    return found
