"""Answers about many rows: the same as about few, in the memory of a chunk."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from mixtures import KINDS, random_mixture, random_rows

from gmm_core.evaluation import in_chunks

METHODS = ("log_joint", "log_prob", "log_responsibilities", "responsibilities", "component")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_chunks_do_not_matter(kind, method, monkeypatch):
    mixture, X = random_mixture(1, 3, 2, kind), random_rows(2, 100, 2)
    whole = getattr(mixture, method)(X)
    for size in (1, 33, 50, 99, 100, 101):
        monkeypatch.setattr("gmm_core.evaluation._CHUNK", size)
        answer = getattr(mixture, method)(X)
        assert answer.dtype == whole.dtype
        np.testing.assert_allclose(answer, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_no_rows_are_no_answers(method):
    answer = getattr(random_mixture(1, 3, 2), method)(np.empty((0, 2)))
    assert len(answer) == 0


def test_the_answer_is_asked_for_rows_in_float64():
    seen = []
    in_chunks(np.ones((3, 2), np.float32), lambda part: seen.append(part.dtype) or part)
    assert seen == [np.float64]


@pytest.mark.parametrize("method", ["log_prob", "component"])
def test_the_memory_is_that_of_a_chunk(method):
    mixture, X = random_mixture(1, 100, 2), random_rows(1, 40_000, 2).astype(np.float32)
    getattr(mixture, method)(X[:10])
    tracemalloc.start()
    getattr(mixture, method)(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * len(X) * 100 * 8
