"""The codec: every value survives a journey through JSON bit for bit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levels import random_mixed
from mixtures import kinds, random_mixture, random_rows, random_summary, seeds

from gmm_core.answering.scoring import TailCurve
from gmm_core.codec import SCHEMAS, from_dict, to_dict
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.moments import Moments
from gmm_core.summary import BlockSummary


def journey(value):
    return from_dict(json.loads(json.dumps(to_dict(value), allow_nan=False)))


def make_model() -> DensityModel:
    features = [Feature("price", "log"), Feature("delay")]
    return DensityModel.build("orders", features, random_mixture(1, 3, 2), 0.999, seed=4)


VALUES = {
    Mixture: random_mixture(1, 3, 2),
    MixedMixture: random_mixed(1, 3, 2, (2, 4)),
    Moments: Moments.of(random_rows(1, 50, 2)),
    TailCurve: TailCurve.of(random_mixture(1, 3, 2), draws=5_000),
    BlockSummary: random_summary(1),
    DensityModel: make_model(),
}


@given(seeds, st.integers(1, 5), st.integers(1, 4), kinds)
def test_a_mixture_comes_back_bit_for_bit(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    back = journey(mixture)
    assert back == mixture
    for name in ("weights", "means", "covariances"):
        assert getattr(back, name).tobytes() == getattr(mixture, name).tobytes()


@given(seeds, st.integers(1, 4), st.sampled_from([0.0, 1e8, 1e-8]))
def test_moments_come_back_bit_for_bit(seed, d, offset):
    moments = Moments.of(random_rows(seed, 20, d) + offset)
    assert journey(moments) == moments
    assert journey(Moments.empty(d)) == Moments.empty(d)


@given(seeds, kinds)
def test_a_summary_comes_back_with_its_digest_and_its_report(seed, kind):
    summary = random_summary(seed, n=40, covariance_type=kind)
    back = journey(summary)
    assert back == summary
    assert back.digest == summary.digest
    assert back.fit == summary.fit
    assert back.features == summary.features


def test_a_model_comes_back_and_answers_the_same():
    model = make_model()
    back = journey(model)
    assert back == model
    columns = {"price": [1.0, 20.0, 3e5], "delay": [0.0, 4.0, -9.0]}
    for name, values in model.transform(columns).items():
        np.testing.assert_array_equal(back.transform(columns)[name], values)


def test_a_model_written_before_there_were_labels_is_read():
    labelled = dataclasses.replace(make_model(), component_ids=(4, 0, 9))
    assert journey(labelled) == labelled
    data = {name: value for name, value in to_dict(labelled).items() if name != "component_ids"}
    assert from_dict(data, DensityModel).component_ids == (0, 1, 2)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_every_kind_has_a_versioned_schema_of_plain_values(kind):
    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(type(key) is str and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(plain(item) for item in value)
        return type(value) in (str, float, int, bool)

    data = to_dict(VALUES[kind])
    assert data["schema"] in SCHEMAS
    assert data["schema"].startswith("blockmix/")
    assert data["schema"].endswith("/1")
    assert plain(data)
    assert from_dict(data, kind) == VALUES[kind]


def test_no_kind_is_left_out():
    assert sorted(to_dict(value)["schema"] for value in VALUES.values()) == sorted(SCHEMAS)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_missing_key_is_named(kind):
    data = to_dict(VALUES[kind])
    for key in set(data) - {"schema", "component_ids"}:
        with pytest.raises(InvalidInput, match=f"{data['schema']}.*{key}"):
            from_dict({name: value for name, value in data.items() if name != key})


def test_a_schema_written_today_is_read_for_ever():
    data = {
        "schema": "blockmix/mixture/1",
        "covariance_type": "full",
        "weights": [0.25, 0.75],
        "means": [[-1.0], [2.0]],
        "covariances": [[[1.0]], [[0.5]]],
    }
    assert from_dict(data) == Mixture([0.25, 0.75], [[-1.0], [2.0]], [[[1.0]], [[0.5]]])
    moments = {"schema": "blockmix/moments/1", "weight": 2.0, "mean": [1.0], "scatter": [[8.0]]}
    assert from_dict(moments) == Moments(2.0, [1.0], [[8.0]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"schema": "blockmix/mixture/2"}, "unknown schema: got 'blockmix/mixture/2'.*mixture/1"),
        ({}, "unknown schema: got None"),
        ([], "unknown schema"),
        ("text", "unknown schema"),
        (to_dict(VALUES[Mixture]) | {"weights": [0.5, 0.6, 0.7]}, "sum to one"),
        (to_dict(VALUES[Mixture]) | {"means": [[1.0, 2.0], [3.0]]}, "not an array of numbers"),
        (to_dict(VALUES[Mixture]) | {"covariance_type": []}, "blockmix/mixture/1|covariance_type"),
        (to_dict(VALUES[Moments]) | {"weight": "heavy"}, "blockmix/moments/1"),
        (to_dict(VALUES[BlockSummary]) | {"fit": None}, "blockmix/block_summary/1"),
        (to_dict(VALUES[BlockSummary]) | {"features": 3}, "blockmix/block_summary/1"),
        (to_dict(VALUES[BlockSummary]) | {"moments": {}}, "unknown schema"),
        (to_dict(VALUES[DensityModel]) | {"anomaly_above": 2.0}, "anomaly_above"),
        (to_dict(VALUES[DensityModel]) | {"mixture": to_dict(VALUES[Moments])}, "another kind"),
    ],
)
def test_what_cannot_be_read_is_refused(data, message):
    with pytest.raises(InvalidInput, match=message):
        from_dict(data)


def test_another_kind_than_expected_is_refused():
    with pytest.raises(InvalidInput, match=r"'blockmix/moments/1'; allowed: Mixture"):
        from_dict(to_dict(VALUES[Moments]), Mixture)


def test_a_value_of_no_known_kind_is_refused():
    with pytest.raises(InvalidInput, match="'dict'"):
        to_dict({})
