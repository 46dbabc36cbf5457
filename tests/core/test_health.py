"""Health: measures against their definitions, tallies that add up, comparisons that keep their promise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import random_mixture, random_rows, random_summary, seeds

from gmm_core.drift.comparison import Difference, difference
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.health.catalogue import CATALOGUE
from gmm_core.health.changes import block_measures, component_moves, likelihood_scale, move_measures
from gmm_core.health.checklists import CHECKLISTS
from gmm_core.health.days import day_effects, day_measures
from gmm_core.health.findings import findings
from gmm_core.health.scores import Scores
from gmm_core.health.shape import shape, silhouette
from gmm_core.health.tally import EDGES, Tally, expected_tally, tally_of
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.moments import Moments

FEATURES = [Feature("x0"), Feature("x1")]


def model_of(mixture, above=0.99, ids=()):
    return DensityModel.build("made", FEATURES, mixture, above, component_ids=ids)


MODEL, OTHER = model_of(random_mixture(3, 3, 2)), model_of(random_mixture(4, 2, 2))


@pytest.fixture
def model():
    return MODEL


@given(seeds, st.integers(2, 5))
def test_silhouette_is_scikit_learns(seed, groups):
    from sklearn.metrics import silhouette_score

    rows = random_rows(seed, 60, 2, groups)
    labels = np.random.default_rng(seed).integers(0, groups, 60)
    labels[:groups] = np.arange(groups)
    assert silhouette(rows, labels) == pytest.approx(
        silhouette_score(rows, labels, metric="sqeuclidean"), abs=1e-10
    )


@given(seeds, st.integers(1, 4))
def test_the_shape_has_no_unit(seed, k):
    mixture = random_mixture(seed, k, 2)
    scale = np.array([100.0, 0.25])
    other = Mixture(
        mixture.weights, mixture.means * scale, mixture.covariances * np.outer(scale, scale)
    )
    mine, theirs = shape(mixture, 500, 256), shape(other, 500, 256)
    assert mine.pop("worst_condition_number") > 0
    theirs.pop("worst_condition_number")
    assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    assert mine.keys() <= CATALOGUE.keys()
    assert 0 <= mine["responsibility_entropy"] <= 1
    assert 0 < mine["within_component_share"] <= 1 + 1e-12


def test_the_share_within_components_is_one_less_that_between_them():
    mixture = Mixture([0.5, 0.5], [[0.0], [8.0]], [4.0, 4.0], "spherical")
    assert shape(mixture, 10)["within_component_share"] == pytest.approx(4 / 20)


def test_effective_rows_are_kishs_of_the_rows():
    mixture = random_mixture(4, 3, 2)
    rows = mixture.sample(5_000, 1)
    exact = mixture.effective_sample_sizes(rows).min()
    assert shape(mixture, 5_000)["smallest_effective_rows"] == pytest.approx(exact, rel=0.1)


def test_a_block_has_its_measures():
    summary = random_summary(0)
    found = block_measures(summary)
    assert found["log_likelihood"] == summary.fit.log_likelihood
    assert {one.metric for one in findings(found, "fit")} == found.keys()
    weight = found["largest_weight"]
    assert weight == summary.mixture.weights.max()


def test_moves_are_by_id_and_in_the_components_own_spread():
    before = Mixture([0.5, 0.5], [[0.0, 0.0], [9.0, 0.0]], [4.0, 1.0], "spherical")
    now = Mixture([0.2, 0.8], [[30.0, 0.0], [3.0, 0.0]], [1.0, 1.0], "spherical")
    moves = component_moves(model_of(before, ids=(7, 8)), model_of(now, ids=(9, 7)))
    assert [(m.component_id, m.distance, m.before, m.now) for m in moves] == [
        (7, pytest.approx(1.5), 0.5, 0.8), (8, None, 0.5, 0.0), (9, None, 0.0, 0.2),
    ]  # fmt: skip
    assert move_measures(moves) == {
        "components_born": 1, "components_died": 1, "component_stability": 0.5,
        "centroid_drift": pytest.approx(1.5), "largest_centroid_move": pytest.approx(1.5),
    }  # fmt: skip


@given(seeds, st.integers(1, 119))
def test_parts_add_up(seed, cut):
    models = [MODEL, OTHER]
    rows = random_rows(seed, 120, 2)
    labels = np.random.default_rng(seed).random(120) < 0.3

    def of(part):
        return Scores.of(models, {"x0": rows[part, 0], "x1": rows[part, 1]}, labels[part])

    whole, sum_ = of(slice(None)), of(slice(cut)) + of(slice(cut, None)) + Scores.empty(2)
    assert whole.tallies == sum_.tallies
    np.testing.assert_allclose(whole.log_prob.mean, sum_.log_prob.mean, rtol=1e-9)
    np.testing.assert_allclose(whole.log_prob.scatter, sum_.log_prob.scatter, rtol=1e-6, atol=1e-6)
    again = Scores.from_dict(whole.to_dict())
    assert again.tallies == whole.tallies
    assert again.log_prob == whole.log_prob


def test_a_tally_counts_what_plain_counting_counts(model):
    rows = random_rows(1, 500, 2)
    logs = model.mixture.log_prob(rows)
    labels = np.random.default_rng(0).random(500) < 0.2
    found = tally_of(model, rows, np.append(logs[:-1], -np.inf), labels)
    scores, true = model.tail.score(logs[:-1]), labels[:-1]
    anomaly = scores > model.anomaly_above
    assert found.not_finite == 1
    assert found.rows == 499
    assert found.anomalies == anomaly.sum()
    assert found.confusion.tolist() == [
        (anomaly & true).sum(), (anomaly & ~true).sum(),
        (~anomaly & true).sum(), (~anomaly & ~true).sum(),
    ]  # fmt: skip
    assert found.calibration_error() == pytest.approx(
        max(abs((scores < edge).mean() - edge) for edge in EDGES[1:]), abs=1 / 499
    )
    nearest = model.mixture.component(rows[:-1])
    sds = model.mixture.standard_deviations()[nearest]
    distance = np.sqrt((((rows[:-1] - model.mixture.means[nearest]) / sds) ** 2).mean(axis=1))
    inside = distance[distance < 6]
    assert found.distance_quantile(0.5) == pytest.approx(np.median(distance), abs=0.06)
    assert len(inside) == found.distances[:-1].sum()
    measures = found.measures()
    assert measures["anomaly_recall"] == (anomaly & true).sum() / true.sum()
    assert measures["not_finite_rows"] == 1


def test_a_model_is_calibrated_on_its_own_rows_and_not_on_others(model):
    tally, mean = expected_tally(model)
    assert tally.calibration_error() < 0.03
    assert tally.anomalies / tally.rows == pytest.approx(1 - model.anomaly_above, abs=0.01)
    assert mean == pytest.approx(
        model.mixture.log_prob(model.mixture.sample(9_000, 5)).mean(), abs=0.1
    )
    rows = model.mixture.sample(500, 1) * 1.5
    assert tally_of(model, rows, model.mixture.log_prob(rows)).calibration_error() > 0.1
    assert "anomaly_precision" not in Tally.empty().measures()


@given(seeds, st.floats(-0.2, 0.2))
def test_a_difference_is_that_of_the_rows(seed, shift):
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 3, 50)
    b = a + rng.normal(shift, 0.1, 50)
    found = difference(Moments.of(np.column_stack([b, a])))
    assert found.mean == pytest.approx((b - a).mean(), abs=1e-12)
    assert found.error == pytest.approx((b - a).std(ddof=1) / math.sqrt(50), rel=1e-6)
    assert found.error < 0.1 < a.std() / math.sqrt(50)


def test_not_worse_is_said_wrongly_no_more_often_than_promised():
    """At the margin itself, the worst case: 5 % of 2,000 samples, within four standard errors."""
    rng = np.random.default_rng(0)
    rows = rng.normal(-0.05, 1.0, (2_000, 100))
    wrong = sum(
        Difference(100, float(row.mean()), float(row.std(ddof=1) / 10)).verdict(0.05)
        in ("not worse", "better")
        for row in rows
    )
    assert wrong / 2_000 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2_000)


def test_verdicts():
    assert Difference(9, 0.0, 0.0).verdict(0.0) == "not worse"
    assert Difference(9, 0.1, 0.01).verdict(0.05) == "better"
    assert Difference(9, -0.1, 0.01).verdict(0.05) == "worse"
    assert Difference(9, -0.1, 1.0).verdict(0.05) == "unclear"
    assert difference(Moments.of([[1.0, 0.0]])).verdict(0.05) == "unclear"
    with pytest.raises(InvalidInput):
        Difference(9, 0, 1).verdict(-1)
    with pytest.raises(InvalidInput):
        difference(Moments.empty(2))


def test_findings_are_judged_by_threshold_and_stage():
    found = {one.metric: one for one in findings({"silhouette": 0.1, "iterations": 3}, "merge")}
    assert found["silhouette"].ok is False
    assert found["iterations"].ok is None
    [block] = findings({"silhouette": 0.1}, "fit")
    assert block.ok is None
    [other] = findings({"silhouette": 0.1}, "merge", {"silhouette": None})
    assert other.ok is None
    [nan] = findings({"largest_weight": math.nan}, "fit")
    assert nan.ok is False
    with pytest.raises(InvalidInput, match="silhouettes"):
        list(findings({"silhouettes": 1}, "fit"))


def test_a_measure_of_a_feature_is_judged_as_the_measure():
    values = {"feature_drift_score/b": 0.0, "feature_drift_score/a": 1.0}
    found = list(findings({"drifting": 0, **values}, "drift", None, {"feature_drift_score": 0.5}))
    assert [(one.metric, one.ok) for one in found] == [
        ("feature_drift_score/b", True), ("feature_drift_score/a", False), ("drifting", True),
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="feature_drift"):
        list(findings({"feature_drift/a": 1.0}, "drift"))


@given(st.integers(0, 10_000), st.integers(2, 9))
def test_day_effects_are_the_analysis_of_variance(seed, k):
    """Against sums over the rows themselves; and no effect where days are shares of the same rows."""
    rng = np.random.default_rng(seed)
    days = [rng.normal(rng.normal(0, 0.5), 1, (n, 1)) for n in rng.integers(3, 40, k)]
    n, whole = sum(map(len, days)), np.concatenate(days).mean()
    between = sum(len(day) * (day.mean() - whole) ** 2 for day in days) / (k - 1)
    within = sum(((day - day.mean()) ** 2).sum() for day in days) / (n - k)
    size = (n - sum(len(day) ** 2 for day in days) / n) / (k - 1)
    share = max((between - within) / (between + (size - 1) * within), 0)
    shares, rows = day_effects([Moments.of(day) for day in days])
    assert shares[0] == pytest.approx(share, rel=1e-9, abs=1e-12)
    assert rows[0] == pytest.approx(size / (1 + (size - 1) * share), rel=1e-9)
    again, worth = day_effects([Moments.of(days[0])] * k)
    assert (again[0], worth[0]) == (0, len(days[0]))


def test_few_days_have_no_effect():
    day = Moments.of([[1.0], [2.0]])
    assert day_measures([day]) == {}
    with pytest.raises(InvalidInput, match="two or more"):
        day_effects([day])


def test_a_change_of_likelihood_is_a_share_of_so_many_standard_normals():
    one = Mixture([1.0], [[0.0, 0.0]], [1.0], "spherical")
    assert likelihood_scale(2) == pytest.approx(-one.log_prob(one.sample(40_000)).mean(), rel=0.02)


def test_the_page_of_measures_says_all_of_them():
    """docs/metrics.md has every row of the checklists, with these measures, and every measure."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
    lines = {
        line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")
    }
    for row, names in CHECKLISTS.items():
        assert row in lines, f"{row} is missing"
        said = [cell for cell in lines[row].split("`") if cell in CATALOGUE]
        assert sorted(said) == sorted(set(names)), f"{row} names {said}"
        assert names or "not measured" in lines[row], f"{row}: say why not"
    for name, measure in CATALOGUE.items():
        line = lines.get(f"`{name}`", "")
        assert measure.says in line, f"{name} is missing, or says something else"
        for bound in (measure.at_least, measure.at_most):
            assert bound is None or f"{bound:g}" in line, f"{name}: threshold {bound}"
    assert {
        kind: sum(row.startswith(f"{kind} ") for row in CHECKLISTS) for kind in ("GMM", "KM", "ML")
    } == {"GMM": 19, "KM": 18, "ML": 16}
