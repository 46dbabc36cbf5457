"""A block beside the blocks before it: what passes, what does not, and what the bounds are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gmm_core import Feature
from gmm_core.block import fit_block
from gmm_core.drift.precedent import LEAST_REFERENCE, precedent_laws
from gmm_core.errors import InvalidInput
from gmm_core.invariants import violations
from gmm_core.summary import BlockSummary

LEVEL = 1e-4
FEATURES = (Feature("price"), Feature("delay"))


def rows_of(seed: int, n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(seed)
    large = rng.random(n) < 0.3 + 0.05 * np.sin(seed)  # days differ
    price = np.where(large, rng.normal(4.5, 0.4, n), rng.normal(2.0, 0.7, n))
    return np.column_stack([price, 0.5 * price + rng.normal(0, 0.5, n)])


def block(seed: int, rows: np.ndarray | None = None) -> BlockSummary:
    rows = rows_of(seed) if rows is None else rows
    return fit_block("s", f"2024-{seed:03d}", FEATURES, rows, k=3, restarts=1)


@pytest.fixture(scope="module")
def reference() -> list[BlockSummary]:
    return [block(seed) for seed in range(7)]


def broken(new: BlockSummary, reference: list[BlockSummary]) -> set[str]:
    return {law.name for law in violations(precedent_laws(new, reference, LEVEL))}


def test_blocks_like_those_before_them_pass(reference: list[BlockSummary]) -> None:
    assert [broken(block(seed), reference) for seed in range(100, 112)] == [set()] * 12


@pytest.mark.parametrize("rows", [120, 1500])
def test_fewer_or_more_rows_than_usual_are_no_other_distribution(
    reference: list[BlockSummary], rows: int
) -> None:
    for seed in range(100, 108):
        assert broken(block(seed, rows_of(seed, rows)), reference) <= {"rows_as_before"}


def other_unit(rows: np.ndarray) -> np.ndarray:
    return rows + np.array([np.log(100), 0])


def of_other_rows(rows: np.ndarray) -> np.ndarray:
    return np.column_stack([np.random.default_rng(0).permutation(rows[:, 0]), rows[:, 1]])


def gathered(rows: np.ndarray) -> np.ndarray:
    crowd = np.random.default_rng(0).normal([4.0, 0.5], 0.01, (len(rows) // 10, 2))
    return np.concatenate([rows[len(crowd) :], crowd])


def a_hundred_times(rows: np.ndarray) -> np.ndarray:
    return np.tile(rows, (100, 1))


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        (other_unit, "price_as_before"),
        (of_other_rows, "divergence_as_before"),
        (gathered, "divergence_as_before"),
        (a_hundred_times, "rows_as_before"),
    ],
)
def test_what_changed_breaks_its_law(reference: list[BlockSummary], spoil, law: str) -> None:
    assert law in broken(block(200, spoil(rows_of(200))), reference)


def test_rows_under_another_date_are_known_again(reference: list[BlockSummary]) -> None:
    again = block(201, np.random.default_rng(0).permutation(rows_of(6)))
    assert broken(again, reference) == {"not_delivered_before"}
    one_less = block(201, rows_of(6)[1:])
    assert broken(one_less, reference) == set()


def test_the_bound_of_rows_is_students_prediction_interval() -> None:
    sizes = [300, 420, 510, 380, 450]
    reference = [block(seed, rows_of(seed, size)) for seed, size in enumerate(sizes)]
    laws = {law.name: law for law in precedent_laws(block(200), reference, LEVEL)}
    logs = np.log(sizes)
    side = LEVEL / 5  # two features, the divergence, rows on two sides
    reach = stats.t.isf(side, 4) * logs.std(ddof=1) * np.sqrt(1 + 1 / 5)
    law = laws["rows_as_before"]
    np.testing.assert_allclose(
        [law.lower, law.upper], np.exp([logs.mean() - reach, logs.mean() + reach])
    )


def test_a_distance_is_the_largest_difference_to_the_pooled_blocks(
    reference: list[BlockSummary],
) -> None:
    new = block(200, rows_of(200) + np.array([0.3, 0]))
    laws = {law.name: law for law in precedent_laws(new, reference, LEVEL)}
    grid = np.linspace(-3, 9, 20_001)
    pooled = np.mean([one.mixture.marginal([0]).cdf(grid) for one in reference], axis=0)
    far = np.abs(pooled - new.mixture.marginal([0]).cdf(grid)).max()
    assert laws["price_as_before"].got == pytest.approx(far, abs=0.01)


def test_neither_the_order_of_the_reference_nor_the_unit_counts(
    reference: list[BlockSummary],
) -> None:
    laws = precedent_laws(block(200), reference, LEVEL)
    assert precedent_laws(block(200), reference[::-1], LEVEL) == laws
    scale = np.array([1000.0, 0.01])
    scaled = [block(seed, rows_of(seed) * scale) for seed in [*range(7), 200]]
    for a, b in zip(laws, precedent_laws(scaled[-1], scaled[:-1], LEVEL), strict=True):
        assert a.holds == b.holds
        assert a.got == pytest.approx(b.got, rel=0.05, abs=0.02)  # fits round differently


def test_a_reference_that_cannot_be_one_is_refused(reference: list[BlockSummary]) -> None:
    new = block(200)
    for wrong in (reference[: LEAST_REFERENCE - 1], [*reference[:-1], new]):
        with pytest.raises(InvalidInput, match="reference of block"):
            precedent_laws(new, wrong, LEVEL)
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(InvalidInput, match="level"):
            precedent_laws(new, reference, level)
    with pytest.raises(InvalidInput, match="differ in features"):
        precedent_laws(replace(new, features=(Feature("x"), FEATURES[1])), reference, LEVEL)


def test_levels_of_a_category_that_change_are_seen() -> None:
    features = (Feature("x"), Feature("shop", levels=("a", "b", "c")))

    def visit(seed: int, shares: tuple[float, ...]) -> BlockSummary:
        rng = np.random.default_rng(seed)
        rows = np.column_stack([rng.normal(size=300), rng.choice(3, 300, p=shares)])
        return fit_block("s", f"2024-{seed:03d}", features, rows, k=2, restarts=1)

    before = [visit(seed, (0.6, 0.3, 0.1)) for seed in range(7)]
    assert not violations(precedent_laws(visit(50, (0.6, 0.3, 0.1)), before, LEVEL))
    moved = violations(precedent_laws(visit(50, (0.1, 0.3, 0.6)), before, LEVEL))
    assert "shop_as_before" in {law.name for law in moved}
