"""Labels: who is who from one mixture to the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import kinds, linear_map, mapped, random_mixture, seeds
from scipy.integrate import quad
from scipy.stats import norm

from gmm_core.errors import InvalidInput
from gmm_core.labels import FAR, Labels, component_distances, first_labels, relabel
from gmm_core.mixture import Mixture

ks = st.integers(1, 6)


def line(*means: float, weights: list[float] | None = None) -> Mixture:
    """Components of one feature and unit variance."""
    k = len(means)
    return Mixture(
        weights or [1 / k] * k, np.array(means)[:, None], np.ones(k), covariance_type="spherical"
    )


def moved(mixture: Mixture, seed: int, step: float) -> Mixture:
    rng = np.random.default_rng(seed)
    means = mixture.means + step * rng.normal(size=mixture.means.shape)
    return Mixture(mixture.weights, means, mixture.covariances, mixture.covariance_type)


def test_the_distance_is_minus_the_log_of_the_overlap():
    for mean, sd in itertools.product([0.0, 0.7, -3.0], [0.2, 1.0, 5.0]):
        ours = component_distances(line(1.0), Mixture([1.0], [[mean]], [sd**2], "spherical")).item()
        overlap = quad(
            lambda x, m=mean, s=sd: np.sqrt(norm.pdf(x, 1.0) * norm.pdf(x, m, s)), -60, 60,
            points=[mean, 1.0],
        )[0]  # fmt: skip
        assert ours == pytest.approx(-np.log(overlap), rel=1e-6, abs=1e-8)


@given(seeds, ks, ks, st.integers(1, 4), kinds)
def test_the_distance_agrees_with_determinants_and_inverses(seed, k, other, d, kind):
    a, b = random_mixture(seed, k, d, kind), random_mixture(seed + 1, other, d, kind)
    want = np.empty((k, other))
    for i, j in np.ndindex(k, other):
        s, t = a.full_covariances()[i], b.full_covariances()[j]
        delta, middle = a.means[i] - b.means[j], (s + t) / 2
        want[i, j] = delta @ np.linalg.inv(middle) @ delta / 8 + 0.5 * np.log(
            np.linalg.det(middle) / np.sqrt(np.linalg.det(s) * np.linalg.det(t))
        )
    np.testing.assert_allclose(component_distances(a, b), want, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(component_distances(b, a), want.T, rtol=1e-7, atol=1e-10)


@given(seeds, ks, st.integers(1, 3), kinds)
def test_the_same_mixture_keeps_all_ids(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    first = first_labels(mixture, next_id=7)
    again = relabel(mixture, first, mixture)
    assert again == Labels(first.ids, first.next_id)
    assert again.kept == first.ids
    assert sorted(first.ids) == list(range(7, 7 + k)) == list(first.born)


@given(seeds, ks, ks, st.integers(1, 3), kinds, st.floats(0.01, 3.0))
def test_permuted_components_get_permuted_ids(seed, k, other, d, kind, step):
    before = random_mixture(seed, k, d, kind)
    after = moved(random_mixture(seed, other, d, kind), seed, step)
    labels = first_labels(before)
    rng = np.random.default_rng(seed)
    p, q = rng.permutation(k), rng.permutation(other)
    want = relabel(before, labels, after)
    shuffled = Labels(tuple(labels.ids[i] for i in p), labels.next_id)
    got = relabel(before.picked(p), shuffled, after.picked(q))
    assert got.ids == tuple(want.ids[i] for i in q)
    assert (got.born, got.died, got.next_id) == (want.born, want.died, want.next_id)


@given(seeds, ks, ks, kinds, st.floats(0.01, 3.0), st.sampled_from([1e-6, 1.0, 1e6]))
def test_an_affine_map_changes_nothing(seed, k, other, kind, step, unit):
    before = random_mixture(seed, k, 2, kind)
    after = moved(random_mixture(seed, other, 2, kind), seed, step)
    labels, A = first_labels(before), unit * linear_map(kind)
    want = component_distances(before, after)
    got = component_distances(mapped(before, A, 3.0), mapped(after, A, 3.0))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)
    there = relabel(mapped(before, A, 3.0), labels, mapped(after, A, 3.0))
    assert there == relabel(before, labels, after)


@given(seeds, ks, ks, st.floats(0.01, 3.0))
def test_ids_are_accounted_for_and_never_reused(seed, k, other, step):
    before, after = random_mixture(seed, k, 2), moved(random_mixture(seed, other, 2), seed, step)
    labels = Labels(first_labels(before).ids, next_id=40)
    new = relabel(before, labels, after)
    assert len(set(new.ids)) == len(new.ids) == other
    assert set(new.ids) == set(new.kept) | set(new.born)
    assert set(labels.ids) == set(new.kept) | set(new.died)
    assert set(new.kept) == set(labels.ids) & set(new.ids)
    assert list(new.born) == list(range(40, 40 + len(new.born)))
    assert new.next_id == 40 + len(new.born)


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.floats(0.01, 3.0))
def test_no_other_pairing_is_nearer(seed, k, other, step):
    before, after = random_mixture(seed, k, 1), moved(random_mixture(seed, other, 1), seed, step)
    labels = first_labels(before)
    ids = relabel(before, labels, after).ids
    cost = np.minimum(component_distances(before, after), FAR)

    def total(pairs):
        return sum(cost[i, j] for i, j in pairs) + FAR * (min(k, other) - len(pairs))

    got = total([(labels.ids.index(one), j) for j, one in enumerate(ids) if one in labels.ids])
    if k <= other:
        every = (list(enumerate(p)) for p in itertools.permutations(range(other), k))
    else:
        every = ([(i, j) for j, i in enumerate(p)] for p in itertools.permutations(range(k), other))
    assert got == pytest.approx(min(map(total, every)), abs=1e-9)


def test_births_and_deaths():
    before = line(0.0, 10.0, 20.0)
    labels = Labels((5, 6, 7), next_id=9)
    more = relabel(before, labels, line(20.1, 30.0, 0.1, 10.1))
    assert (more.ids, more.born, more.died) == ((7, 9, 5, 6), (9,), ())
    fewer = relabel(before, labels, line(19.9, 0.2))
    assert (fewer.ids, fewer.born, fewer.died, fewer.next_id) == ((7, 5), (), (6,), 9)
    jumped = relabel(before, labels, line(0.0, 10.0, 26.0))
    assert (jumped.ids, jumped.born, jumped.died) == ((5, 6, 9), (9,), (7,))


def test_the_bound_lies_where_densities_overlap_by_half():
    edge = np.sqrt(8 * FAR)
    assert relabel(line(0.0), first_labels(line(0.0)), line(edge - 1e-6)).ids == (0,)
    assert relabel(line(0.0), first_labels(line(0.0)), line(edge + 1e-6)).ids == (1,)


def test_a_far_pair_does_not_cost_a_near_one_its_place():
    # The least sum over all pairs, without the bound, would cross the two.
    before, after = line(0.0, 2.0), line(2.0, 200.0)
    assert relabel(before, first_labels(before), after).ids[0] == first_labels(before).ids[1]


def test_a_component_that_is_known_later_takes_its_id_from_there():
    before, labels = line(0.0, 10.0), Labels((0, 1), next_id=2)
    later = line(0.1, 10.1, 50.0), Labels((0, 1, 7), next_id=8)
    new = relabel(before, labels, line(50.2, 0.0, 10.0, 90.0), later=later)
    assert (new.ids, new.born, new.next_id) == ((7, 0, 1, 8), (7, 8), 9)
    # What the mixture before has is never taken from the later one, however near.
    swapped = line(10.0, 0.0), Labels((0, 1), next_id=8)
    assert relabel(before, labels, line(0.0, 10.0), later=swapped).ids == (0, 1)


def test_components_that_are_equal_keep_their_ids_in_order():
    twice = line(0.0, 0.0, 5.0, 5.0)
    labels = first_labels(twice)
    assert relabel(twice, labels, twice).ids == labels.ids


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Labels((1, 1), 3), "different whole numbers from 0 to 2"),
        (lambda: Labels((0, 3), 3), r"got \(0, 3\)"),
        (lambda: relabel(line(0.0), Labels((0, 1), 2), line(0.0)), "labels of another mixture"),
        (lambda: component_distances(line(0.0), random_mixture(1, 2, 2)), "different features"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
