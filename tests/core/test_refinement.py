"""Refinement: what each move never loses, what the guard refuses, and what nothing depends on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import (
    OWN_KINDS,
    assert_same_mixture,
    own_kinds,
    permuted,
    random_mixture,
    seeds,
    units,
)

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.reduction import reduce
from gmm_core.refinement.exact import with_unit_moments
from gmm_core.refinement.guard import Gain, Guard
from gmm_core.refinement.hard import harden
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import log_density, nearest, shared
from gmm_core.refinement.points import crosses, drawn
from gmm_core.refinement.soft import soften
from gmm_core.refinement.units import Units
from gmm_core.refinement.window import refine, seed_of
from gmm_core.strategy import DEFAULT, PRESETS, Strategy, strategy_of

MOVES = {
    "soft": Strategy(refine="soft", polish_points=0, guard_errors=0.0),
    "hard": Strategy(refine="hard", polish_points=0, guard_errors=0.0),
    "polish": Strategy(refine="none", polish_points=400, guard_errors=0.0),
    "points": Strategy(refine="none", polish_points=400, polish_width=0.0, guard_errors=0.0),
    "default": DEFAULT,
}
moves = st.sampled_from(sorted(MOVES))
sizes = st.integers(2, 5)
few = settings(max_examples=25)


def parts_of(mixture: Mixture) -> Parts:
    full = mixture.covariance_type == "full"
    return Parts(mixture.weights, mixture.means, mixture.covariances, full)


def model_of(mixture: Mixture) -> Model:
    return Model(mixture.weights, mixture.means, mixture.covariances)


def covariance_of(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """By the definition, one component at a time; covariances may be variances."""
    mean = weights @ means
    total = np.zeros((means.shape[1],) * 2)
    for weight, place, own in zip(weights, means, covariances, strict=True):
        own = np.diag(own) if own.ndim == 1 else own
        total += weight * (own + np.outer(place - mean, place - mean))
    return total


def expected_by_definition(part: tuple, weight: float, mean: np.ndarray, S: np.ndarray) -> float:
    """log weight + E log N(x; mean, S) over the Gaussian (mean, covariance) `part`."""
    m, P = (np.asarray(x) for x in part)
    S, P = (np.diag(x) if x.ndim == 1 else x for x in (S, P))
    inverse = np.linalg.inv(S)
    squared = (m - mean) @ inverse @ (m - mean) + np.trace(inverse @ P)
    return np.log(weight) - 0.5 * (squared + np.linalg.slogdet(2 * np.pi * S)[1])


@few
@given(seeds, own_kinds, moves, st.integers(1, 4), st.sampled_from([0.0, 1e3]))
def test_every_strategy_keeps_mean_and_covariance(seed, kind, name, k, offset):
    pooled = random_mixture(seed, 12, 3, kind)
    pooled = dataclasses.replace(pooled, means=pooled.means + offset)
    refined = refine(pooled, reduce(pooled, k, criterion="hotelling"), MOVES[name], seed=seed)
    assert refined.n_components == k
    assert refined.covariance_type == kind
    want, got = pooled.covariance(), refined.covariance()
    sd = np.sqrt(np.diagonal(want))
    assert np.abs((refined.mean() - pooled.mean()) / sd).max() < 1e-10
    off = np.abs(got - want) / np.outer(sd, sd)
    assert (off if kind == "full" else np.diagonal(off)).max() < 1e-10


@few
@given(seeds, own_kinds, moves, sizes)
def test_units_and_offsets_do_not_matter(seed, kind, name, k):
    pooled, scale = random_mixture(seed, 12, 2, kind), units(kind, 1e4)
    shape = np.outer(scale, scale) if kind == "full" else np.square(scale)
    moved = Mixture(pooled.weights, pooled.means * scale, pooled.covariances * shape, kind)
    a = refine(pooled, reduce(pooled, k, criterion="runnalls"), MOVES[name], seed=3)
    b = refine(moved, reduce(moved, k, criterion="runnalls"), MOVES[name], seed=3)
    back = Mixture(b.weights, b.means / scale, b.covariances / shape, kind)
    assert_same_mixture(back, a, rtol=1e-5, atol=1e-7)


@few
@given(seeds, own_kinds, st.sampled_from(["soft", "hard"]), sizes)
def test_the_order_of_pooled_components_does_not_matter_to_moves_on_them(seed, kind, name, k):
    pooled = random_mixture(seed, 12, 2, kind)
    reduced = reduce(pooled, k)
    a = refine(pooled, reduced, dataclasses.replace(MOVES[name], guard_points=1), seed=1)
    parts = [parts_of(one) for one in (pooled, permuted(pooled, seed))]
    start = model_of(reduced)
    for one, other in [[harden(p, start, steps=20).model for p in parts],
                       [soften(p, start, steps=20, tol=0).model for p in parts]]:  # fmt: skip
        np.testing.assert_allclose(one.means, other.means, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-6, atol=1e-9)
    assert a == refine(pooled, reduced, dataclasses.replace(MOVES[name], guard_points=1), seed=1)


@few
@given(seeds, own_kinds, sizes)
def test_soft_refinement_never_lowers_its_expected_log_likelihood(seed, kind, k):
    pooled = random_mixture(seed, 15, 2, kind)
    parts, start = parts_of(pooled), model_of(random_mixture(seed + 1, k, 2, kind))
    softened = soften(parts, start, steps=30, tol=0.0)
    assert (np.diff(softened.trace) >= -1e-9).all()
    assert softened.trace[0] == pytest.approx(shared(parts, start)[1])
    assert softened.trace[-1] == pytest.approx(shared(parts, softened.model)[1])


@few
@given(seeds, own_kinds, sizes)
def test_hard_refinement_never_raises_its_cost_and_keeps_all_components(seed, kind, k):
    pooled = random_mixture(seed, 15, 2, kind)
    start = model_of(random_mixture(seed + 1, k, 2, kind))
    hardened = harden(parts_of(pooled), start, steps=50)
    assert (np.diff(hardened.trace) <= 1e-9).all()
    assert len(hardened.model.weights) == k
    assert (hardened.model.weights > 0).all()


def test_hard_refinement_gives_a_group_that_nothing_is_near_the_dearest_part():
    pooled = random_mixture(4, 10, 2)
    far = Mixture([0.5, 0.5], [[0.0, 0.0], [1e6, 0.0]], [20 * np.eye(2), np.eye(2)])
    hardened = harden(parts_of(pooled), model_of(far), steps=50)
    assert (np.diff(hardened.trace) <= 1e-9).all()
    assert np.abs(hardened.model.means).max() < 100


@few
@given(seeds, own_kinds)
def test_the_steps_are_those_of_the_definition(seed, kind):
    """One soft step and one hard cost, computed one part and one component at a time."""
    pooled, start = random_mixture(seed, 6, 2, kind), random_mixture(seed + 1, 2, 2, kind)
    parts = parts_of(pooled)
    joint = np.array(
        [
            [
                expected_by_definition(part, w, m, S)
                for part in zip(pooled.means, pooled.covariances, strict=True)
            ]
            for w, m, S in zip(start.weights, start.means, start.covariances, strict=True)
        ]
    )
    want = pooled.weights @ np.logaddexp.reduce(joint, axis=0)
    assert shared(parts, model_of(start))[1] == pytest.approx(want, rel=1e-9)
    cost = -pooled.weights @ (joint - np.log(start.weights)[:, None]).max(axis=0)
    assert harden(parts, model_of(start), steps=1).trace[0] == pytest.approx(cost, rel=1e-9)
    shares = np.exp(joint - np.logaddexp.reduce(joint, axis=0)) * pooled.weights
    moved = parts.merged(shared(parts, model_of(start))[0])
    for index, share in enumerate(shares):
        weight = share.sum()
        assert moved.weights[index] == pytest.approx(weight, rel=1e-9)
        np.testing.assert_allclose(moved.means[index], share @ pooled.means / weight, atol=1e-9)
        own = covariance_of(share / weight, pooled.means, pooled.covariances)
        got = moved.covariances[index]
        np.testing.assert_allclose(got, own if kind == "full" else np.diag(own), atol=1e-8)


@few
@given(seeds, own_kinds, st.integers(1, 40), st.integers(1, 5), st.integers(1, 4))
def test_compiled_passes_are_those_in_numpy(seed, kind, most, k, d):
    pooled = model_of(random_mixture(seed, 9, d, kind))
    model = model_of(random_mixture(seed + 1, k, d, kind))
    drawn_, crossed = (drawn(pooled, most, np.random.default_rng(seed)),
                       crosses(pooled, 2 * most, 0.1, np.random.default_rng(seed)))  # fmt: skip
    half = crossed.some(np.arange(len(crossed)) % 2 == 0)
    for plain in (drawn_, crossed, half):
        quick = dataclasses.replace(plain, compiled=True)
        np.testing.assert_allclose(
            log_density(quick, model), log_density(plain, model), rtol=1e-11, atol=1e-11
        )
        for mine, theirs in zip(shared(quick, model), shared(plain, model), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)
        (places, best), (want, most_likely) = nearest(quick, model), nearest(plain, model)
        assert (places == want).all()
        np.testing.assert_allclose(best, most_likely, rtol=1e-11, atol=1e-11)


@few
@given(seeds, own_kinds, st.sampled_from([0.0, 0.1, 0.9]), st.integers(0, 200))
def test_crosses_have_the_moments_of_what_they_stand_for(seed, kind, width, most):
    pooled = random_mixture(seed, 8, 3, kind)
    parts = crosses(model_of(pooled), most, width, np.random.default_rng(seed))
    assert len(parts) <= max(most, 8)
    assert parts.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(parts.weights @ parts.means, pooled.mean(), atol=1e-10)
    got = covariance_of(parts.weights, parts.means, parts.covariances[parts.owner])
    want = pooled.covariance()
    if kind == "diag":
        got, want = np.diagonal(got), np.diagonal(want)
    np.testing.assert_allclose(got, want, atol=1e-9)


def test_drawn_points_are_those_of_the_mixture():
    for kind in OWN_KINDS:
        pooled = random_mixture(1, 4, 2, kind)
        points = drawn(model_of(pooled), 20_000, np.random.default_rng(0))
        assert points.covariances is None
        np.testing.assert_allclose(points.weights @ points.means, pooled.mean(), atol=0.1)
        got = np.cov(points.means.T, aweights=points.weights, ddof=0)
        want = covariance_of(pooled.weights, pooled.means, pooled.covariances)
        np.testing.assert_allclose(np.diagonal(got), np.diagonal(want), rtol=0.05)


@few
@given(seeds, own_kinds)
def test_an_affine_map_gives_exact_moments(seed, kind):
    mapped = with_unit_moments(model_of(random_mixture(seed, 4, 3, kind)))
    got = covariance_of(mapped.weights, mapped.means, mapped.covariances)
    np.testing.assert_allclose(mapped.weights @ mapped.means, 0, atol=1e-12)
    want = np.eye(3)
    if kind == "diag":
        got, want = np.diagonal(got), np.diagonal(want)
    np.testing.assert_allclose(got, want, atol=1e-11)


@few
@given(seeds, own_kinds, moves)
def test_what_a_few_components_repeat_is_recovered_exactly(seed, kind, name):
    few = random_mixture(seed, 3, 2, kind, spread=12.0)
    copies = 4
    pooled = Mixture(
        np.tile(few.weights / copies, copies),
        np.tile(few.means, (copies, 1)),
        np.tile(few.covariances, (copies,) + (1,) * (few.covariances.ndim - 1)),
        kind,
    )
    reduced = reduce(pooled, 3, criterion="runnalls")
    refined = refine(pooled, reduced, dataclasses.replace(MOVES[name], guard_errors=2.0), seed=1)
    order = np.lexsort(few.means.T[::-1])
    np.testing.assert_allclose(refined.means, few.means[order], atol=0.2)
    if name in ("hard", "default"):
        np.testing.assert_allclose(refined.means, few.means[order], atol=1e-6)
        np.testing.assert_allclose(refined.weights, few.weights[order], atol=1e-7)


def test_the_guard_refuses_a_worse_mixture():
    pooled = random_mixture(1, 12, 2)
    units_ = Units.of(pooled)
    every, good = units_.into(pooled), units_.into(reduce(pooled, 4, criterion="runnalls"))
    worse = with_unit_moments(dataclasses.replace(good, means=good.means[::-1]))
    points = drawn(every, 2_000, np.random.default_rng(0))

    def gain(former: Model, challenger: Model) -> Gain:
        guard = Guard(points, former, errors=1.0)
        found = guard.offer(challenger)
        assert guard.model is (challenger if found.convinces(1.0) else former)
        return found

    assert not gain(good, worse).convinces(0.0)
    assert gain(worse, good).convinces(3.0)
    assert not gain(good, good).convinces(0.0)
    rows = points.means @ units_.root.T + units_.origin
    oracle = units_.back(good).log_prob(rows) - units_.back(worse).log_prob(rows)
    want = float(points.weights @ oracle)
    assert gain(worse, good).mean == pytest.approx(want, rel=1e-9)


def test_a_guard_that_nothing_convinces_keeps_the_reduction():
    pooled = random_mixture(2, 20, 2)
    reduced = reduce(pooled, 3, criterion="hotelling")
    strict = dataclasses.replace(DEFAULT, guard_errors=1e9)
    assert refine(pooled, reduced, strict) == reduced
    assert refine(pooled, reduced, PRESETS["paper"]) == reduced


@few
@given(seeds)
def test_refining_gains_on_what_it_has_not_seen_or_changes_nothing(seed):
    pooled = random_mixture(seed, 16, 2, spread=1.5)
    reduced = reduce(pooled, 3, criterion="hotelling")
    refined = refine(pooled, reduced, DEFAULT, seed=seed)
    rows = pooled.sample(4_000, seed=seed)
    difference = refined.log_prob(rows) - reduced.log_prob(rows)
    assert difference.mean() >= -1e-9 - 3 * difference.std() / np.sqrt(len(rows))


def test_components_too_flat_for_refinement_stay_as_reduced():
    flat = np.diag([1.0, 1e-15]) + 0.5 * np.sqrt(1e-15) * (1 - np.eye(2))
    means = np.outer(np.arange(6.0), [1.0, 1e-9])
    pooled = Mixture(np.full(6, 1 / 6), means, np.tile(flat, (6, 1, 1)))
    reduced = reduce(pooled, 2)
    refined = refine(pooled, reduced, DEFAULT)
    assert refined.n_components == 2
    np.testing.assert_allclose(refined.mean(), pooled.mean(), atol=1e-12)


def test_seeds_make_it_reproducible():
    pooled = random_mixture(3, 20, 3)
    reduced = reduce(pooled, 4, criterion="hotelling")
    eager = MOVES["polish"]
    assert refine(pooled, reduced, eager, seed=1) == refine(pooled, reduced, eager, seed=1)
    assert refine(pooled, reduced, eager, seed=1) != refine(pooled, reduced, eager, seed=2)
    assert seed_of(["a", "b"]) == seed_of(["b", "a"]) != seed_of(["a"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refine": "harder"}, "refine: got 'harder'; allowed: none, soft, hard"),
        ({"polish_points": -1}, "polish_points"),
        ({"polish_width": 1.0}, "polish_width"),
        ({"steps": 0}, "steps"),
        ({"tol": float("nan")}, "tol"),
        ({"guard_points": -1}, "guard_points"),
        ({"guard_errors": -1.0}, "guard_errors"),
    ],
)
def test_a_strategy_is_checked_when_made(settings, message):
    with pytest.raises(InvalidInput, match=message):
        Strategy(**settings)


def test_names_of_strategies():
    assert strategy_of("default") is DEFAULT
    assert strategy_of("hotelling") == PRESETS["paper"]
    plain = strategy_of("runnalls")
    assert (plain.criterion, plain.moves) == ("runnalls", False)
    assert strategy_of(plain) is plain
