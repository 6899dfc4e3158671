"""``python requirements/extras.py`` names a package twice in the locks that somebody wants with an extra and somebody without.

``uv pip compile`` writes one line for both, and ``pip install --require-hashes`` takes that for one of them only.
"""

import pathlib
import re

BOTH = {"pydantic": "pydantic[email]"}

for path in pathlib.Path(__file__).parent.glob("*.txt"):
    text = path.read_text()
    for plain, extra in BOTH.items():
        found = re.search(rf"^{re.escape(plain)}==.*\\\n(?:    --hash.*\n)+", text, re.MULTILINE)
        if found is not None and f"\n{extra}==" not in text:
            after = re.compile(r"(?:    #.*\n)*").match(text, found.end())
            end = after.end() if after is not None else found.end()
            text = text[:end] + found[0].replace(plain, extra, 1) + text[end:]
    path.write_text(text)
