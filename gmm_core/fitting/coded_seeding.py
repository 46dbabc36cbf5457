"""Seeding of coded rows: k-means on numbers and levels together.

A level stands as a feature that is 1 in the rows that have it, each categorical feature scaled to variance
1 over all its levels: it weighs as much as a numeric feature does, which is standardised (k-prototypes,
Huang 1998, in Euclidean form). So where levels alone tell components apart, k-means sees it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.fitting.categories import Categories, level_weights
from gmm_core.fitting.coded import CodedRows
from gmm_core.fitting.estep import Parameters, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import group_parameters, kmeans_plus_plus, lloyd, nearest
from gmm_core.fitting.starts import Begin
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixed.levels import first_columns

__all__ = ["seeding"]

_LLOYD_STEPS = 10
_NUMBERS = 1 << 23  # of numbers and levels that k-means sees at once


def seeding(categories: Categories) -> Begin:
    """How EM begins from nothing, for `cold`: a start as `seeding.cold_start`, of coded rows."""

    def begin(
        rows: Rows, k: int, kind: CovarianceKind, added: Array, rng: np.random.Generator
    ) -> Parameters:
        coded = cast(CodedRows, rows)
        m = sum(categories.sizes)
        most = max(k, _NUMBERS // (rows.n_features + m))
        if len(rows) > most:
            coded = cast(CodedRows, rows.sample(most, rng))
        points = _points(coded, categories)
        centres = lloyd(points, kmeans_plus_plus(points, k, rng), _LLOYD_STEPS)
        label = np.concatenate([nearest(chunk, centres) for _, chunk, _ in points.chunks()])
        groups = _groups(coded, label, k, kind, m)
        start = group_parameters(groups, centres[:, : rows.n_features], kind, added)
        # As of the scatter, a group of few rows borrows from all.
        levels = cast(Array, groups.levels)
        borrowed = (rows.n_features + 1.0) * levels.sum(axis=0) / groups.weight.sum()
        return replace(start, levels=categories.probabilities(levels + borrowed))

    return begin


def _points(rows: CodedRows, categories: Categories) -> Rows:
    """Standardised numbers, then the levels, as rows of numbers alone."""
    d, m = rows.n_features, sum(categories.sizes)
    values = np.zeros((len(rows), d + m))
    for part, chunk, _ in rows.chunks():
        values[part, :d] = chunk
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    begins = first_columns(categories.sizes)
    for feature, column in enumerate(rows.codes.T):
        stop = begins[feature] + categories.sizes[feature]
        shares = np.bincount(column, weight, m)[begins[feature] : stop] / weight.sum()
        variance = 1 - np.square(shares).sum()
        # A feature that does not vary tells nothing apart.
        values[np.arange(len(rows)), d + column] = 1 / np.sqrt(variance) if variance > 0 else 0.0
    return Rows(values, rows.weight, np.zeros(d + m), np.ones(d + m))


def _groups(
    rows: CodedRows, label: NDArray[np.intp], k: int, kind: CovarianceKind, m: int
) -> Statistics:
    total = Statistics.nothing(k, rows.n_features, kind)
    levels = np.zeros((k, m))
    for part, chunk, weight in rows.chunks():
        shares = np.zeros((len(chunk), k))
        shares[np.arange(len(chunk)), label[part]] = weight
        total += Statistics.of(chunk, shares, kind)
        levels += level_weights(shares, rows.codes[part], m)
    return replace(total, levels=levels)
