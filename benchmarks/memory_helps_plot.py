"""Draws the learning curves of `memory_helps.py` as SVG: no plotting library is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COLORS = {"off": "#8a8a8a", "on": "#1f6fd0", "misplaced": "#d0701f"}
NAMES = {"off": "memory off", "on": "memory on", "misplaced": "lessons of another family"}
WIDTH, HEIGHT = 380, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 46, 44

Curves = Mapping[str, Sequence[Sequence[float]]]
"""Arm -> one curve for each seed, one value for each quarter."""


def svg(panels: Sequence[tuple[str, Curves, float, float, str]], note: str) -> str:
    """Returns the drawing: one panel for each (title, curves, lowest, highest, number format)."""
    width, height = WIDTH * len(panels), HEIGHT + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH},0)">{_panel(*panel)}</g>')
    at = 52
    for arm in panels[0][1]:
        parts.append(
            f'<rect x="{at}" y="{HEIGHT + 4}" width="18" height="4" fill="{COLORS[arm]}"/>'
            f'<text x="{at + 24}" y="{HEIGHT + 11}">{NAMES[arm]}</text>'
        )
        at += 40 + 8 * len(NAMES[arm])
    parts.append(f'<text x="52" y="{HEIGHT + 34}" fill="#555" font-size="12">{note}</text></svg>')
    return "\n".join(parts) + "\n"


def _panel(title: str, curves: Curves, low: float, high: float, form: str) -> str:
    def place(quarter: int, value: float, quarters: int) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (quarter + 0.5) / quarters
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)
        return round(x, 1), round(y, 1)

    parts = [f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{title}</text>']
    for step in range(5):
        value = low + (high - low) * step / 4
        _, y = place(0, value, 4)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#e4e4e4"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#555">{value:{form}}</text>'
        )
    quarters = len(next(iter(curves.values()))[0])
    for quarter in range(quarters):
        x, _ = place(quarter, low, quarters)
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#555">'
            f"quarter {quarter + 1}</text>"
        )
    for arm, seeds in curves.items():
        color = COLORS[arm]
        parts += [
            _line([place(q, v, quarters) for q, v in enumerate(curve)], color, 1, 0.3)
            for curve in seeds
        ]
        means = [sum(values) / len(values) for values in zip(*seeds, strict=True)]
        points = [place(quarter, value, quarters) for quarter, value in enumerate(means)]
        parts.append(_line(points, color, 3, 1))
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>' for x, y in points]
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], color: str, width: int, opacity: float) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}" '
        f'opacity="{opacity}"/>'
    )
