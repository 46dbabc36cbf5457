"""A stream that chooses k in a range, and one whose blocks keep rows, through the verbs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from orders import KEYS, declaration, make_rows

from gmm_core.errors import InvalidInput
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge

ROWS = {key: make_rows(key) for key in KEYS}
RANGE = {"minimum": 1, "maximum": 4}


def declared(mixture=None, **window) -> Stream:
    return Stream.model_validate(
        declaration(
            mixture={"k": 2, "restarts": 1} | (mixture or {}), window={"blocks": 3, **window}
        )
    )


def merged(stream: Stream, at, keys) -> list:
    versions = []
    for key in keys:
        for verb in (land, fit, merge):
            verb(stream, key, at)
        versions.append(at.registry.versions(stream.name)[0])
    return versions


def test_k_is_chosen_and_stays_from_day_to_day():
    stream, at = declared(k=RANGE), memory_services(ROWS)
    versions = merged(stream, at, KEYS[:5])
    chosen = [
        at.registry.load(stream.name, version.version).mixture.n_components for version in versions
    ]
    assert set(chosen) <= set(range(1, 5))
    assert len(set(chosen[1:])) == 1  # two groups of customers, day after day
    assert chosen[-1] >= 2


def test_a_window_merged_again_chooses_the_same():
    stream, at = declared(k=RANGE), memory_services(ROWS)
    merged(stream, at, KEYS[:3])
    assert not merge(stream, KEYS[2], at).changed


def test_a_range_and_a_number_are_different_windows():
    assert declared(k=RANGE).window_fingerprint != declared().window_fingerprint
    assert declared(k=RANGE | {"maximum": 2}).fit_fingerprint == declared().fit_fingerprint
    assert declared(k=RANGE).fit_fingerprint != declared().fit_fingerprint  # blocks must have four


def test_rows_that_blocks_keep_are_in_the_summary_alone():
    stream, at = declared(mixture={"coreset": 25}), memory_services(ROWS)
    [version] = merged(stream, at, KEYS[:1])
    summary = at.store.summary(stream.name, KEYS[0])
    assert summary.coreset.shape == (25, 3)
    landed = np.log(ROWS[KEYS[0]]["price"].to_numpy())
    assert np.isin(summary.coreset[:, 0], landed).all()
    assert stream.fit_fingerprint != declared().fit_fingerprint
    assert "coreset" not in json.dumps(version.tags)


def test_no_rows_are_kept_unless_asked_for():
    stream, at = declared(), memory_services(ROWS)
    merged(stream, at, KEYS[:1])
    assert not len(at.store.summary(stream.name, KEYS[0]).coreset)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": {"minimum": 3, "maximum": 2}}, "minimum 3 exceeds maximum 2"),
        ({"k": {"minimum": 1, "maximum": 5}}, "exceeds 4, the components of a block"),
        ({"k": {"minimum": 1, "maximum": 3, "criterion": "aic"}}, "bic"),
    ],
)
def test_a_range_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        declared(**changes)


def test_overrides_of_k_are_checked_against_the_range():
    with pytest.raises(InvalidInput, match="exceeds 2, the components of a block"):
        declared(k=RANGE, mixture={"k": 2}).with_overrides(k=1)


def test_categories_know_a_range_and_keep_no_rows():
    content = declaration(
        mixture={"k": 2, "block_k": 8, "coreset": 10}, window={"blocks": 3, "k": RANGE}
    )
    content["features"]["rating"] = {"type": "categorical", "levels": ["a", "b"]}
    with pytest.raises(ValueError, match=r"mixture\.coreset does not know categorical"):
        Stream.model_validate(content)
    del content["mixture"]["coreset"]
    assert Stream.model_validate(content).window.k is not None
