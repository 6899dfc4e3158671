"""Every colour of text is readable on every ground it stands on, in light and in dark (WCAG 2.2, 1.4.3: 4.5 to 1)."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[3] / "web/packages/look/src/look.css").read_text()
TEXTS = ("ink", "quiet", "faint", "kelp", "queued", "running", "waiting", "completed", "failed", "cancelled", "lost")
TINTED = [
    ("kelp", "kelp-soft"), ("quiet", "kelp-soft"), ("ink", "kelp-soft"), ("waiting", "waiting-soft"),
    ("failed", "failed-soft"), ("lost", "lost-soft"), ("kelp-ink", "kelp"),
]  # fmt: skip
Colour = tuple[float, ...]


def scheme(name: str) -> str:
    dark = STYLE.index("@media (prefers-color-scheme: dark)")
    return STYLE[:dark] if name == "light" else STYLE[dark : STYLE.index("::before")]


def tokens(name: str) -> dict[str, Colour]:
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6})", scheme(name))
    return {token: tuple(int(value[i : i + 2], 16) / 255 for i in (0, 2, 4)) for token, value in found}


def luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: Colour, other: Colour) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_is_readable(name: str) -> None:
    colours = tokens(name)
    grounds = [(text, ground) for text in TEXTS for ground in ("paper", "raised", "sunk")]
    unreadable = {pair: r for pair in grounds + TINTED if (r := ratio(colours[pair[0]], colours[pair[1]])) < 4.5}
    assert unreadable == {}


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_actor_has_a_readable_hue(name: str) -> None:
    lightness, saturation = map(int, re.search(r"--hue-l: (\d+)%; --hue-s: (\d+)%", scheme(name)).groups())  # type: ignore[union-attr]
    colours = tokens(name)
    for hue in range(360):
        text = colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100)
        for ground in ("paper", "raised", "sunk"):
            assert ratio(text, colours[ground]) >= 4.5, (hue, ground)
