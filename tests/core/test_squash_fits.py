"""Fits on cells beside fits on the rows: the same optimum, a bound that holds, exact moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmm_core.block import fit_block
from gmm_core.em import fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.features import Feature
from gmm_core.invariants import block_laws, violations
from gmm_core.mixture import Mixture
from gmm_core.squashing.blocks import fit_block_cells
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.distances import energy_distance, js_divergence, ks_distance
from gmm_core.squashing.fits import cell_log_likelihood, fit_cells, fit_cells_bayesian
from gmm_core.squashing.grid import Grid
from gmm_core.squashing.laws import column_laws
from gmm_core.squashing.strata import strata_of
from gmm_core.variational.fit import fit_bayesian

ROWS = 20_000


def _of_two(rng, apart):
    return np.concatenate([rng.normal(size=ROWS // 2), apart + rng.normal(size=ROWS // 2)])


COLUMNS = {
    "overlapping": lambda rng: _of_two(rng, 2.5),
    "far from zero": lambda rng: _of_two(rng, 3.0) + 1e8,
    "heavy tails": lambda rng: rng.standard_t(1.5, ROWS),
    "spikes": lambda rng: np.where(rng.random(ROWS) < 0.3, 0.0, rng.normal(0.5, 1, ROWS)),
    "wide": lambda rng: np.concatenate([_of_two(rng, 3.0)[::2], 1e6 + _of_two(rng, 4.0)[::2]]),
    "skew": lambda rng: np.exp(1.5 * rng.normal(size=ROWS)),
    "narrow in wide": lambda rng: _of_two(rng, 0.0) * np.repeat([1e-3, 50.0], ROWS // 2),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_the_fit_is_that_of_the_rows_to_a_millionth(name):
    rng = np.random.default_rng(5)
    x = rng.permutation(COLUMNS[name](rng))
    cells = Cells.of(x, Grid.of_sample(x[: ROWS // 2]))
    assert len(cells) < 12_000
    spread = np.quantile(x, [0.1, 0.9])
    settings = {"reg_covar": 1e-9 * (spread[1] - spread[0]) ** 2, "tol": 1e-9, "max_iter": 150}
    if name == "spikes":
        settings["reg_covar"] = 1e-4
    start = fit(x[:3_000, None], 3, reg_covar=settings["reg_covar"], max_iter=5).mixture
    rows = fit(x[:, None], 3, start=start, **settings)
    ours = fit_cells(cells, 3, start=start, **settings)
    own = float(ours.mixture.log_prob(x[:, None]).mean())
    assert abs(own - rows.log_likelihood) <= 1e-6 * max(1.0, abs(own))
    assert (np.diff(ours.trace) >= -1e-12 * (1 + np.abs(own))).all()
    bound, lost = cell_log_likelihood(cells, ours.mixture)
    assert bound == pytest.approx(ours.log_likelihood, abs=1e-12 * (1 + abs(own)))
    slack = 1e-11 * (1 + np.abs(x).max() / np.sqrt(settings["reg_covar"]))
    assert -slack <= own - bound <= 1.1 * lost + slack
    assert lost <= 1e-5


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from(["numpy", "compiled"]))
def test_wide_cells_still_bound_the_likelihood_and_keep_the_moments(seed, k, kernel):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=400) * rng.choice([0.3, 2.0], 400) + rng.choice([0.0, 5.0], 400)
    cells = Cells.of(x, Grid.scale_free(bits=4))
    try:
        ours = fit_cells(cells, k, reg_covar=0, tol=0, max_iter=15, kernel=kernel)
    except FitFailed:  # components on too few cells
        return
    assert (np.diff(ours.trace) >= -1e-12 * (1 + np.abs(ours.trace[:-1]))).all()
    own = float(ours.mixture.log_prob(x[:, None]).mean())
    assert own >= ours.log_likelihood - 1e-12 * (1 + abs(own))
    assert ours.mixture.mean()[0] == pytest.approx(x.mean(), abs=1e-12)
    assert ours.mixture.covariance()[0, 0] == pytest.approx(x.var(), rel=1e-11)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_cells_of_equal_values_are_weighted_rows(kind, kernel):
    x = np.random.default_rng(3).poisson(6, 3_000).astype(float)
    cells = Cells.of(x, Grid.of_sample(x))
    settings = {"covariance_type": kind, "max_iter": 20, "tol": 0, "kernel": kernel}
    start = Mixture([0.5, 0.5], [[4.0], [8.0]], [[2.0], [2.0]], "diag").as_type(kind)
    ours = fit_cells(cells, 2, start=start, **settings)
    rows = fit(x[:, None], 2, start=start, **settings)
    np.testing.assert_allclose(ours.trace, rows.trace, rtol=1e-12)
    np.testing.assert_allclose(ours.mixture.covariances, rows.mixture.covariances, rtol=1e-10)


@pytest.mark.parametrize("name", ["overlapping", "far from zero", "skew"])
def test_the_variational_fit_is_that_of_the_rows(name):
    rng = np.random.default_rng(6)
    x = rng.permutation(COLUMNS[name](rng))
    cells = Cells.of(x, Grid.of_sample(x))
    start = fit(x[:3_000, None], 4, max_iter=5, reg_covar=1e-3).mixture
    settings = {"start": start, "reg_covar": 1e-6, "tol": 0, "max_iter": 40}
    ours, rows = fit_cells_bayesian(cells, 4, **settings), fit_bayesian(x[:, None], 4, **settings)
    own, theirs = (float(f.mixture.log_prob(x[:, None]).mean()) for f in (ours, rows))
    assert own == pytest.approx(theirs, rel=1e-6)
    assert ours.lower_bound == pytest.approx(rows.lower_bound, rel=1e-5)
    assert (np.diff(ours.trace) >= -1e-9 * abs(ours.lower_bound)).all()


def test_a_block_from_cells_is_a_block_and_keeps_its_laws():
    x = np.exp(COLUMNS["overlapping"](np.random.default_rng(1)))
    feature = Feature("x", "log")
    logs = feature.forward(x)
    cells = Cells.of(logs, Grid.of_sample(logs))
    settings = {"k": 3, "restarts": 2, "tolerance": 1e-8, "max_iterations": 500}
    ours = fit_block_cells("s", "2024-01-01", feature, cells, **settings)
    rows = fit_block("s", "2024-01-01", [feature], logs[:, None], **settings)
    assert violations(block_laws(ours, condition_number=1e8, maximum_weight=1.0)) == []
    assert ours.fit.log_likelihood == pytest.approx(rows.fit.log_likelihood, abs=1e-5)
    assert (ours.rows, ours.minimum[0], ours.maximum[0]) == (ROWS, logs.min(), logs.max())
    bad = cells + Cells.of([np.nan], cells.grid)
    with pytest.raises(InvalidInput, match="has 1 bad values"):
        fit_block_cells("s", "2024-01-01", feature, bad, k=2)
    with pytest.raises(FitFailed, match="'x' is constant"):
        fit_block_cells("s", "k", feature, Cells.of([2.0, 2.0], cells.grid), k=1)


def test_distances_are_those_of_the_rows():
    rng = np.random.default_rng(7)
    x = np.sort(_of_two(rng, 4.0))
    cells = Cells.of(x, Grid.of_sample(x))
    made = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
    moved = Mixture([0.5, 0.5], [[0.2], [4.2]], [1.0, 1.0], "spherical")
    steps = np.arange(ROWS + 1) / ROWS
    for mixture in (made, moved):
        cdf = mixture.cdf(x)
        ks = max((cdf - steps[:-1]).max(), (steps[1:] - cdf).max())
        got = ks_distance(cells, mixture)
        assert ks - cells.weight.max() / ROWS <= got <= ks + 1e-12
        middle = np.linspace(x[0], x[-1], 200_001)
        away = np.searchsorted(x, middle, side="right") / ROWS - mixture.cdf(middle)
        slow = 2 * np.trapezoid(away**2, middle) / x.std()
        assert energy_distance(cells, mixture) == pytest.approx(slow, rel=0.02)
    assert js_divergence(cells, made) < 10 * 63 / (8 * ROWS) < js_divergence(cells, moved)


def test_laws_hold_for_a_good_fit_and_name_what_a_bad_one_breaks():
    x = COLUMNS["overlapping"](np.random.default_rng(8))
    cells = Cells.of(x, Grid.of_sample(x))
    good = fit_cells(cells, 2, reg_covar=0, tol=1e-8, max_iter=500).mixture
    assert violations(column_laws(cells, good, rows=ROWS)) == []
    bad = Mixture([0.5, 0.5], [[-30.0], [2.0]], [1.0, 1.0], "spherical")
    names = {law.name for law in violations(column_laws(cells, bad, rows=ROWS + 1))}
    assert names >= {"mean_preserved", "means_inside_range", "ks_distance", "no_row_lost"}
    coarse = Cells.of(x, Grid.scale_free(bits=2))
    assert [law.name for law in violations(column_laws(coarse, good))][-1] == "likelihood_lost"


@given(st.integers(0, 2**32 - 1), st.sampled_from(["heavy tails", "spikes", "skew"]))
def test_a_stratified_sample_sees_the_tails_and_counts_them_once(seed, name):
    rng = np.random.default_rng(seed)
    x = COLUMNS[name](rng)
    strata = strata_of(Cells.of(x, Grid.of_sample(x)), 2_000)
    p = strata.probabilities(x)
    assert ((p > 0) & (p <= 1)).all()
    assert p.sum() == pytest.approx(min(2_000, p.sum()), rel=0.01), "as many as asked for, at most"
    rare = np.argsort(x)[:40]
    assert p[rare].mean() > 0.9, "the outermost are nearly all drawn"
    drawn = rng.random(ROWS) < p
    total = (1 / p[drawn]).sum()
    assert abs(total - ROWS) <= 5 * np.sqrt(((1 - p) / p).sum())


@pytest.mark.parametrize("bad", [{"strata": 3}, {"rows": 3}])
def test_strata_that_make_no_sense(bad):
    cells = Cells.of(np.arange(100.0), Grid.scale_free())
    with pytest.raises(InvalidInput):
        strata_of(cells, **({"rows": 50, "strata": 4} | bad))


def test_variances_within_rows_are_checked():
    with pytest.raises(InvalidInput, match="within"):
        fit([[1.0], [2.0]], 1, within=[-1.0, 0.0])
    with pytest.raises(InvalidInput, match="one feature"):
        fit([[1.0, 1.0], [2.0, 3.0]], 1, within=[0.0, 0.0])
    with pytest.raises(InvalidInput, match="no rows in any cell"):
        fit_cells(Cells.of([np.nan], Grid.scale_free()), 1)
