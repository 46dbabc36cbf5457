"""Groups: rows by the components that they can belong to, carried from one E-step to the next.

Most rows have shares that count in a few components only, and in which ones hardly changes from one
E-step to the next. When parameters have come to move little, an E-step over all components marks the
components that a row has a share in; rows of like marks are put together in tiles, and the E-steps after
it compute for a tile only its own components, as long as no other can have come to a share that counts.

That is known from the parameters. Whitened by a component, a row is z before and A z + b after, where A
= W' W^-1 and b = W' (m - m'). So |A z + b| is between (1 - e) |z| - |b| and (1 + e) |z| + |b|, where no
singular value of A - 1 is above e. Elkan (2003, "Using the triangle inequality to accelerate k-means",
section 3) carries bounds of distances so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.fitting.estep import NO_BACKGROUND, Joint
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.threads import on_threads

__all__ = ["Groups", "Order", "Piece", "deepest", "groups_of", "in_groups", "largest_share"]

Marks = NDArray[np.uint32]

_BLOCK = 1 << 16  # rows that are put in order together: their places are then two bytes each
_FEWEST = 8_192  # rows: below, groups hardly fill tiles
_COMPONENTS = range(4, 33)  # as many as a mark has bits
_MOST_BYTES = 1 << 25  # of marks and places
_SPANS = 8
# Nats: a share that is as far below the least that counts may grow before groups are made anew.
_SLACK = 8.0
_ROUNDING = 0.1  # of log joints in float32
_WORTH = 0.7  # of all tiles times components: to compute more of them, in order, saves nothing


@dataclass(frozen=True)
class Piece:
    """Rows at `places` of a block of rows, tile by tile of like marks; `masks` has one for each tile."""

    block: slice
    places: NDArray[np.uint16]
    masks: Marks


@dataclass(frozen=True)
class Order:
    """Rows in groups: spans of pieces, the joint that they were marked under, and what part of all
    tiles times components is computed."""

    spans: Sequence[Sequence[Piece]]
    joint: Joint
    computed: float


class Groups:
    """What E-steps over the same rows learnt of their groups, for the next ones.

    Shares below e^-`least` count for nothing; marks leave out those below e^-`gap`.
    """

    def __init__(self, least: float) -> None:
        self.gap = least + _SLACK
        self._least = least + _ROUNDING
        self._last: Joint | None = None
        self._marks: tuple[Marks, Joint, int] | None = None
        self._order: Order | None = None
        self._pause = self._waited = 0

    def order(self, joint: Joint) -> Order | None:
        """The order of the rows in which this E-step may be made, if any."""
        if self._marks is not None:  # only now: after the last E-step of a fit nobody would use it
            self._put_in_order(*self._marks)
            self._marks = None
        order = self._order
        if order is not None and not largest_share(order.joint, joint, self.gap) < -self._least:
            self._order = None
        return self._order

    def worth_marking(self, joint: Joint) -> bool:
        """Whether to mark rows in this E-step: parameters moved so little that the next may use it."""
        before, self._last = self._last, joint
        self._waited += 1
        if before is None or self._waited <= self._pause:
            return False
        return largest_share(before, joint, self.gap) < -0.5 * (self._least + self.gap)

    def marked(self, marks: Marks, joint: Joint, tile: int) -> None:
        """Keep the marks (n,), made under this joint, for an order in tiles of so many rows."""
        self._waited, self._marks = 0, (marks, joint, tile)

    def _put_in_order(self, marks: Marks, joint: Joint, tile: int) -> None:
        """The order that the marks give, if it is worth it."""
        some = marks[:: -(-len(marks) // _BLOCK)]  # one block says what all of them would
        if in_groups(some, joint, tile).computed < _WORTH:
            self._order, self._pause = in_groups(marks, joint, tile), 0
        else:  # components lie so close that most rows have a share in most of them
            self._pause = 2 * self._pause + 1


def groups_of(rows: Rows, joint: Joint, least_share: float) -> Groups | None:
    """What is known of the groups of these rows; `None` where groups cannot pay.

    Shares below `least_share` count for nothing.
    """
    k, d = joint.means.shape
    layout = rows.values.flags
    fits = _FEWEST <= len(rows) <= _MOST_BYTES // 6
    if d == 1 or k not in _COMPONENTS or not fits or joint.background > NO_BACKGROUND:
        return None
    if not (layout.c_contiguous and layout.writeable and layout.aligned):
        return None
    found: Groups = rows.memory.setdefault(
        f"groups of {joint.whiteners.shape}", Groups(-float(np.log(least_share)))
    )
    return found


def in_groups(marks: Marks, joint: Joint, tile: int) -> Order:
    """The order in which rows of marks (n,) lie beside those of like marks, in tiles of so many rows."""
    n, k = len(marks), len(joint.means)
    count = -(-n // _BLOCK)
    cuts, blocks = -(-_SPANS // count), _cut(n, count)
    found: list[list[Piece]] = [[] for _ in blocks]

    def work(index: int) -> None:
        start, stop = blocks[index]
        own = marks[start:stop]
        # Two bytes, which sort fast. Rows of different marks may so come together: masks know.
        places = np.argsort((own ^ own >> 16).astype(np.uint16), kind="stable").astype(np.uint16)
        tiles = np.arange(0, len(own), tile)
        masks = np.bitwise_or.reduceat(own[places], tiles) & np.uint32((1 << k) - 1)
        for a, b in _cut(len(tiles), min(cuts, len(tiles))):
            piece = Piece(slice(start, stop), places[a * tile : b * tile], masks[a:b])
            found[index].append(piece)

    on_threads(work, count)
    pieces = list(itertools.chain.from_iterable(found))
    computed = sum(int(np.unpackbits(piece.masks.view(np.uint8)).sum()) for piece in pieces)
    spans = [pieces[a:b] for a, b in _cut(len(pieces), min(_SPANS, len(pieces)))]
    return Order(spans, joint, computed * tile / (n * k))


def _cut(n: int, count: int) -> list[tuple[int, int]]:
    return list(itertools.pairwise(n * i // count for i in range(count + 1)))


def deepest(joint: Joint) -> float:
    """The log joint below which a row is so far from all components that it is marked for all."""
    return float(joint.offsets.min()) - 0.5 * _farthest(joint)


def _farthest(joint: Joint) -> float:
    """A squared distance in the tail of the chi-squared distribution of d degrees of freedom."""
    return 2.0 * len(joint.means[0]) + 40.0


def largest_share(before: Joint, after: Joint, gap: float) -> float:
    """A bound under `after`, nats: no row has a larger log-share, beside its largest one before, of a
    component in which it was `gap` or more below that under `before`; of rows above `deepest`.

    With q and p the squared distances before to a row's own component a and another one c, p >= q +
    2 (o_c - o_a + gap), o their offsets. What the bound on distances then leaves rises with q.
    """
    with np.errstate(all="ignore"):  # what is no number is no bound
        return _largest_share(before, after, gap)


def _largest_share(before: Joint, after: Joint, gap: float) -> float:
    moved, away = _moved(before, after)
    offsets, now = before.offsets, after.offsets
    own = _farthest(before) + 2 * (offsets - offsets.min())
    other = own[:, None] + 2 * (offsets - offsets[:, None] + gap)
    far = (1 + moved) * np.sqrt(own) + away
    near = np.maximum((1 - moved) * np.sqrt(np.maximum(other, 0)) - away, 0)
    share = now - now[:, None] + 0.5 * (np.square(far)[:, None] - np.square(near))
    np.fill_diagonal(share, -np.inf)
    return float(share.max())


def _moved(before: Joint, after: Joint) -> tuple[Array, Array]:
    """(k,) e and |b| of each component."""
    white, shift = after.whiteners, before.means - after.means
    if white.ndim == 2:
        ratio: Array = np.abs(white / before.whiteners - 1)
        return ratio.max(axis=1), np.sqrt(np.square(white * shift).sum(axis=1))
    change = white @ np.linalg.inv(before.whiteners) - np.eye(white.shape[1])
    # No singular value is above the eighth root of the sum of their eighth powers.
    squares = change.transpose(0, 2, 1) @ change
    eighth = np.square(squares @ squares).sum(axis=(1, 2))
    return eighth ** (1 / 8), np.sqrt(np.square(white @ shift[:, :, None]).sum(axis=(1, 2)))
