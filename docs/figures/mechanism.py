"""Draw docs/figures/mechanism.svg: how a graph becomes tokens and how each head samples its own keys.

Run: python docs/figures/mechanism.py
"""

from __future__ import annotations

import math
import random
from pathlib import Path

INK, SOFT, PAPER = "#1f2933", "#7b8794", "#ffffff"
NODE, EDGE, SUPPORT = "#2563eb", "#f59e0b", "#94a3b8"
HEADS = ["#7c3aed", "#059669", "#dc2626"]
WIDTH, HEIGHT = 1180, 460


def text(
    x: float, y: float, words: str, size: int = 15, colour: str = INK, anchor: str = "middle", weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">{words}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = SOFT, width: float = 2, extra: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}" stroke-linecap="round" {extra}/>'


def box(
    x: float, y: float, w: float, h: float, fill: str, stroke: str = "none", radius: float = 4, extra: str = ""
) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius}" fill="{fill}" stroke="{stroke}" {extra}/>'


def arrow(x: float, y: float, length: float) -> str:
    tip = x + length
    return (
        line(x, y, tip - 6, y, INK, 2.5)
        + f'<path d="M{tip - 10:.1f} {y - 6:.1f} L{tip:.1f} {y:.1f} L{tip - 10:.1f} {y + 6:.1f} Z" fill="{INK}"/>'
    )


def graph(cx: float, cy: float) -> str:
    ring = [(cx + 46 * math.cos(a), cy + 46 * math.sin(a)) for a in (math.pi / 6 + i * math.pi / 3 for i in range(6))]
    tail = [(ring[5][0] + 42, ring[5][1] - 24), (ring[2][0] - 42, ring[2][1] + 24)]
    bonds = [(ring[i], ring[(i + 1) % 6]) for i in range(6)] + [(ring[5], tail[0]), (ring[2], tail[1])]
    parts = [line(*a, *b, EDGE, 5) for a, b in bonds]
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{NODE}" stroke="{PAPER}" stroke-width="3"/>'
        for x, y in ring + tail
    ]
    return "".join(parts)


def token_column(x: float, y: float, kinds: list[str], size: float = 16, gap: float = 3) -> tuple[str, list[float]]:
    parts, centres = [], []
    for i, colour in enumerate(kinds):
        top = y + i * (size + gap)
        parts.append(box(x, top, size, size, colour))
        centres.append(top + size / 2)
    return "".join(parts), centres


def draw() -> str:
    random.seed(7)
    parts = [box(0, 0, WIDTH, HEIGHT, PAPER, radius=0)]
    for x, title in [
        (110, "a graph"),
        (330, "its tokens"),
        (640, "each head samples its own K keys"),
        (1010, "every token attends to K keys"),
    ]:
        parts.append(text(x, 34, title, 18, weight="700"))
    parts += [
        graph(110, 205),
        arrow(205, 205, 46),
        text(228, 190, "Graph-", 16, SOFT),
        text(228, 228, "Bridge", 16, SOFT),
    ]

    kinds = [NODE] * 8 + [EDGE] * 8 + [SUPPORT] * 2
    column, centres = token_column(300, 62, kinds)
    parts.append(column)
    labels = [(3.5, "N nodes", NODE), (11.5, "E edges", EDGE), (16.5, "2K learned", SOFT)]
    parts += [
        text(326, centres[int(i)] + (14 if i % 1 else 5), words, 16, colour, "start", "600")
        for i, words, colour in labels
    ]
    parts.append(text(330, centres[17] + 34, "packed [T, D], no padding", 16, SOFT))
    parts.append(arrow(412, 205, 46))

    chosen = [[1, 5, 9], [3, 8, 14], [0, 11, 16]]
    for head, picks in enumerate(chosen):
        x = 500 + head * 100
        scores = [random.uniform(0.12, 0.5) for _ in kinds]
        for rank, pick in enumerate(picks):
            scores[pick] = 0.98 - 0.12 * rank
        for i, score in enumerate(scores):
            colour, opacity = (HEADS[head], 1) if i in picks else ("#cbd2d9", 0.8)
            parts.append(box(x, centres[i] - 6, 70 * score, 12, colour, extra=f'opacity="{opacity}"'))
        parts.append(text(x + 35, centres[17] + 34, f"head {head + 1}", 16, HEADS[head], weight="700"))
    parts.append(text(640, HEIGHT - 11, "importance z, learned; Gumbel noise in training only", 16, SOFT))
    parts.append(arrow(806, 205, 46))

    queries, rows = token_column(890, 62, kinds[:16])
    parts.append(queries)
    for head, picks in enumerate(chosen):
        x, y = 1090, 82 + head * 104
        for rank, pick in enumerate(picks):
            top = y + rank * 24
            for row in rows:
                parts.append(line(908, row, x - 3, top + 9, HEADS[head], 0.8, 'opacity="0.28"'))
            parts.append(box(x, top, 18, 18, kinds[pick], HEADS[head], extra='stroke-width="3"'))
        parts.append(text(x + 30, y + 39, "K", 15, HEADS[head], "start", "700"))
    parts.append(text(1000, centres[17] + 34, "O(T K) time, O(T) memory", 16, INK, weight="600"))
    parts.append(text(1000, HEIGHT - 11, "instead of O(T n) for graphs of n tokens", 16, SOFT))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{"".join(parts)}</svg>\n'


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".svg")
    target.write_text(draw(), encoding="utf-8")
    print(f"wrote {target}")
