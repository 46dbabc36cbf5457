"""The compiled kernel on several threads: the same outcome, errors told, processes that fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from esteps import random_estep, same_bits
from mixtures import KINDS

from gmm_core.fitting import compiled
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.gaussian import kind_of

both_types = pytest.mark.parametrize("dtype", [np.float64, np.float32])
every_kind = pytest.mark.parametrize("kind", KINDS)


@both_types
@every_kind
def test_threads_do_not_matter_at_all_and_spans_to_rounding(kind, dtype, monkeypatch):
    rows, joint = random_estep(5, kind, n=3_000, d=4, k=3, dtype=dtype, weights="random")
    one_span = compiled_kernel(rows, joint, kind_of(kind))
    monkeypatch.setattr("gmm_core.fitting.compiled._SPAN", 100)
    outcomes = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr("gmm_core.fitting.threads._threads", lambda threads=threads: threads)
        outcomes.append(compiled_kernel(rows, joint, kind_of(kind)))
    assert all(same_bits(outcome, outcomes[0]) for outcome in outcomes)
    assert not same_bits(one_span, outcomes[0]) or dtype == np.float64
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    assert outcomes[0].log_likelihood == pytest.approx(one_span.log_likelihood, rel=tolerance)
    for name in ("weight", "mean", "scatter"):
        np.testing.assert_allclose(
            getattr(outcomes[0], name), getattr(one_span, name), rtol=tolerance, atol=tolerance
        )


def test_a_fit_is_the_same_with_any_number_of_threads():
    program = """
from mixtures import random_rows
from gmm_core.em import fit
print(fit(random_rows(1, 40_000, 3), 3, kernel="compiled", max_iter=5).mixture.content_hash())
"""
    here = os.path.dirname(sys.modules["mixtures"].__file__)
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": here, "NUMBA_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(hashes) == 1


def test_a_forked_process_has_threads_of_its_own():
    """What it inherits are the parent's threads by name alone: waiting for them would never end."""
    program = """
import os, numpy as np
from gmm_core.fitting import threads
from gmm_core.em import fit
threads._threads = lambda: 3
X = np.random.default_rng(1).normal(size=(20_000, 2))
before = fit(X, 2, kernel="compiled", max_iter=2).log_likelihood
child = os.fork()
if not child:
    os._exit(fit(X, 2, kernel="compiled", max_iter=2).log_likelihood != before)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "0"


def test_what_fails_on_a_thread_is_told(monkeypatch):
    """Also when it is not the one that asked."""
    rows, joint = random_estep(5, "full", n=400, d=2, k=2)
    failed, given_ = threading.Event(), compiled._given

    def failing(*arguments):
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(30)
        return given_(*arguments)

    monkeypatch.setattr("gmm_core.fitting.compiled._SPAN", 100)
    monkeypatch.setattr("gmm_core.fitting.threads._threads", lambda: 2)
    monkeypatch.setattr("gmm_core.fitting.compiled._given", failing)
    with pytest.raises(ZeroDivisionError):
        compiled_kernel(rows, joint, kind_of("full"))
