"""Generates pictures of dashed curves with two discs, for Pathfinder."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SIDE = 32
"""Side of a picture in pixels; all lengths here are in pixels."""

_DASH, _GAP, _HALF_WIDTH = 1.7, 1.1, 0.3
_DISC = 1.6
_DASH_VALUE, _DISC_VALUE = 190, 255
_MARGIN = 2.0
_CLEARANCE, _DISC_CLEARANCE = 2.6, 4.0
# Turning angles of successive dashes are a first-order autoregression, so that curves bend smoothly and may wind.
_KEEP, _SPREAD, _SHARPEST = 0.5, 0.42, 0.8
_CELLS = 3  # cells of the occupancy map per pixel
_STARTS, _PROPOSALS, _TRIES = 24, 12, 4
_SCENES = 1024
_NEAREST_DISCS = 6.0
_SAME_DISTANCE, _SAME_MIDDLE = 0.3, 2.0
_FAR = -1e3
_WINDOW = np.arange(-3, 4)


class _Curve(NamedTuple):
    """One curve in each of M scenes.

    Args:
        dashes: [M, L, 3, 2] begin, middle and end of every dash, from one end of the curve to the other.
        complete: [M] whether all L dashes found room.
    """

    dashes: np.ndarray
    complete: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """Both ends of the curve, [M, 2, 2]."""
        return self.dashes[:, [0, -1], [0, 2]]

    def select(self, scenes: np.ndarray) -> _Curve:
        """Return the curve in some of the scenes."""
        return _Curve(self.dashes[scenes], self.complete[scenes])


class _Growth(NamedTuple):
    """Growing curves in M scenes; dashes are added before end 0 and after end 1.

    Args:
        dashes: [M, L, 3, 2] in the order of growth.
        place: [M, L] places along the curve, from left of 0 to right of it.
        tip: [M, 2] number of the outermost dash at each end.
        heading: [M, 2] direction in which each end grows.
        bend: [M, 2] last turning angle at each end.
    """

    dashes: np.ndarray
    place: np.ndarray
    tip: np.ndarray
    heading: np.ndarray
    bend: np.ndarray


class _Map:
    """Occupied cells in each of M scenes, several per pixel."""

    def __init__(self, cells: np.ndarray) -> None:
        self.cells = cells
        self.side = cells.shape[1]

    @classmethod
    def empty(cls, scenes: int) -> _Map:
        return cls(np.zeros((scenes, SIDE * _CELLS, SIDE * _CELLS), dtype=bool))

    def select(self, scenes: np.ndarray) -> _Map:
        return _Map(self.cells[scenes])

    def is_free(self, points: np.ndarray, scenes: np.ndarray) -> np.ndarray:
        """Return whether points [m, ..., 2] in m of the scenes are inside the margin and on free cells."""
        inside = ((points >= _MARGIN) & (points <= SIDE - _MARGIN)).all(-1)
        cell = np.clip((points * _CELLS).astype(np.int64), 0, self.side - 1)
        scene = scenes.reshape(-1, *[1] * (points.ndim - 2))
        return inside & ~self.cells[scene, cell[..., 0], cell[..., 1]]

    def occupy(self, points: np.ndarray, radius: float) -> None:
        """Occupy all cells around points [M, ..., 2]."""
        points = points.reshape(len(points), np.prod(points.shape[1:-1], dtype=int), 2)
        reach = np.arange(-int(radius * _CELLS), int(radius * _CELLS) + 1)
        first, second = (offset.ravel() for offset in np.meshgrid(reach, reach, indexing="ij"))
        near = first**2 + second**2 <= (radius * _CELLS) ** 2
        cell = (points * _CELLS).astype(np.int64)
        rows = np.clip(cell[..., 0, None] + first[near], 0, self.side - 1)
        columns = np.clip(cell[..., 1, None] + second[near], 0, self.side - 1)
        self.cells[np.arange(len(points))[:, None, None], rows, columns] = True


def sample_pictures(
    count: int,
    length: int,
    rng: np.random.Generator,
    advance: Callable[[float], None] = lambda _: None,
    *,
    matched: bool = True,
) -> np.ndarray:
    """Return pictures in pairs: one whose discs are connected, then one whose discs are not.

    Every scene has two long curves that never touch, and shorter ones that distract. Only when a scene is complete, a
    coin decides whether the discs go to both ends of one long curve or to an end of each, so the curves say nothing
    about the label. The pairing makes the positions of the discs uninformative, unless ``matched`` is off: in
    both pictures of a pair the discs have the same distance, to 0.3 pixels, and the point halfway between them has the
    same distance from the middle of the picture, to two pixels.

    Args:
        count: Number of pictures, even.
        length: Dashes of a long curve, 4 to 14.
        rng: Source of all randomness.
        advance: Called with the number of new pictures.
        matched: Whether the discs of a pair have the same distance and eccentricity.

    Returns:
        Pictures uint8 [count, 32, 32]; those at even places are connected.

    Example:
        >>> sample_pictures(4, 6, np.random.default_rng(0)).shape
        (4, 32, 32)

    Cost: two to seven milliseconds of one core per picture, fewer the more pictures are asked for at once.
    """
    waiting: dict[tuple[int, ...], tuple[deque[np.ndarray], deque[np.ndarray]]] = defaultdict(
        lambda: (deque(), deque())
    )
    pairs: list[np.ndarray] = []
    while 2 * len(pairs) < count:
        before = len(pairs)
        for picture, place, connected in zip(*_sample_labelled(length, rng), strict=True):
            partners = waiting[place if matched else ()]
            partners[connected].append(picture)
            if partners[0] and partners[1] and 2 * len(pairs) < count:
                pairs.append(np.stack([partners[1].popleft(), partners[0].popleft()]))
        advance(2 * (len(pairs) - before))
    return np.concatenate([np.empty((0, SIDE, SIDE), np.uint8), *pairs])


def _sample_labelled(length: int, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int]], list[int]]:
    """Return pictures with discs, the bins of distance and position by which pairs are matched, and the labels."""
    curves = _sample_scenes(length, rng)
    ends = np.stack([curve.ends for curve in curves[:2]], axis=1)  # [M, curve, end, 2]
    each = np.arange(len(ends))
    connected, curve, end, other_end = (rng.integers(0, 2, len(ends)) for _ in range(4))
    first = ends[each, curve, end]
    second = np.where(connected[:, None] == 1, ends[each, curve, 1 - end], ends[each, 1 - curve, other_end])
    distance = np.hypot(*(first - second).T)
    eccentricity = np.hypot(*((first + second) / 2 - SIDE / 2).T)
    far = np.flatnonzero(distance >= _NEAREST_DISCS)
    pictures = _draw([part.select(far) for part in curves], np.stack([first[far], second[far]], axis=1))
    return (
        pictures,
        [(int(distance[at] / _SAME_DISTANCE), int(eccentricity[at] / _SAME_MIDDLE)) for at in far],
        connected[far].tolist(),
    )


def _sample_scenes(length: int, rng: np.random.Generator) -> list[_Curve]:
    """Place two long curves and short distractors in empty scenes; scenes without room are dropped."""
    occupied = _Map.empty(_SCENES)
    first = _grow(occupied, length, rng)
    occupied, first = occupied.select(first.complete), first.select(first.complete)
    occupied.occupy(first.dashes, _CLEARANCE)
    occupied.occupy(first.ends, _DISC_CLEARANCE)
    second = _second_curve(first, occupied, rng)
    occupied, long = occupied.select(second.complete), [curve.select(second.complete) for curve in (first, second)]
    occupied.occupy(long[1].dashes, _CLEARANCE)
    occupied.occupy(long[1].ends, _DISC_CLEARANCE)
    short: list[_Curve] = []
    for _ in range(20 // (length // 3)):
        short.append(_grow(occupied, length // 3, rng))
        # Where a distractor found no room it is not drawn, and it occupies nothing but the map's corner, which lies
        # beyond the margin.
        occupied.occupy(np.where(short[-1].complete[:, None, None, None], short[-1].dashes, np.float32(0)), _CLEARANCE)
    return long + short


def _second_curve(first: _Curve, occupied: _Map, rng: np.random.Generator) -> _Curve:
    """Grow the second long curve; a disc at an end of either curve must keep its distance from the other curve."""
    second = _Curve(np.zeros_like(first.dashes), np.zeros_like(first.complete))
    for _ in range(_TRIES):
        rest = np.flatnonzero(~second.complete)
        curve, partner = _grow(occupied.select(rest), first.dashes.shape[1], rng), first.select(rest)
        fits = curve.complete & _is_apart(curve.ends, partner.dashes) & _is_apart(partner.ends, curve.dashes)
        second.dashes[rest[fits]] = curve.dashes[fits]
        second.complete[rest[fits]] = True
    return second


def _is_apart(ends: np.ndarray, dashes: np.ndarray) -> np.ndarray:
    """Return for M scenes whether discs at both ends [M, 2, 2] keep their distance from the other curve's dashes."""
    points = dashes.reshape(len(dashes), 1, 3 * dashes.shape[1], 2)
    return np.all(((ends[:, :, None] - points) ** 2).sum(-1) >= _DISC_CLEARANCE**2, axis=(1, 2))


def _grow(occupied: _Map, length: int, rng: np.random.Generator) -> _Curve:
    """Grow one curve in every scene, dash by dash at a random end, or at the other end if there is no room."""
    scenes = len(occupied.cells)
    each = np.arange(scenes)
    angle = rng.uniform(0, 2 * np.pi, (scenes, _STARTS))
    points = _dash(rng.uniform(_MARGIN, SIDE - _MARGIN, (scenes, _STARTS, 2)), angle)
    fits = np.all(occupied.is_free(points, each), axis=-1)
    taken = fits.argmax(1)
    growth = _Growth(
        dashes=np.zeros((scenes, length, 3, 2), dtype=np.float32),
        place=np.zeros((scenes, length), dtype=np.int64),
        tip=np.zeros((scenes, 2), dtype=np.int64),
        heading=angle[each, taken][:, None] + np.array([np.pi, 0.0]),
        bend=np.zeros((scenes, 2)),
    )
    growth.dashes[:, 0] = points[each, taken]
    alive = np.flatnonzero(fits.any(1))
    for number in range(1, length):
        side = rng.integers(0, 2, len(alive))
        grown = _extend(occupied, growth, number, alive, side, rng)
        stuck = ~grown
        grown[stuck] = _extend(occupied, growth, number, alive[stuck], 1 - side[stuck], rng)
        alive = alive[grown]
    complete = np.isin(each, alive)
    return _Curve(growth.dashes[each[:, None], growth.place.argsort(1)], complete)


def _extend(
    occupied: _Map, growth: _Growth, number: int, scenes: np.ndarray, side: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Add dash ``number`` at one end of the curve in each given scene, and return in which scenes there was room."""
    dashes, tip = growth.dashes[scenes, :number], growth.tip[scenes, side]
    ahead, bend = growth.heading[scenes, side], growth.bend[scenes, side]
    turn = _KEEP * bend[:, None] + rng.normal(0, _SPREAD, (len(scenes), _PROPOSALS))
    turn = np.clip(turn, -_SHARPEST, _SHARPEST)
    each = np.arange(len(scenes))
    begin = dashes[each, tip, 2 * side][:, None] + _GAP * _direction(ahead[:, None] + turn / 2)
    points = _dash(begin, ahead[:, None] + turn)
    fits = np.all(occupied.is_free(points, scenes), axis=-1)
    dashes[each, tip] = _FAR  # the new dash may be near the one that it follows
    if number > 1:
        # Most places are taken: only the others are compared with the dashes of the curve.
        scene, proposal = np.nonzero(fits)
        new, old = points[scene, proposal].astype(np.float32), dashes.reshape(len(scenes), 3 * number, 2)
        apart = [new[:, 1:, None, axis] - old[scene, None, :, axis] for axis in (0, 1)]
        fits[scene, proposal] = (apart[0] ** 2 + apart[1] ** 2 >= _CLEARANCE**2).all((1, 2))
    grown = fits.any(1)
    chosen = fits.argmax(1)[grown]
    into, end = scenes[grown], side[grown]
    new = points[grown, chosen]
    growth.dashes[into, number] = np.where(end[:, None, None] == 1, new, new[:, ::-1])
    growth.place[into, number] = growth.place[into, growth.tip[into, end]] + 2 * end - 1
    growth.tip[into, end] = number
    growth.heading[into, end] += turn[grown, chosen]
    growth.bend[into, end] = turn[grown, chosen]
    return grown


def _dash(begin: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return begin, middle and end [..., 3, 2] of dashes."""
    return begin[..., None, :] + _direction(angle)[..., None, :] * np.array([0, _DASH / 2, _DASH])[:, None]


def _direction(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _draw(curves: list[_Curve], discs: np.ndarray) -> np.ndarray:
    """Draw anti-aliased pictures uint8 [M, 32, 32]: each dash and disc within the few pixels around it."""
    pictures = np.zeros((len(discs), SIDE, SIDE), dtype=np.uint8)
    for curve in curves:
        scene, number = np.nonzero(np.broadcast_to(curve.complete[:, None], curve.dashes.shape[:2]))
        dash = curve.dashes[scene, number]
        _stamp(pictures, scene, dash[:, 0], dash[:, 2], _HALF_WIDTH, _DASH_VALUE)
    for middle in (discs[:, 0], discs[:, 1]):
        _stamp(pictures, np.arange(len(discs)), middle, middle, _DISC, _DISC_VALUE)
    return pictures


def _stamp(
    pictures: np.ndarray, scene: np.ndarray, begin: np.ndarray, end: np.ndarray, radius: float, value: int
) -> None:
    """Draw line segments with round ends; where two overlap the brighter one shows."""
    middle = ((begin + end) / 2).astype(np.int64)
    rows, columns = middle[:, 0, None, None] + _WINDOW[:, None], middle[:, 1, None, None] + _WINDOW
    rows, columns = np.broadcast_arrays(rows, columns)
    pixel = np.stack([rows, columns], axis=-1) + 0.5 - begin[:, None, None]
    along = (end - begin)[:, None, None]
    share = np.clip((pixel * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
    distance = np.sqrt(((pixel - share[..., None] * along) ** 2).sum(-1))
    brightness = np.rint(value * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)
    inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE) & (brightness > 0)
    owner = np.broadcast_to(scene[:, None, None], rows.shape)
    np.maximum.at(pictures, (owner[inside], rows[inside], columns[inside]), brightness[inside])
