"""Component ids through the pipeline: from version to version, and to the rows."""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import fsspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders import KEYS, declaration, make_rows, run_day

from gmm_core import codec
from gmm_core.answering.scoring import TailCurve
from gmm_core.pipeline.labelling import neighbours
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.ports import ModelVersion
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge, promote, remerge, transform

curve_of = cache(TailCurve.of)


def make_day(key: str, *, whales: bool = False) -> pd.DataFrame:
    """The orders of a day; with a third group of customers, far from the two."""
    rows = make_rows(key)
    if whales:
        rows.loc[::4, "price"] = np.exp(np.random.default_rng(1).normal(8.5, 0.1, len(rows[::4])))
        rows.loc[::4, "rating"] = np.random.default_rng(2).normal(30.0, 0.5, len(rows[::4]))
    return rows


@pytest.fixture(autouse=True)
def each_curve_once(monkeypatch):
    monkeypatch.setattr(TailCurve, "of", curve_of)


def stream_of(**window) -> Stream:
    return Stream.model_validate(
        declaration(mixture={"k": 3, "restarts": 2}, window={"blocks": 2, **window})
    )


def ids_of(tags):
    return [int(one) for one in tags["component_ids"].split()]


def listed(text):
    return set() if text == "none" else {int(one) for one in text.split()}


@pytest.fixture
def stream() -> Stream:
    return stream_of()


@pytest.fixture
def at():
    return memory_services({key: make_day(key) for key in KEYS})


def test_every_version_tells_of_its_ids(stream, at):
    for key in KEYS[:5]:
        run_day(stream, key, at)
    versions = at.registry.versions(stream.name)[::-1]
    assert versions[0].tags["labels_from"] == "none"
    assert ids_of(versions[0].tags) != [], "the first is labelled too"
    assert listed(versions[0].tags["born"]) == set(range(3))
    given_out = 3
    for before, after in itertools.pairwise(versions):
        assert after.tags["labels_from"] == str(before.version)
        ids, old = set(ids_of(after.tags)), set(ids_of(before.tags))
        assert listed(after.tags["born"]) == ids - old
        assert listed(after.tags["died"]) == old - ids
        assert all(one >= given_out for one in ids - old)
        given_out += len(ids - old)
        assert int(after.tags["next_component_id"]) == given_out
        model = at.registry.load(stream.name, after.version)
        assert list(model.component_ids) == ids_of(after.tags)


def test_a_group_that_comes_is_born_and_one_that_goes_dies(stream, at):
    at.engine.blocks |= {key: make_day(key, whales=True) for key in KEYS[2:4]}
    outcomes = {}
    for key in KEYS[:7]:
        for verb in (land, fit):
            verb(stream, key, at)
        outcomes[key] = merge(stream, key, at).facts

    def whale(key):
        model = at.registry.load(stream.name, outcomes[key]["version"])
        top = int(model.mixture.means[:, 0].argmax())
        return model.component_ids[top], model.mixture.means[top, 0]

    born, where = whale(KEYS[2])
    assert where > 8
    assert str(born) in outcomes[KEYS[2]]["born"].split()
    assert whale(KEYS[3])[0] == whale(KEYS[4])[0] == born
    assert str(born) in outcomes[KEYS[5]]["died"].split()
    assert born not in {
        one for key in KEYS[5:7]
        for one in at.registry.load(stream.name, outcomes[key]["version"]).component_ids
    }  # fmt: skip


def test_rows_and_component_tables_carry_the_ids(stream, at):
    at.engine.blocks[KEYS[1]] = make_day(KEYS[1], whales=True)
    for key in KEYS[:4]:  # the output gate would refuse the day after the whales
        for verb in (land, fit, merge, promote):
            verb(stream, key, at)
    transform(stream, KEYS[3], at)
    model = at.registry.load(stream.name, 4)
    assert sorted(model.component_ids) != [0, 1, 2], "ids and numbers differ by now"
    rows = at.engine.read(at.store.path(stream.name, "transformed", KEYS[3]))
    want = np.array(model.component_ids)[rows["component"]]
    np.testing.assert_array_equal(rows["component_id"], want)
    folder = at.store.path("orders", "components", KEYS[3])
    with fsspec.open(f"{folder}/v4.parquet") as file:
        table = pd.read_parquet(file)
    assert dict(zip(table["component"], table["component_id"], strict=True)) == dict(
        enumerate(model.component_ids)
    )


def test_running_again_labels_nothing_again(stream, at):
    def history():
        for key in KEYS[:4]:
            run_day(stream, key, at)
        return [version.tags for version in at.registry.versions(stream.name)]

    first = history()
    assert history() == first
    at = memory_services(at.engine.blocks)
    assert history() == first, "the same days give the same ids"


def test_a_late_block_leaves_ids_where_components_stay(stream, at):
    at.engine.blocks |= {key: make_day(key, whales=True) for key in KEYS}
    for key in (*KEYS[:2], *KEYS[3:6]):
        run_day(stream, key, at)
    for verb in (land, fit):
        verb(stream, KEYS[2], at)
    assert [one.key for one in remerge(stream, KEYS[2], at)] == KEYS[2:4]
    where: dict[int, list[np.ndarray]] = {}
    for version in at.registry.versions(stream.name):
        model = at.registry.load(stream.name, version.version)
        for one, mean in zip(model.component_ids, model.mixture.means, strict=True):
            where.setdefault(one, []).append(mean)
    assert sorted(where) == [0, 1, 2], "three groups of customers, and no birth ever"
    assert all(np.ptp(means, axis=0).max() < 0.7 for means in where.values())


def test_what_is_born_in_a_late_window_has_the_id_that_later_ones_gave_it(stream, at):
    """The whales come on a day that arrives late, behind a day that knows them."""
    at.engine.blocks |= {key: make_day(key, whales=True) for key in KEYS[2:5]}
    for key in (*KEYS[:2], *KEYS[3:5]):
        run_day(stream, key, at)

    def whale(version):
        model = at.registry.load(stream.name, version)
        return model.component_ids[int(model.mixture.means[:, 0].argmax())]

    known = whale(at.registry.versions(stream.name)[0].version)
    for verb in (land, fit):
        verb(stream, KEYS[2], at)
    assert {whale(one.facts["version"]) for one in remerge(stream, KEYS[2], at)} == {known}


@given(st.permutations(KEYS[:4]))
@settings(max_examples=3, deadline=None)
def test_no_id_is_given_twice_in_whatever_order_blocks_come(order):
    at, stream = memory_services({key: make_day(key) for key in KEYS[:4]}), stream_of()
    for key in order:
        for verb in (land, fit):
            verb(stream, key, at)
        list(remerge(stream, key, at))
    highest = 0
    for version in at.registry.versions(stream.name)[::-1]:
        ids, following = ids_of(version.tags), int(version.tags["next_component_id"])
        assert len(set(ids)) == len(ids) == 3
        assert max(ids) < following
        assert highest <= following <= highest + 3
        highest = following


def test_versions_without_labels_are_followed(stream, at):
    """A registry that an earlier release wrote: no ids in the model, none in the tags."""
    run_day(stream, KEYS[0], at)
    version, content = at.registry._versions[stream.name][0]
    labels = ("component_ids", "born", "died", "labels_from", "next_component_id")
    tags = {name: value for name, value in version.tags.items() if name not in labels}
    del content["component_ids"]
    at.registry._versions[stream.name][0] = (dataclasses.replace(version, tags=tags), content)
    assert codec.from_dict(content).component_ids == (0, 1, 2)
    run_day(stream, KEYS[1], at)
    tags = at.registry.version(stream.name, 2).tags
    assert tags["labels_from"] == "1"
    assert listed(tags["died"]) <= {0, 1, 2}
    assert listed(tags["born"]).isdisjoint({0, 1, 2})


def test_another_k_is_births_or_deaths(stream, at):
    run_day(stream, KEYS[0], at)
    run_day(stream.with_overrides(k=2), KEYS[1], at)
    tags = at.registry.version(stream.name, 2).tags
    assert len(ids_of(tags)) == 2
    assert listed(tags["died"])
    run_day(stream.with_overrides(k=4), KEYS[2], at)
    tags = at.registry.version(stream.name, 3).tags
    assert len(listed(tags["born"])) >= 2
    assert min(listed(tags["born"])) >= 3


def test_versions_of_other_features_are_not_compared(stream, at):
    run_day(stream, KEYS[0], at)
    fewer = declaration(mixture={"k": 3, "restarts": 2}, window={"blocks": 2})
    del fewer["features"]["rating"]
    other = Stream.model_validate(fewer)
    for verb in (land, fit):
        verb(other, KEYS[1], at)
    narrow = other.with_overrides(window=1)
    tags = at.registry.version(stream.name, merge(narrow, KEYS[1], at).facts["version"]).tags
    assert (tags["died"], listed(tags["born"])) == ("none", {3, 4, 5})


VERSIONS = st.lists(st.sampled_from(KEYS), max_size=8).map(
    lambda keys: [ModelVersion("s", i + 1, {"last_block": key}) for i, key in enumerate(keys)]
)


@given(VERSIONS, st.sampled_from(KEYS))
def test_neighbours_are_the_nearest_windows_in_their_newest_version(versions, key):
    before, after = neighbours(versions, key)
    older = [v for v in versions if v.last_block < key]
    others = [v for v in versions if v.last_block >= key]
    for found, those, nearest in ((before, older, max), (after, others, min)):
        if found is None:
            assert not those
            continue
        day = nearest(v.last_block for v in those)
        assert found == max((v for v in those if v.last_block == day), key=lambda v: v.version)
