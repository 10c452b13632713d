"""Solids whose surfaces can be sampled exactly, and unions of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_SLACK = 1e-9
_HALVINGS = 48


class Solid:
    """A body with a surface; subclasses give the areas of its faces, sample points on them, and test what is inside.

    Example:
        >>> isinstance(Box(1.0, 1.0, 1.0), Solid)
        True
        >>> sum(Box(1.0, 1.0, 1.0).areas())
        6.0
    """

    @abstractmethod
    def areas(self) -> list[float]:
        """Return the area of each face."""

    @abstractmethod
    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn uniform numbers [n] into points and outward unit normals of a face, each [n, 3], uniform by area."""

    @abstractmethod
    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points [n, 3] are inside or on the surface."""


def _stack(*columns: np.ndarray | float) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*columns), axis=-1).astype(np.float64)


def _disc(radius: float, u: np.ndarray, v: np.ndarray, height: float, up: float) -> tuple[np.ndarray, np.ndarray]:
    reach, angle = radius * np.sqrt(u), 2 * np.pi * v
    return _stack(reach * np.cos(angle), reach * np.sin(angle), height), _stack(0 * u, 0 * u, up)


@dataclass(frozen=True)
class Box(Solid):
    """A box on the ground, centred on the z axis.

    Args:
        x: Length along x.
        y: Length along y.
        z: Height.

    Example:
        >>> Box(1.0, 2.0, 3.0).areas()
        [6.0, 6.0, 3.0, 3.0, 2.0, 2.0]
        >>> Box(1.0, 2.0, 3.0).inside(np.array([[0.0, 0.0, 1.0], [0.6, 0.0, 1.0]])).tolist()
        [True, False]
    """

    x: float
    y: float
    z: float

    def areas(self) -> list[float]:
        """Return the areas of the faces -x, +x, -y, +y, bottom and top."""
        return [self.y * self.z] * 2 + [self.x * self.z] * 2 + [self.x * self.y] * 2

    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw points of a face.

        Example:
            >>> points, normals = Box(1.0, 2.0, 3.0).draw(5, np.array([0.5]), np.array([0.25]))
            >>> points.tolist(), normals.tolist()
            ([[0.0, -0.5, 3.0]], [[0.0, 0.0, 1.0]])
        """
        axis, sign = face // 2, 2.0 * (face % 2) - 1
        unit = np.insert(np.stack([u, v], axis=1), axis, float(face % 2), axis=1)
        normal = np.zeros_like(unit)
        normal[:, axis] = sign
        return (unit - [0.5, 0.5, 0.0]) * [self.x, self.y, self.z], normal

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside."""
        x, y, z = points.T
        return (
            (abs(x) <= self.x / 2 + _SLACK) & (abs(y) <= self.y / 2 + _SLACK) & (z >= -_SLACK) & (z <= self.z + _SLACK)
        )


@dataclass(frozen=True)
class Frustum(Solid):
    """A cylinder, cone or truncated cone on the ground around the z axis.

    Args:
        low: Radius at the bottom.
        high: Radius at the top.
        z: Height.

    Example:
        >>> cone = Frustum(1.0, 0.0, 2.0)
        >>> cone.inside(np.array([[0.0, 0.0, 2.0], [0.6, 0.0, 1.0]])).tolist()
        [True, False]
    """

    low: float
    high: float
    z: float

    def areas(self) -> list[float]:
        """Return the areas of the side, the bottom and the top.

        Example:
            >>> [round(area / math.pi, 3) for area in Frustum(1.0, 1.0, 2.0).areas()]
            [4.0, 1.0, 1.0]
        """
        return [
            math.pi * (self.low + self.high) * math.hypot(self.z, self.low - self.high),
            math.pi * self.low**2,
            math.pi * self.high**2,
        ]

    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw points of a face."""
        if face:
            return _disc((self.low, self.high)[face - 1], u, v, (0.0, self.z)[face - 1], (-1.0, 1.0)[face - 1])
        # The share of the side below a height grows with the radius there: its square is uniform.
        radius = np.sqrt(self.low**2 + u * (self.high**2 - self.low**2))
        height = u if self.low == self.high else (radius - self.low) / (self.high - self.low)
        x, y, slant = np.cos(2 * np.pi * v), np.sin(2 * np.pi * v), math.hypot(self.z, self.low - self.high)
        return _stack(radius * x, radius * y, height * self.z), _stack(
            x * self.z, y * self.z, self.low - self.high
        ) / slant

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside."""
        x, y, z = points.T
        radius = self.low + (self.high - self.low) * z / self.z
        return (np.hypot(x, y) <= radius + _SLACK) & (z >= -_SLACK) & (z <= self.z + _SLACK)


@dataclass(frozen=True)
class Ball(Solid):
    """A ball around the origin.

    Args:
        radius: Radius.

    Example:
        >>> ball = Ball(2.0)
        >>> points, normals = ball.draw(0, np.array([0.5]), np.array([0.0]))
        >>> points.tolist(), normals.tolist(), ball.inside(points).tolist()
        ([[2.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]], [True])
    """

    radius: float

    def areas(self) -> list[float]:
        """Return the area of the sphere.

        Example:
            >>> round(Ball(1.0).areas()[0] / math.pi, 6)
            4.0
        """
        return [4 * math.pi * self.radius**2]

    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw points of the sphere."""
        height = 2 * u - 1
        reach = np.sqrt(1 - height**2)
        normal = _stack(reach * np.cos(2 * np.pi * v), reach * np.sin(2 * np.pi * v), height)
        return self.radius * normal, normal

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside."""
        return np.linalg.norm(points, axis=1) <= self.radius + _SLACK


@dataclass(frozen=True)
class Ring(Solid):
    """A torus around the z axis, or an arc of a torus that starts at the x axis; the ends of an arc are open.

    Args:
        reach: Radius of the circle in the middle of the tube.
        tube: Radius of the tube, below ``reach``.
        arc: Angle, up to 2 pi.

    Example:
        >>> Ring(2.0, 0.5).inside(np.array([[2.0, 0.0, 0.4], [0.0, 0.0, 0.0]])).tolist()
        [True, False]
    """

    reach: float
    tube: float
    arc: float = 2 * math.pi

    def areas(self) -> list[float]:
        """Return the area of the tube.

        Example:
            >>> round(Ring(2.0, 0.5).areas()[0] / math.pi**2, 6)
            4.0
        """
        return [self.arc * self.reach * 2 * math.pi * self.tube]

    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw points of the tube."""
        low, high = np.zeros_like(u), np.full_like(u, 2 * np.pi)
        # The outer half of the tube is larger: the angle around it follows from its cumulated share, by halving.
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = middle + self.tube / self.reach * np.sin(middle) < 2 * np.pi * u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        around, along = (low + high) / 2, self.arc * v
        normal = _stack(np.cos(around) * np.cos(along), np.cos(around) * np.sin(along), np.sin(around))
        return _stack(self.reach * np.cos(along), self.reach * np.sin(along), 0.0) + self.tube * normal, normal

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside."""
        x, y, z = points.T
        return (np.hypot(np.hypot(x, y) - self.reach, z) <= self.tube + _SLACK) & _within(x, y, self.arc)


@dataclass(frozen=True)
class Sector(Solid):
    """A pipe on the ground around the z axis, or an arc of a pipe that starts at the x axis.

    Args:
        low: Inner radius.
        high: Outer radius.
        z: Height.
        arc: Angle, up to 2 pi.

    Example:
        >>> pipe = Sector(1.0, 2.0, 3.0)
        >>> pipe.inside(np.array([[0.5, 0.0, 1.0], [0.0, 1.5, 1.0]])).tolist()
        [False, True]
    """

    low: float
    high: float
    z: float
    arc: float = 2 * math.pi

    def areas(self) -> list[float]:
        """Return the areas of the outside, the inside, bottom and top, and of both ends where it has some.

        Example:
            >>> [round(area / math.pi, 3) for area in Sector(1.0, 2.0, 3.0).areas()]
            [12.0, 6.0, 3.0, 3.0, 0.0, 0.0]
        """
        flat, end = (
            self.arc * (self.high**2 - self.low**2) / 2,
            0.0 if self.arc >= 2 * math.pi else (self.high - self.low) * self.z,
        )
        return [self.arc * self.high * self.z, self.arc * self.low * self.z, flat, flat, end, end]

    def draw(self, face: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw points of a face.

        Example:
            >>> points, normals = Sector(1.0, 2.0, 3.0).draw(1, np.array([0.0]), np.array([0.5]))
            >>> points.tolist(), normals.tolist()
            ([[1.0, 0.0, 1.5]], [[-1.0, -0.0, -0.0]])
        """
        angle = self.arc * u
        if face < 2:
            side, sign = (self.high, self.low)[face], (1.0, -1.0)[face]
            return _stack(side * np.cos(angle), side * np.sin(angle), self.z * v), sign * _stack(
                np.cos(angle), np.sin(angle), 0.0
            )
        if face < 4:
            radius = np.sqrt(self.low**2 + v * (self.high**2 - self.low**2))
            return _stack(radius * np.cos(angle), radius * np.sin(angle), self.z * (face - 2)), _stack(
                0 * u, 0 * u, 2.0 * face - 5
            )
        radius, end, sign = self.low + u * (self.high - self.low), self.arc * (face - 4), 2.0 * face - 9
        points = _stack(radius * math.cos(end), radius * math.sin(end), self.z * v)
        return points, _stack(0 * u - sign * math.sin(end), 0 * u + sign * math.cos(end), 0.0)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points are inside."""
        x, y, z = points.T
        radius = np.hypot(x, y)
        flat = (radius >= self.low - _SLACK) & (radius <= self.high + _SLACK) & (z >= -_SLACK) & (z <= self.z + _SLACK)
        return flat & _within(x, y, self.arc)


def _within(x: np.ndarray, y: np.ndarray, arc: float) -> np.ndarray:
    angle = np.arctan2(y, x) % (2 * math.pi)
    return (angle <= arc + _SLACK) | (angle >= 2 * math.pi - _SLACK)


@dataclass(frozen=True)
class Placed:
    """A solid at its place in a shape.

    Args:
        solid: The solid.
        part: Name of the part that it belongs to.
        shift: Where its origin goes [3].
        turn: Rotation matrix [3, 3], applied first.

    Example:
        >>> high = Placed(Box(1, 1, 1), "lid", shift=(0.0, 0.0, 5.0))
        >>> high.inside(np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 5.5]])).tolist()
        [False, True]
    """

    solid: Solid
    part: str
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points [n, 3] are inside or on the surface."""
        return self.solid.inside((points - self.shift) @ self.turn)


def turned(axis: int, angle: float) -> np.ndarray:
    """Return the matrix [3, 3] of a rotation around an axis (0, 1, 2).

    Example:
        >>> (turned(2, np.pi / 2) @ [1.0, 0.0, 0.0]).round(6).tolist()
        [0.0, 1.0, 0.0]
    """
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


def sample_union(
    bodies: Sequence[Placed], num_points: int, rng: np.random.Generator, stretch: Sequence[float] = (1.0, 1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw points uniformly from the surface of the union of bodies, stretched along the axes.

    What lies inside of another body is left out, and so is the common face of two bodies that touch. (So bodies must
    not overlap with a face in common that is outer surface: it would be left out twice.) Nothing but uniform numbers is
    drawn, which are the same in every version of numpy.

    Args:
        bodies: The bodies.
        num_points: Number n of points.
        rng: Source of random numbers.
        stretch: Positive factors of x, y and z; the points are uniform on the stretched surface.

    Returns:
        Points [n, 3], outward unit normals [n, 3], and the number of the body of each point [n].

    Example:
        >>> bodies = [Placed(Box(1, 1, 1), "low"), Placed(Box(1, 1, 1), "high", (0, 0, 1))]
        >>> points, _, _ = sample_union(bodies, 100, np.random.default_rng(0))
        >>> bool(((points[:, 2] == 1) | (points.max(1) > 2)).any())
        False
    """
    faces = [(number, face, area) for number, body in enumerate(bodies) for face, area in enumerate(body.solid.areas())]
    shares, factors = np.cumsum([area for _, _, area in faces]), np.asarray(stretch, dtype=np.float64)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while sum(len(owner) for _, _, owner in found) < num_points:
        draws = rng.random((4, 2 * num_points))
        chosen = np.searchsorted(shares, draws[0] * shares[-1], side="right").clip(max=len(faces) - 1)
        points, normals, owner = (
            np.empty((2 * num_points, 3)),
            np.empty((2 * num_points, 3)),
            np.empty(2 * num_points, dtype=np.int64),
        )
        for place in np.unique(chosen):
            number, face, _ = faces[place]
            mine, body = chosen == place, bodies[number]
            local, normal = body.solid.draw(face, draws[1, mine], draws[2, mine])
            points[mine], normals[mine], owner[mine] = local @ body.turn.T + body.shift, normal @ body.turn.T, number
        hidden = np.zeros(len(owner), dtype=bool)
        for number, body in enumerate(bodies):
            hidden |= (owner != number) & body.inside(points)
        # A small piece of surface grows by det(S) |S^-1 n|, normals turn by S^-1: what grows less is kept less often.
        steep = normals / factors
        growth = np.linalg.norm(steep, axis=1)
        kept = ~hidden & (draws[3] < growth * factors.min())
        found.append((points[kept] * factors, steep[kept] / growth[kept, None], owner[kept]))
    points, normals, owner = (np.concatenate(parts)[:num_points] for parts in zip(*found, strict=True))
    return points, normals, owner
