"""Segments and how entities move between them, counted by hand; a late block; streams without entities."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from orders import KEYS

from gmm_core.pipeline.streams import Stream
from gmm_core.warehouse import build_marts

FIRST, SECOND, THIRD = KEYS[:3]
MIGRATION = "from marts.segment_migration order by all"


def main_segments(site, key):
    """{entity: segment} of a block: the most frequent one, of as many that of the latest row."""
    rows, found = site.rows(key).sort_values("event_time"), {}
    for entity, part in rows.groupby(site.stream.source.entity):
        counts = Counter(part["component_id"])
        most = max(counts.values())
        found[str(entity)] = next(c for c in part["component_id"][::-1] if counts[c] == most)
    return found


def components(site, key):
    """{id: weight} of the version that scored a block."""
    model = site.registry.load("orders", 2 if key == THIRD else 1)
    return dict(zip(model.component_ids, model.mixture.weights, strict=True))


def migration(site, keys=(FIRST, SECOND, THIRD)):
    """(block, block before, from, to): entities, in plain Python."""
    moved = Counter()
    for before, key in pairwise(keys):
        then, now = main_segments(site, before), main_segments(site, key)
        for entity in then.keys() | now.keys():
            moved[key, before, then.get(entity), now.get(entity)] += 1
    return moved


def asked(site):
    table = site.query(MIGRATION).astype(object)
    table = table.where(table.notna(), None)
    return {
        (row.block_key, row.previous_block_key, row.from_component_id, row.to_component_id): row
        for row in table.itertuples()
    }


def test_segments_are_what_pandas_says(site):
    segments = site.query("from marts.segments").set_index(["block_key", "component_id"])
    for key in (FIRST, SECOND, THIRD):
        rows, weights = site.rows(key), components(site, key)
        entities = Counter(main_segments(site, key).values())
        got = segments.loc[key]
        assert set(got.index) == set(weights)
        for component_id, weight in weights.items():
            mine, one = rows[rows["component_id"] == component_id], got.loc[component_id]
            assert one["weight"] == weight
            assert one["rows"] == len(mine)
            assert one["share"] == len(mine) / 400
            assert one["entities"] == entities[component_id]
            means = {"mean_score": mine["score"], "mean_price": mine["price"]}
            for name, values in means.items():
                assert one[name] == pytest.approx(values.mean(), rel=1e-12, nan_ok=True)


def test_migration_is_counted_entity_by_entity(site):
    want, got = migration(site), asked(site)
    assert {where: row.entities for where, row in got.items()} == want
    totals = Counter()
    for where, count in want.items():
        totals[where[0]] += count
    for where, row in got.items():
        assert row.share == pytest.approx(want[where] / totals[where[0]], rel=1e-12)
    came = sum(count for (_, _, source, _), count in want.items() if source is None)
    assert came == 20, "ten shops a day are new"


def test_births_and_deaths_are_those_of_the_versions(site):
    then, now = set(components(site, SECOND)), set(components(site, THIRD))
    for (key, _, source, target), row in asked(site).items():
        changed = key == THIRD
        assert row.born == (changed and target is not None and target not in then)
        assert row.died == (changed and source is not None and source not in now)


def test_a_late_block_splits_the_step_over_its_day(site):
    before = site.query(MIGRATION)
    away = site.lake.parent / "late"
    shutil.move(site.folder("transformed", SECOND), away)
    assert site.build(None).passed
    assert {w: r.entities for w, r in asked(site).items()} == migration(site, (FIRST, THIRD))

    shutil.move(away, site.folder("transformed", SECOND))
    built = site.build(SECOND)
    assert built.passed, built.reason
    assert built.key == SECOND
    pd.testing.assert_frame_equal(site.query(MIGRATION), before)


def test_without_entities_shares_move_as_little_as_they_can(site):
    data = site.stream.model_dump()
    data["source"]["entity"] = None
    built = build_marts(Stream.model_validate(data), SECOND, str(site.lake), site.warehouse)
    assert built.passed, built.reason
    assert built.key is None, "another entity is another layout"
    assert site.query("from scoring.entity_segments").empty
    assert site.query("from marts.segments")["entities"].isna().all()

    got = site.query(MIGRATION)
    assert got["entities"].isna().all()
    for before, key in pairwise((FIRST, SECOND, THIRD)):
        ids = sorted({*components(site, before), *components(site, key)})
        p, q = (
            site.rows(k)["component_id"].value_counts(normalize=True).reindex(ids, fill_value=0.0)
            for k in (before, key)
        )
        table = got[got["block_key"] == key].pivot(
            index="from_component_id", columns="to_component_id", values="share"
        )
        flow = table.reindex(index=ids, columns=ids).fillna(0.0).to_numpy()
        np.testing.assert_allclose(flow.sum(axis=1), p, atol=1e-12)
        np.testing.assert_allclose(flow.sum(axis=0), q, atol=1e-12)
        # No movement between these shares is less than the distance of total variation.
        assert 1 - np.trace(flow) == pytest.approx(abs(p - q).sum() / 2, abs=1e-12)


def test_an_entity_is_a_column_that_there_is(site):
    data = site.stream.model_dump()
    data["source"]["entity"] = "household"
    with pytest.raises(ValueError, match=r"entity 'household' is not among group_by \['order_id'"):
        Stream.model_validate(data)
