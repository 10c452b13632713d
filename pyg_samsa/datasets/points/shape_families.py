"""The families of solids of :class:`pyg_samsa.datasets.points.shapes.Shapes`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pyg_samsa.datasets.points.solids import Ball, Box, Frustum, Placed, Ring, Sector, turned

Rng = np.random.Generator


def _between(rng: Rng, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _whole(rng: Rng, low: int, high: int) -> int:
    """Return one of low, ..., high."""
    return low + int(rng.random() * (high - low + 1))


def _often(rng: Rng, share: float) -> bool:
    return bool(rng.random() < share)


def _legs(rng: Rng, part: str, x: float, y: float, height: float) -> list[Placed]:
    """Return four legs, square or round and perhaps tapered, under the corners of a board of lengths x and y."""
    thick = _between(rng, 0.08, 0.2) * min(x, y)
    round_leg, taper = _often(rng, 0.5), _between(rng, 0.6, 1.0)
    leg = Frustum(taper * thick / 2, thick / 2, height) if round_leg else Box(thick, thick, height)
    inset = _between(rng, 0.5, 0.9)
    return [
        Placed(leg, part, (sx * inset * (x - thick) / 2, sy * inset * (y - thick) / 2, 0.0))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]


def _box(rng: Rng) -> list[Placed]:
    return [Placed(Box(_between(rng, 0.4, 1), _between(rng, 0.4, 1), _between(rng, 0.3, 1.5)), "body")]


def _cylinder(rng: Rng) -> list[Placed]:
    radius = _between(rng, 0.2, 0.5)
    return [Placed(Frustum(radius, radius, _between(rng, 0.3, 1.5)), "body")]


def _cone(rng: Rng) -> list[Placed]:
    radius = _between(rng, 0.2, 0.5)
    return [Placed(Frustum(radius, _between(rng, 0, 0.5) * radius, _between(rng, 0.3, 1.5)), "body")]


def _capsule(rng: Rng) -> list[Placed]:
    radius, height = _between(rng, 0.2, 0.5), _between(rng, 0.2, 1.2)
    ends = [Placed(Ball(radius), "end", (0, 0, z)) for z in (0.0, height)]
    return [Placed(Frustum(radius, radius, height), "body"), *ends]


def _torus(rng: Rng) -> list[Placed]:
    return [Placed(Ring(1.0, _between(rng, 0.1, 0.5)), "body", turn=turned(0, math.pi / 2 * _between(rng, 0, 1)))]


def _stairs(rng: Rng) -> list[Placed]:
    steps, deep, high, wide = (
        _whole(rng, 3, 7),
        _between(rng, 0.15, 0.35),
        _between(rng, 0.1, 0.3),
        _between(rng, 0.5, 1.5),
    )
    return [Placed(Box(deep, wide, (number + 1) * high), "body", (number * deep, 0, 0)) for number in range(steps)]


def _table(rng: Rng) -> list[Placed]:
    x, height, thick = _between(rng, 0.8, 1.6), _between(rng, 0.4, 0.9), _between(rng, 0.03, 0.1)
    if _often(rng, 0.3):
        foot, pole = _between(rng, 0.2, 0.4) * x, _between(rng, 0.04, 0.08)
        stand = [
            Placed(Frustum(foot, foot, 0.06), "leg"),
            Placed(Frustum(pole, pole, height - 0.06), "leg", (0, 0, 0.06)),
        ]
        return [Placed(Frustum(x / 2, x / 2, thick), "top", (0, 0, height)), *stand]
    y = _between(rng, 0.5, 1.0) * x
    return [Placed(Box(x, y, thick), "top", (0, 0, height)), *_legs(rng, "leg", x, y, height)]


def _chair(rng: Rng) -> list[Placed]:
    x, y, height, thick = (
        _between(rng, 0.4, 0.6),
        _between(rng, 0.4, 0.6),
        _between(rng, 0.3, 0.5),
        _between(rng, 0.03, 0.1),
    )
    tall, back = _between(rng, 0.3, 0.8), _between(rng, 0.03, 0.08)
    top = height + thick
    bodies = [Placed(Box(x, y, thick), "seat", (0, 0, height)), *_legs(rng, "leg", x, y, height)]
    if _often(rng, 0.4):
        bars, bar = _whole(rng, 2, 5), 0.05 * x
        places = np.linspace(-(x - bar) / 2, (x - bar) / 2, bars + 1).tolist()
        bodies += [Placed(Box(bar, back, tall), "back", (place, back / 2 - y / 2, top)) for place in places]
        bodies.append(Placed(Box(x, back, 0.08), "back", (0, back / 2 - y / 2, top + tall)))
    else:
        bodies.append(Placed(Box(x, back, tall), "back", (0, back / 2 - y / 2, top)))
    if _often(rng, 0.4):
        rise, arm = _between(rng, 0.12, 0.25), 0.06
        for side in (-1, 1):
            place = side * (x - arm) / 2
            bodies.append(Placed(Box(arm, arm, rise), "arm", (place, y / 2 - arm / 2, top)))
            bodies.append(Placed(Box(arm, y - back, arm), "arm", (place, back / 2, top + rise)))
    return bodies


def _stool(rng: Rng) -> list[Placed]:
    radius, height, thick = _between(rng, 0.2, 0.4), _between(rng, 0.4, 0.9), _between(rng, 0.03, 0.12)
    count, leg = _whole(rng, 3, 4), _between(rng, 0.03, 0.06)
    angles = [2 * math.pi * number / count for number in range(count)]
    legs = [
        Placed(Frustum(leg, leg, height), "leg", (0.75 * radius * math.cos(angle), 0.75 * radius * math.sin(angle), 0))
        for angle in angles
    ]
    return [Placed(Frustum(radius, radius, thick), "seat", (0, 0, height)), *legs]


def _lamp(rng: Rng) -> list[Placed]:
    base, height, pole = _between(rng, 0.15, 0.4), _between(rng, 0.5, 1.4), _between(rng, 0.02, 0.05)
    shade, tall = _between(rng, 0.25, 0.5), _between(rng, 0.25, 0.5)
    foot = Placed(Frustum(base, _between(rng, 0.3, 1.0) * base, 0.08), "base")
    hood = Placed(Frustum(shade, _between(rng, 0.3, 0.9) * shade, tall), "shade", (0, 0, 0.08 + height))
    return [foot, Placed(Frustum(pole, pole, height), "pole", (0, 0, 0.08)), hood]


def _mug(rng: Rng) -> list[Placed]:
    radius, height, wall = _between(rng, 0.3, 0.5), _between(rng, 0.5, 1.2), _between(rng, 0.03, 0.08)
    tube = _between(rng, 0.03, 0.07)
    loop = _between(rng, 0.25, 0.4) * height - tube
    # The half ring is on the wall; its open ends are inside the wall.
    turn = turned(0, math.pi / 2) @ turned(2, -math.pi / 2)
    handle = Placed(Ring(loop, tube, math.pi), "handle", (math.sqrt(radius**2 - tube**2) - 1e-3, 0, height / 2), turn)
    return [
        Placed(Sector(radius - wall, radius, height), "body"),
        Placed(Frustum(radius - wall, radius - wall, wall), "body"),
        handle,
    ]


def _cup(rng: Rng) -> list[Placed]:
    radius, wall = _between(rng, 0.3, 0.5), _between(rng, 0.03, 0.08)
    height = _between(rng, 0.4, 1.4)
    return [
        Placed(Sector(radius - wall, radius, height), "wall"),
        Placed(Frustum(radius - wall, radius - wall, wall), "bottom"),
    ]


def _bottle(rng: Rng) -> list[Placed]:
    radius, height = _between(rng, 0.2, 0.4), _between(rng, 0.5, 1.2)
    neck, rise, slope = _between(rng, 0.25, 0.6) * radius, _between(rng, 0.15, 0.4), _between(rng, 0.05, 0.3)
    shoulder = Placed(Frustum(radius, neck, slope), "neck", (0, 0, height))
    return [
        Placed(Frustum(radius, radius, height), "body"),
        shoulder,
        Placed(Frustum(neck, neck, rise), "neck", (0, 0, height + slope)),
    ]


def _bench(rng: Rng) -> list[Placed]:
    x, y, height, thick = (
        _between(rng, 0.9, 1.8),
        _between(rng, 0.3, 0.6),
        _between(rng, 0.3, 0.5),
        _between(rng, 0.04, 0.1),
    )
    slab, inset = _between(rng, 0.05, 0.12), _between(rng, 0.6, 0.95)
    supports = [
        Placed(Box(slab, 0.9 * y, height), "support", (side * inset * (x - slab) / 2, 0, 0)) for side in (-1, 1)
    ]
    bodies = [Placed(Box(x, y, thick), "seat", (0, 0, height)), *supports]
    if _often(rng, 0.5):
        bodies.append(Placed(Box(x, 0.06, _between(rng, 0.2, 0.5)), "back", (0, 0.03 - y / 2, height + thick)))
    return bodies


def _arch(rng: Rng) -> list[Placed]:
    inner, wide, deep, height = (
        _between(rng, 0.25, 0.5),
        _between(rng, 0.1, 0.3),
        _between(rng, 0.2, 0.6),
        _between(rng, 0.2, 1.0),
    )
    pillars = [Placed(Box(wide, deep, height), "pillar", (side * (inner + wide / 2), 0, 0)) for side in (-1, 1)]
    return [
        Placed(Sector(inner, inner + wide, deep, math.pi), "vault", (0, deep / 2, height), turned(0, math.pi / 2)),
        *pillars,
    ]


def _shelf(rng: Rng) -> list[Placed]:
    x, y, height, board = (
        _between(rng, 0.6, 1.2),
        _between(rng, 0.25, 0.5),
        _between(rng, 0.8, 1.8),
        _between(rng, 0.03, 0.06),
    )
    sides = [Placed(Box(board, y, height), "side", (side * (x + board) / 2, 0, 0)) for side in (-1, 1)]
    places = np.linspace(0, height - board, _whole(rng, 3, 6)).tolist()
    bodies = sides + [Placed(Box(x, y, board), "board", (0, 0, place)) for place in places]
    if _often(rng, 0.5):
        bodies.append(Placed(Box(x + 2 * board, board, height), "side", (0, -(y + board) / 2, 0)))
    return bodies


def _dumbbell(rng: Rng) -> list[Placed]:
    radius, length = _between(rng, 0.2, 0.4), _between(rng, 0.8, 1.6)
    bar = _between(rng, 0.2, 0.5) * radius
    middle = Placed(Frustum(bar, bar, length), "bar")
    return [middle, *(Placed(Ball(radius), "weight", (0, 0, z)) for z in (0.0, length))]


def _rocket(rng: Rng) -> list[Placed]:
    radius, height, tip = _between(rng, 0.12, 0.3), _between(rng, 0.6, 1.4), _between(rng, 0.2, 0.6)
    count, reach, tall = _whole(rng, 3, 4), _between(rng, 0.8, 1.6) * radius, _between(rng, 0.2, 0.5)
    bodies = [
        Placed(Frustum(radius, radius, height), "body"),
        Placed(Frustum(radius, 0.0, tip), "nose", (0, 0, height)),
    ]
    for number in range(count):
        turn, out = turned(2, 2 * math.pi * number / count), 0.9 * radius + reach / 2
        # Below the body, so that no face of a fin is flush with the body's bottom.
        bodies.append(Placed(Box(reach, 0.04, tall), "fin", (out * turn[0, 0], out * turn[1, 0], -0.05), turn))
    return bodies


FAMILIES: dict[str, Callable[[Rng], list[Placed]]] = {
    "box": _box,
    "cylinder": _cylinder,
    "cone": _cone,
    "capsule": _capsule,
    "torus": _torus,
    "stairs": _stairs,
    "table": _table,
    "chair": _chair,
    "stool": _stool,
    "lamp": _lamp,
    "mug": _mug,
    "cup": _cup,
    "bottle": _bottle,
    "bench": _bench,
    "arch": _arch,
    "shelf": _shelf,
    "dumbbell": _dumbbell,
    "rocket": _rocket,
}
"""Name of a family -> random numbers -> the bodies of one of its shapes, z up."""

PART_NAMES: dict[str, list[str]] = {
    "capsule": ["body", "end"],
    "table": ["top", "leg"],
    "chair": ["seat", "back", "leg", "arm"],
    "stool": ["seat", "leg"],
    "lamp": ["base", "pole", "shade"],
    "mug": ["body", "handle"],
    "cup": ["wall", "bottom"],
    "bottle": ["body", "neck"],
    "bench": ["seat", "support", "back"],
    "arch": ["vault", "pillar"],
    "shelf": ["side", "board"],
    "dumbbell": ["weight", "bar"],
    "rocket": ["body", "nose", "fin"],
}
"""Parts of the families that have more than one."""
