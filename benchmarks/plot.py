"""Bars of two figures each, as SVG."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.runner import Bar

WIDTH, LABEL, BAR, GAP = 900, 230, 18, 14
FIGURE = 90
OURS, BESIDE = "#3465a4", "#babdb6"


def draw(path: Path, title: str, bars: Sequence[Bar], beside: str) -> None:
    """Write a plot: `beside` is the name of what ours is compared with."""
    most = max(max(bar.ours, bar.beside) for bar in bars) or 1.0
    shapes = [_text(10, 24, title, "font-weight='bold'"), *_legend(((OURS, "tsudoi"), (BESIDE, beside)))]
    top = 64
    for bar in bars:
        shapes.append(_text(LABEL - 10, top + BAR + 4, bar.label, "text-anchor='end'"))
        for color, figure in ((OURS, bar.ours), (BESIDE, bar.beside)):
            width = figure / most * (WIDTH - LABEL - FIGURE)
            shapes.append(_rectangle(LABEL, top, width, color))
            written = f"{figure:,.1f}" if figure < 50 else f"{figure:,.0f}"
            shapes.append(_text(LABEL + width + 6, top + BAR - 5, written))
            top += BAR
        top += GAP
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {top}' font-family='sans-serif' font-size='13'>"
    )
    ground = f"<rect width='{WIDTH}' height='{top}' fill='white'/>"
    path.write_text("\n".join((head, ground, *shapes, "</svg>", "")))


def _legend(names: Sequence[tuple[str, str]]) -> list[str]:
    shapes = []
    for at, (color, name) in enumerate(names):
        left = LABEL + 150 * at
        shapes += [_rectangle(left, 38, BAR, color), _text(left + BAR + 6, 51, name)]
    return shapes


def _rectangle(left: float, top: float, width: float, color: str) -> str:
    return f"<rect x='{left}' y='{top}' width='{width:.1f}' height='{BAR - 2}' fill='{color}'/>"


def _text(left: float, base: float, text: str, style: str = "") -> str:
    return f"<text x='{left:.1f}' y='{base:.1f}' {style}>{escape(text)}</text>".replace(" >", ">")
