"""Evaluation of many rows: what an answer needs beside itself does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import MissingExtra
from gmm_core.extras import optional
from gmm_core.fitting.estep import Joint
from gmm_core.fitting.shares import labels, log_shares
from gmm_core.gaussian import log_normalise

__all__ = ["Evaluation", "in_chunks", "parts_of"]

# Rows: what a chunk needs stays in the cache, and its products are too small for threads of BLAS,
# which cost more than they bring.
_CHUNK = 2_048
# Plain code takes some 5 nanoseconds for each component of a row, times the features and five more. Where
# that comes to less, loading compiled code, half a second once, is not worth it.
_MUCH = 30_000_000
_LOST = -1e200  # nats: compiled answers below, and those that are NaN, are not meant to be used

_whole: ContextVar[int] = ContextVar("rows of which these are a part", default=0)


@contextmanager
def parts_of(rows: int) -> Iterator[None]:
    """Within, questions are about parts of so many rows, and compiled code is loaded if it pays for all.

    How the rows are parted then does not decide who answers, which shows in the last digit.
    """
    before = _whole.set(rows)
    try:
        yield
    finally:
        _whole.reset(before)


def in_chunks(rows: NDArray[Any], answer: Callable[[Array], NDArray[Any]]) -> NDArray[Any]:
    """`answer(rows)`, asked for a chunk of rows (m, d) float64 at a time.

    Parameters
    ----------
    rows : (n, d) float32 or float64; float32 is widened a chunk at a time.
    answer : from rows (m, d) to an array whose first axis is theirs.

    >>> in_chunks(np.array([[1, 2], [3, 4]], np.float32), lambda part: part.sum(axis=1)).tolist()
    [3.0, 7.0]
    """
    first = answer(rows[:_CHUNK].astype(np.float64, copy=False))
    if len(rows) <= _CHUNK:
        return first
    result = np.empty((len(rows), *first.shape[1:]), first.dtype)
    result[:_CHUNK] = first
    for start in range(_CHUNK, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = answer(rows[part].astype(np.float64, copy=False))
    return result


@dataclass(frozen=True)
class Evaluation:
    """What a mixture says of rows: by compiled code where there is much to compute, else in chunks.

    Parameters
    ----------
    rows : (n, d) float32 or float64, checked.
    joint : the mixture's.
    log_joint : from a chunk (m, d) to its log joints (m, k).
    """

    rows: NDArray[Any]
    joint: Joint
    log_joint: Callable[[Array], Array]

    def log_prob(self) -> Array:
        """(n,) nats."""
        told = self._compiled()
        return self._densities(self.rows) if told is None else told[0]

    def component(self) -> NDArray[np.int64]:
        """(n,) the most responsible component."""
        told = self._compiled()
        return self._labels(self.rows) if told is None else told[1]

    def density_and_component(self) -> tuple[Array, NDArray[np.int64]]:
        """Both."""
        told = self._compiled()
        if told is not None:
            return told[0], told[1]

        def both(part: Array) -> Array:
            logs = self.log_joint(part)
            return np.column_stack([log_normalise(logs)[0], labels(part, logs, self.joint)])

        answers = in_chunks(self.rows, both)
        return answers[:, 0].copy(), answers[:, 1].astype(np.int64)

    def log_shares(self) -> Array:
        """(n, k) logs of the responsibilities."""
        told = self._compiled(shares=True)
        return self._log_shares(self.rows) if told is None else told[2]

    def _compiled(self, *, shares: bool = False) -> tuple[Array, NDArray[np.int64], Array] | None:
        """All three; `None` where plain code is to answer.

        That answers for single rows too, those with gaps and those out of the compiled code's reach.
        """
        (k, d), rows = self.joint.means.shape, max(len(self.rows), _whole.get())
        compiled = _compiled_answers(rows * k * (d + 5))
        if compiled is None:
            return None
        density, component, logs = compiled.answers(self.rows, self.joint, shares=shares)
        lost = np.flatnonzero(~(density > _LOST))
        if len(lost):
            few = self.rows[lost]
            density[lost], component[lost] = self._densities(few), self._labels(few)
            if shares:
                logs[lost] = self._log_shares(few)
        return density, component, logs

    def _densities(self, rows: NDArray[Any]) -> Array:
        return in_chunks(rows, lambda part: log_normalise(self.log_joint(part))[0])

    def _labels(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        return in_chunks(rows, lambda part: labels(part, self.log_joint(part), self.joint))

    def _log_shares(self, rows: NDArray[Any]) -> Array:
        return in_chunks(rows, lambda part: log_shares(part, self.log_joint(part), self.joint))


def _compiled_answers(work: int) -> Any:
    """`gmm_core.fitting.answers` where there is much to compute, or `None`.

    None where numba is not installed, too, and in the code that a served model carries along: the
    compiled part of it would be that of another release.
    """
    if work < _MUCH or not __name__.startswith("gmm_core."):
        return None
    try:
        return optional("gmm_core.fitting.answers", "Compiled answers", "numba")
    except MissingExtra:
        return None
