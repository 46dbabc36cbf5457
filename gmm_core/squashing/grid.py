"""Grid: which cell a value of one column belongs to, by arithmetic alone.

A *zone* is an interval of values with a pivot p, a unit u (a power of two) and a number of bits b.
With t = (x - p) / u, the value 1 + |t| rounded to b bits behind its leading one names the cell: next
to the pivot cells are u 2^-b wide, farther out |x - p| 2^-b. So a zone covers any range, and what a
sample did not show still falls into cells of bounded relative width. The rounding is Veltkamp's
splitting (Dekker 1971, equation 5.6): two products and two differences, which every engine with
IEEE doubles computes alike, so SQL and numpy name the same cells bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput

__all__ = ["FURTHEST", "Grid", "Zone"]

FURTHEST = 1e140  # values beyond have no squares: they are counted with the infinite ones
_BITS = 10
_NEAR_BITS = 7  # around a value that repeats
_LEAST_UNIT = 2.0**-40  # of the sample's central range: nothing finer is looked for
_FREE_UNIT = 2.0**-20  # where no sample says anything
_WINDOW = 128  # a cell must be narrow against what two of so many parts of the sample span
_FINENESS = 16.0  # how much narrower
_PROBES = 513  # places of the sample that are looked at
_MOST_ZONES = 24
_TOLERATED = 2.0  # times wider than wanted
_LATTICE_VALUES, _LATTICE_CELLS = 4_096, 2.0**15


@dataclass(frozen=True)
class Zone:
    """Cells about `pivot`, `unit` 2^-bits wide next to it; `unit` is a power of two."""

    pivot: float
    unit: float
    bits: int

    @property
    def splitter(self) -> float:
        """What a double is multiplied with to be rounded to `bits` bits behind the leading one."""
        return 2.0 ** (52 - self.bits) + 1.0

    def widths(self, values: Array) -> Array:
        """Widths of the cells at these values."""
        widths: Array = np.maximum(np.abs(values - self.pivot), self.unit) * 2.0**-self.bits
        return widths


@dataclass(frozen=True)
class Grid:
    """Intervals of the real line, each with a zone.

    Parameters
    ----------
    zones : every zone once.
    borders : ascending; values below the first are in interval 0, a border opens an interval.
    places : for each interval the index of its zone; one more than there are borders.

    >>> Grid((Zone(0.0, 1.0, 2),)).keys([3.0, 3.1, -3.0, 4.0])[1].tolist()
    [3.0, 3.0, -3.0, 4.0]
    """

    zones: tuple[Zone, ...]
    borders: tuple[float, ...] = ()
    places: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if len(self.places) != len(self.borders) + 1 or list(self.borders) != sorted(self.borders):
            raise InvalidInput("borders of a grid", got=self.borders, bound="ascending")

    @classmethod
    def scale_free(cls, pivot: float = 0.0, *, bits: int = _BITS) -> Grid:
        """For values of which nothing is known: relative width 2^-bits about the pivot."""
        return cls((Zone(float(pivot), _FREE_UNIT, bits),))

    @classmethod
    def of_sample(cls, sample: ArrayLike, *, bits: int = _BITS) -> Grid:
        """A grid that resolves what this sample (n,) of the column shows; values not finite are left out.

        Wherever the sample lies dense, in a narrow mode far out or on one repeated value, cells become
        narrow against the distance to the next 1/128 of the sample. Few different values on a lattice
        get a cell each. Whatever else the column holds falls into cells of relative width 2^-bits.
        """
        values = np.sort(np.asarray(sample, dtype=np.float64).ravel())
        values = values[np.abs(values) <= FURTHEST]
        if not len(values):
            return cls.scale_free(bits=bits)
        if values[0] == values[-1]:
            return cls(
                (
                    Zone(
                        float(values[0]), _power(max(abs(float(values[0])), 1.0) * _FREE_UNIT), bits
                    ),
                )
            )
        return _lattice(values) or _resolving(values, bits)

    def places_of(self, values: Array) -> NDArray[np.intp]:
        """(n,) index of the zone of each value."""
        interval = np.searchsorted(np.array(self.borders), values, side="right")
        places: NDArray[np.intp] = np.array(self.places, dtype=np.intp)[interval]
        return places

    def keys(self, values: ArrayLike) -> tuple[NDArray[np.intp], Array, Array]:
        """Zone, key and offset (n,) each of finite values (n,) up to `FURTHEST`.

        The cell is named by zone and key; its reference point is pivot + unit * key, and the value is
        that plus unit * offset, exactly but for the rounding of value - pivot.
        """
        x = np.asarray(values, dtype=np.float64)
        places = self.places_of(x)
        pivot, unit, splitter = (part[places] for part in self.columns())
        t = (x - pivot) * (1.0 / unit)
        size = np.abs(t) + 1.0
        high = size * splitter
        rounded = high - (high - size)
        key: Array = np.where(t < 0, 1.0 - rounded, rounded - 1.0)
        return places, key, t - key

    def columns(self) -> tuple[Array, Array, Array]:
        """Pivots, units and splitters of the zones, (z,) each."""
        parts = [(zone.pivot, zone.unit, zone.splitter) for zone in self.zones]
        pivots, units, splitters = np.array(parts).T
        return pivots, units, splitters

    def widths(self, values: ArrayLike) -> Array:
        """(n,) widths of the cells at these values."""
        x = np.asarray(values, dtype=np.float64)
        places, result = self.places_of(x), np.empty(x.shape)
        for index, zone in enumerate(self.zones):
            result[places == index] = zone.widths(x[places == index])
        return result

    def carved(self, zone: Zone, reach: float) -> Grid:
        """This grid with another zone within `reach` of its pivot."""
        low, high = zone.pivot - reach, zone.pivot + reach
        starts = [-np.inf, *self.borders]
        after = self.places[int(np.searchsorted(np.array(self.borders), high, side="right"))]
        kept = [(s, p) for s, p in zip(starts, self.places, strict=True) if s < low or s > high]
        parts = sorted([*kept, (low, len(self.zones)), (high, after)])
        borders = tuple(float(start) for start, _ in parts[1:])
        return Grid((*self.zones, zone), borders, tuple(place for _, place in parts))


def _lattice(values: Array) -> Grid | None:
    """Cells narrower than the least gap, where few different values lie on few places."""
    different = np.unique(values)
    gap, spread = float(np.diff(different).min()), float(different[-1] - different[0])
    if len(different) > _LATTICE_VALUES or spread > gap * _LATTICE_CELLS:
        return None
    # All of them lie within the unit of the least, where cells are equally wide.
    unit = 2.0 * _power(spread)
    bits = int(np.ceil(np.log2(unit / gap))) + 1
    return Grid((Zone(float(different[0]), unit, bits),))


def _resolving(values: Array, bits: int) -> Grid:
    """A zone about the median; then one wherever cells are too wide for the sample."""
    places = np.unique(np.linspace(0, len(values) - 1, _PROBES).astype(int))
    probes, wanted = values[places], _wanted(values, places)
    middle = float(np.median(probes))
    central = float(np.ptp(values[len(values) // 100 : len(values) - len(values) // 100]))
    least = (central or float(values[-1] - values[0])) * _LEAST_UNIT
    usual = float(np.median(wanted[wanted > 0])) if (wanted > 0).any() else least
    grid = Grid((Zone(middle, _power(max(usual, least) * 2.0**bits), bits),))
    for _ in range(_MOST_ZONES - 1):
        excess = grid.widths(probes) / np.maximum(wanted, least)
        worst = int(excess.argmax())
        if excess[worst] <= _TOLERATED:
            break
        grid = grid.carved(*_finer(grid, float(probes[worst]), float(wanted[worst]), least, bits))
    return grid


def _finer(grid: Grid, pivot: float, wanted: float, least: float, bits: int) -> tuple[Zone, float]:
    """A zone whose cells are as wide as wanted at the pivot, and where they reach the width of now."""
    own = bits if wanted > least else _NEAR_BITS
    unit = _power(max(wanted, least) * 2.0**own)
    return Zone(pivot, unit, own), float(grid.widths(np.array([pivot]))[0]) * 2.0**own


def _wanted(values: Array, places: NDArray[np.int64]) -> Array:
    """Widths that cells should have at these places of the sorted sample; 0 on a repeated value."""
    half = max(1, len(values) // _WINDOW)
    above = values[np.minimum(places + half, len(values) - 1)] - values[places]
    below = values[places] - values[np.maximum(places - half, 0)]
    # At the ends of the sample one side is cut off: the other one tells.
    wanted: Array = 2.0 * np.maximum(above, below) / _FINENESS
    step = max(1, half // 2)
    after, before = np.minimum(places + step, len(values) - 1), np.maximum(places - step, 0)
    repeated = (values[after] == values[places]) & (after - places == step)
    repeated |= (values[before] == values[places]) & (places - before == step)
    return np.where(repeated & (half > 1), 0.0, wanted)


def _power(value: float) -> float:
    """The largest power of two at most `value`: a division by it rounds nothing."""
    return float(2.0 ** np.floor(np.log2(value)))
