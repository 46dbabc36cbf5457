"""Features: to feature space and back, and what is refused on the way."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, to_matrix

TRANSFORMS = ("identity", "log", "log1p", "sqrt")
sane = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20)


@given(sane, st.sampled_from(TRANSFORMS))
def test_there_and_back(values, transform):
    feature = Feature("x", transform)
    back = feature.inverse(feature.forward(values))
    # log1p of a small number keeps 1 + x: its absolute precision is that of 1.
    np.testing.assert_allclose(back, values, rtol=1e-12, atol=1e-15)


@given(sane, st.sampled_from(TRANSFORMS))
def test_order_is_kept_both_ways(values, transform):
    feature, ordered = Feature("x", transform), np.sort(values)
    assert (np.diff(feature.forward(ordered)) >= 0).all()
    assert (np.diff(feature.inverse(np.linspace(-5, 5, 50))) >= 0).all()


@pytest.mark.parametrize(
    ("transform", "source", "value"),
    [("identity", 3.0, 3.0), ("log", np.e, 1.0), ("log1p", np.e - 1, 1.0), ("sqrt", 9.0, 3.0)],
)
def test_the_transforms_are_what_they_are_called(transform, source, value):
    assert Feature("x", transform).forward([source])[0] == pytest.approx(value, rel=1e-15)


def test_forward_never_touches_its_input():
    values = np.array([1.0, 2.0])
    Feature("x").forward(values)[0] = 99
    assert values[0] == 1


@pytest.mark.parametrize(
    ("transform", "values", "message"),
    [
        ("identity", [1.0, np.nan, np.inf], r"'x' \(identity\) has 2 bad .* row 1: got nan"),
        ("identity", [1.0, None], r"1 bad values, the first in row 1: got nan"),
        ("log", [1.0, 0.0, -1.0], r"2 bad values, the first in row 1: got 0\.0; .*above 0"),
        ("log1p", [-1.0], r"got -1\.0; allowed: finite numbers above -1"),
        ("sqrt", [-1e-9], r"0 or more"),
        ("identity", ["1.5"], "not numbers"),
        (
            "identity",
            np.array(["2024-01-01"], dtype="datetime64[D]"),
            "not numbers: got 'datetime64",
        ),
        ("identity", [dt.date(2024, 1, 1)], "not numbers"),
        ("identity", [1 + 2j], "not numbers"),
        ("identity", np.ma.masked_array([1.0, 2.0], [False, True]), "1 bad values"),
        ("identity", pd.Series([1, None], dtype="Int64"), "not numbers|1 bad values"),
    ],
)
def test_what_is_refused(transform, values, message):
    with pytest.raises(InvalidInput, match=message):
        Feature("x", transform).forward(values)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=np.float32),
        [Decimal(1), Decimal(2)],
        pd.Series([1, 2], dtype="Int64"),
        pd.Series([1.0, 2.0]),
        np.array([False, True]) + 1,
    ],
)
def test_every_kind_of_number_is_taken(values):
    got = Feature("x").forward(values)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [1.0, 2.0])


def test_a_matrix_has_the_features_in_their_order():
    features = [Feature("b", "log"), Feature("a")]
    columns = {"a": [1, 2, 3], "b": [1.0, np.e, np.e**2], "c": ["not", "looked", "at"]}
    np.testing.assert_allclose(to_matrix(features, columns), [[0, 1], [1, 2], [2, 3]], atol=1e-15)
    frame = pd.DataFrame(columns)
    np.testing.assert_array_equal(to_matrix(features, frame), to_matrix(features, columns))
    assert to_matrix(features, {"a": [], "b": []}).shape == (0, 2)


@pytest.mark.parametrize(
    ("features", "columns", "message"),
    [
        ([Feature("a"), Feature("b")], {"a": [1.0]}, r"columns \['b'\] are missing: got \['a'\]"),
        ([Feature("a"), Feature("b")], {"a": [1.0], "b": [1.0, 2.0]}, "column 'b' has the wrong"),
        ([Feature("a")], {"a": 1.0}, "column 'a' has the wrong shape"),
        ([Feature("a")], {"a": [[1.0]]}, "column 'a' has the wrong shape"),
        ([Feature("a", "log")], {"a": [0.0]}, "feature 'a'"),
        ([], {"a": [1.0]}, "no features"),
    ],
)
def test_matrices_that_are_refused(features, columns, message):
    with pytest.raises(InvalidInput, match=message):
        to_matrix(features, columns)


def test_a_feature_is_a_plain_dict_and_back():
    feature = Feature("amount", "log")
    assert feature.to_dict() == {"name": "amount", "transform": "log"}
    assert Feature.from_dict(feature.to_dict()) == feature


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Feature("x", "cube"), "'cube'; allowed: identity, log, log1p, sqrt"),
        (lambda: Feature(""), "needs a name"),
        (lambda: Feature.from_dict({"name": "x"}), "not a feature"),
        (lambda: Feature.from_dict({"name": "x", "transform": ["log"]}), "not a feature"),
    ],
)
def test_features_that_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
