"""The expectations about mixtures: each passes on a good batch, fails on a crafted one, can be stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import (
    ExpectComponentTableInvariants,
    ExpectMomentsToMatchMixture,
    ExpectScoresToMatchReference,
    ExpectTransformToRoundTrip,
    ExpectValuesWithinMixtureBounds,
    score_cells,
)
from expectations.custom.moments import standardised_powers
from gmm_core.codec import to_dict
from gmm_core.errors import InvalidInput
from gmm_core.model import DensityModel


def drawn(model: DensityModel, rows: int = 1_500, seed: int = 1) -> pd.DataFrame:
    """Rows, in source units, that the model itself made."""
    values = model.mixture.sample(rows, seed)
    return pd.DataFrame(
        {f.name: f.inverse(values[:, at]) for at, f in enumerate(model.numeric_features)}
    )


@pytest.fixture(scope="module")
def context() -> Any:
    return gx.get_context(mode="ephemeral")


@pytest.fixture(scope="module")
def validated(context: Any):
    """The result of one expectation on a frame."""
    whole = context.data_sources.add_pandas("any").add_dataframe_asset("any")
    batches = whole.add_batch_definition_whole_dataframe("whole")

    def validate(expectation: Any, rows: pd.DataFrame) -> Any:
        return batches.get_batch({"dataframe": rows}).validate(expectation)

    return validate


def cases(model: DensityModel, transformed: Any) -> dict[str, tuple[Any, pd.DataFrame, dict]]:
    """For each class: an expectation, a good batch, and bad ones by the law that they break."""
    good, plain = drawn(model), to_dict(model)
    table = pd.DataFrame(model.component_table())
    scored = transformed(model, make_rows(KEYS[3]))
    reference = [score_cells(model, drawn(model, 400, seed)) for seed in range(6)]
    far = good.assign(price=good["price"].where(good.index >= 30, 9_000.0))
    heavy = table.assign(weight=np.where(table["component"] == 0, 1.5, table["weight"]))
    return {
        "moments": (
            ExpectMomentsToMatchMixture(mixture=plain),
            good,
            {
                "price: mean": good.assign(price=1.2 * good["price"]),
                "rating: variance": good.assign(rating=1.3 * good["rating"]),
                "price: kurtosis": far,
                "rows complete": good.assign(delay=good["delay"].where(good.index > 0)),
            },
        ),
        "bounds": (
            ExpectValuesWithinMixtureBounds(mixture=plain),
            good,
            {"price: too high": far, "rows complete": good.assign(price="dear")},
        ),
        "scores": (
            ExpectScoresToMatchReference(mixture=plain, reference=reference),
            drawn(model, 400, 50),
            {"largest difference": drawn(model, 400, 50).assign(price=lambda r: 4 * r["price"])},
        ),
        "round trip": (
            ExpectTransformToRoundTrip(mixture=plain),
            scored,
            {
                "price: restored": scored.assign(price=scored["price"] * (1 + 1e-6)),
                "component known": scored.assign(component=7),
            },
        ),
        "table": (
            ExpectComponentTableInvariants(mixture=plain),
            table,
            {
                "a mixture": heavy,
                "condition_number": table.assign(sd=np.where(table.index == 0, 1e-9, table["sd"])),
                "every pair once": table.assign(component=0),
                "one weight": table.assign(weight=table["weight"] + 1e-3 * (table.index == 0)),
            },
        ),
    }


@pytest.mark.parametrize("name", ["moments", "bounds", "scores", "round trip", "table"])
def test_a_good_batch_passes_and_a_bad_one_fails_by_its_law(
    model: DensityModel, transformed, validated, name: str
) -> None:
    expectation, good, bad = cases(model, transformed)[name]
    passed = validated(expectation, good)
    assert passed.success, passed.result
    assert passed.result["observed_value"].startswith("all ")
    for law, rows in bad.items():
        failed = validated(expectation, rows)
        assert not failed.success
        assert not any(one["raised_exception"] for one in _exceptions(failed))
        assert law in failed.result["observed_value"], failed.result
    for column in ("weight", "feature") if name == "table" else ("rating",):
        missing = validated(expectation, good.drop(columns=column))
        assert not missing.success
        assert column in missing.result["observed_value"]


def test_a_component_table_has_every_component_and_feature_once(
    model: DensityModel, validated
) -> None:
    expectation = ExpectComponentTableInvariants(mixture=model)
    table = pd.DataFrame(model.component_table())
    assert validated(expectation, table.sample(frac=1, random_state=0)).success
    for bad in (
        table.replace({"feature": {"rating": "price"}}),
        table.assign(component=table["component"] + 17),
        table.assign(component="first"),
        table.assign(feature=None),
        pd.concat([table, table[:1]]),
        table[:0],
    ):
        failed = validated(expectation, bad)
        assert not failed.success
        assert not any(one["raised_exception"] for one in _exceptions(failed))
        assert "every pair once" in failed.result["observed_value"], failed.result


def _exceptions(result: Any) -> list[dict[str, Any]]:
    info = result.exception_info
    return [info] if "raised_exception" in info else list(info.values())


def test_the_moments_are_those_that_the_mixture_draws(model: DensityModel) -> None:
    """Closed form against two hundred thousand rows, and the kurtosis of a Gaussian."""
    mixture = model.mixture
    z = (mixture.sample(200_000, 0) - mixture.mean()) / np.sqrt(np.diagonal(mixture.covariance()))
    powers = standardised_powers(model)
    np.testing.assert_allclose(powers[:, 1:3], [[0, 1]] * 3, atol=1e-12)
    for p in (3, 4):
        error = z.__pow__(p).std(axis=0) / np.sqrt(len(z))
        assert (np.abs((z**p).mean(axis=0) - powers[:, p]) < 5 * error).all()


def test_rows_of_the_mixture_fail_as_seldom_as_said(model: DensityModel, validated) -> None:
    expectation = ExpectMomentsToMatchMixture(mixture=model, level=1e-3)
    passed = [validated(expectation, drawn(model, 2_000, seed)).success for seed in range(30)]
    assert sum(passed) >= 29


def test_a_suite_with_them_is_written_and_read_by_a_file_context(
    tmp_path: Path, model: DensityModel
) -> None:
    made = gx.get_context(mode="file", project_root_dir=str(tmp_path))
    suite = made.suites.add(gx.ExpectationSuite(name="orders"))
    suite.add_expectation(ExpectMomentsToMatchMixture(mixture=to_dict(model), level=1e-4))
    read = gx.get_context(mode="file", project_root_dir=str(tmp_path)).suites.get("orders")
    (expectation,) = read.expectations
    assert isinstance(expectation, ExpectMomentsToMatchMixture)
    assert expectation.level == 1e-4
    assert to_dict(expectation.model) == to_dict(model)


def test_data_docs_show_a_sentence_and_what_failed(tmp_path: Path, model: DensityModel) -> None:
    made = gx.get_context(mode="file", project_root_dir=str(tmp_path))
    asset = made.data_sources.add_pandas("any").add_dataframe_asset("any")
    suite = made.suites.add(gx.ExpectationSuite(name="orders"))
    suite.add_expectation(ExpectMomentsToMatchMixture(mixture=model))
    definition = made.validation_definitions.add(
        gx.ValidationDefinition(
            name="d", data=asset.add_batch_definition_whole_dataframe("w"), suite=suite
        )
    )
    checkpoint = gx.Checkpoint(
        name="c",
        validation_definitions=[definition],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
    )
    bad = drawn(model).assign(price=lambda rows: 2 * rows["price"])
    assert not made.checkpoints.add(checkpoint).run({"dataframe": bad}).success
    (page,) = tmp_path.rglob("validations/**/*.html")
    html = page.read_text()
    assert "Mean, variance, skewness and kurtosis of every feature" in html
    assert "price: mean" in html
    assert "covariances" not in html, "the mixture's numbers are no reading matter"


@pytest.mark.parametrize("mixture", [{"schema": "nothing"}, "a mixture", "https://somewhere/x"])
def test_what_is_no_mixture_is_refused(mixture: Any) -> None:
    with pytest.raises((InvalidInput, ValueError), match=r"mixture|schema"):
        ExpectMomentsToMatchMixture(mixture=mixture).model  # noqa: B018


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "expectations.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    exec(compile(code, str(page), "exec"), {})
    assert "delay: mean: " in capsys.readouterr().out
