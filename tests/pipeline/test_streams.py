"""Stream files: what is wrong is named with file, key, value and what is allowed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from orders import declaration

from gmm_core.errors import InvalidInput, InvalidStream, NotFound
from gmm_core.pipeline.stream_files import load_stream, load_streams, stream_names
from gmm_core.pipeline.streams import Stream, parse_key

PROJECT = Path(__file__).resolve().parents[2]


def write(folder: Path, data: Any, name: str = "orders") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def change(data: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    *path, last = dotted.split(".")
    inner = data
    for part in path:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return data


def test_the_shipped_streams_are_valid():
    names = stream_names(PROJECT / "dags" / "streams")
    assert "baskets" in names
    assert all(isinstance(s, Stream) for s in load_streams(PROJECT / "dags" / "streams"))


def test_a_file_round_trips(tmp_path, declared, stream):
    write(tmp_path, declared)
    assert load_stream("orders", tmp_path) == stream


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("mixture.k", 0, "greater than or equal to 1"),
        ("mixture.k", 65, "less than or equal to 64"),
        ("mixture.covariance_type", "round", "'full', 'tied', 'diag' or 'spherical'"),
        ("mixture.regularisation", -1, "greater than or equal to 0"),
        ("window.blocks", 0, "greater than or equal to 1"),
        ("window.blocks", "week", "integer"),
        ("window.half_life", 0, "greater than 0"),
        ("window.strategy", "nearest", "hotelling"),
        ("features.price.transform", "cube", "'log'"),
        ("gates.maximum_weight", 2, "less than or equal to 1"),
        ("source.format", "xls", "'parquet'"),
        ("start", "someday", "date"),
        ("start", 20240101, "YYYY-MM-DD"),
        ("drift.baseline", "2024-13-45", "date"),
        ("drift.baseline", 20240501, "YYYY-MM-DD"),
        ("end", "2020-01-01", "must not be before start"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, declared, key, value, allowed):
    path = write(tmp_path, change(declared, key, value))
    with pytest.raises(InvalidStream) as caught:
        load_stream("orders", tmp_path)
    text = str(caught.value)
    assert str(path) in text
    assert key in text
    assert repr(value) in text or str(value) in text
    assert allowed in text


@pytest.mark.parametrize("day", ["2024-05-02", "'2024-05-02'"])
def test_a_day_is_one_with_and_without_quotes(tmp_path, declared, day):
    write(tmp_path, f"{yaml.safe_dump(declared)}\ndrift: {{baseline: {day}}}\n")
    assert str(load_stream("orders", tmp_path).drift.baseline) == "2024-05-02"


def test_a_day_that_no_calendar_has_is_an_error_with_the_file(tmp_path, declared):
    path = write(tmp_path, f"{yaml.safe_dump(declared)}\ndrift: {{baseline: 2024-13-45}}\n")
    with pytest.raises(InvalidStream, match=f"{path}.*month"):
        load_stream("orders", tmp_path)


def test_an_unknown_key_lists_the_known_ones(tmp_path, declared):
    write(tmp_path, change(declared, "window.length", 7))
    with pytest.raises(InvalidStream, match=r"window\.length.*blocks, minimum_blocks, strategy"):
        load_stream("orders", tmp_path)


def test_a_missing_key_is_named(tmp_path, declared):
    del declared["mixture"]["k"]
    write(tmp_path, declared)
    with pytest.raises(InvalidStream, match=r"mixture\.k.*required"):
        load_stream("orders", tmp_path)


@pytest.mark.parametrize("text", ["a: [1, 2", "- just\n- a list", "", "\tx: 1"])
def test_text_that_is_no_mapping_is_an_error_with_the_file(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(InvalidStream, match=str(path)):
        load_stream("orders", tmp_path)


def test_a_log_feature_needs_positive_values(tmp_path, declared):
    write(tmp_path, change(declared, "features.price.minimum", 0))
    with pytest.raises(InvalidStream, match=r"features\.price.*above 0"):
        load_stream("orders", tmp_path)


@pytest.mark.parametrize("name", ["score", "component", "event_time", "price_normalised"])
def test_a_column_must_not_take_a_name_of_ours(tmp_path, declared, name):
    write(tmp_path, change(declared, f"source.columns.{name}", "price"))
    with pytest.raises(InvalidStream, match=f"{name}.*names that Blockmix gives"):
        load_stream("orders", tmp_path)


@pytest.mark.parametrize("name", ["price", "Price"])
def test_a_column_is_named_once(tmp_path, declared, name):
    write(tmp_path, change(declared, "source.group_by", [name]))
    with pytest.raises(InvalidStream, match=r"price.*named twice"):
        load_stream("orders", tmp_path)


def test_a_feature_must_be_a_column(tmp_path, declared):
    write(tmp_path, change(declared, "features.colour", {"minimum": 0, "maximum": 1}))
    with pytest.raises(InvalidStream, match=r"colour.*source\.columns"):
        load_stream("orders", tmp_path)


def test_the_name_is_the_files_own(tmp_path, declared):
    write(tmp_path, declared, name="other")
    with pytest.raises(InvalidStream, match="'other'"):
        load_stream("other", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "../orders", "/etc/passwd", ""])
def test_an_unknown_name_lists_the_known_and_never_leaves_the_folder(tmp_path, declared, name):
    inside = tmp_path / "streams"
    inside.mkdir()
    write(tmp_path, declared)
    write(inside, {**declared, "stream": "mine"}, name="mine")
    with pytest.raises(NotFound, match="mine"):
        load_stream(name, inside)


def test_one_wrong_file_leaves_the_others(tmp_path, declared):
    write(tmp_path, {**declared, "stream": "good"}, name="good")
    write(tmp_path, "nonsense", name="bad")
    bad, good = load_streams(tmp_path)
    assert isinstance(bad, InvalidStream)
    assert isinstance(good, Stream)


def test_overrides_are_checked_like_files(stream):
    changed = stream.with_overrides(k=5, window=2, covariance_type="diag")
    assert (changed.mixture.k, changed.window.blocks, changed.mixture.covariance_type) == (
        5,
        2,
        "diag",
    )
    assert stream.with_overrides() == stream
    with pytest.raises(InvalidInput, match=r"mixture\.k.*99"):
        stream.with_overrides(k=99)


def test_fingerprints_change_with_what_they_stand_for(stream):
    wider, richer = stream.with_overrides(window=9), stream.with_overrides(k=9)
    assert wider.fit_fingerprint == stream.fit_fingerprint
    assert wider.window_fingerprint != stream.window_fingerprint
    assert fading(stream, 3.0).window_fingerprint != stream.window_fingerprint
    assert fading(stream, 3.0).window_fingerprint != fading(stream, 4.0).window_fingerprint
    assert fading(stream, 3.0).fit_fingerprint == stream.fit_fingerprint
    assert richer.fit_fingerprint != stream.fit_fingerprint
    assert richer.window_fingerprint != stream.window_fingerprint


def fading(stream: Stream, half_life: float) -> Stream:
    window = stream.window.model_copy(update={"half_life": half_life})
    return stream.model_copy(update={"window": window})


def test_an_option_that_a_stream_does_not_take_is_not_in_its_fingerprint(stream):
    """So an upgrade that only adds one does not merge every window anew."""
    settings = {
        "k": 3,
        "covariance_type": "full",
        "window": {"blocks": 4, "minimum_blocks": 1, "strategy": "default"},
        "scoring": {"anomaly_above": 0.999},
        "seed": 0,
    }
    text = json.dumps(settings, sort_keys=True)
    assert stream.window_fingerprint == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "key", ["2017-3-14", "20170314", "2017-02-30", "2017-03-14/..", "", "today"]
)
def test_a_key_is_a_day(key):
    with pytest.raises(InvalidInput, match="2017-03-14"):
        parse_key(key)


@pytest.mark.parametrize(
    ("changes", "most", "fewest"),
    [
        ({}, 6, 3),
        ({"mixture": {"k": 3, "block_k": 5}}, 5, None),
        ({"window": {"blocks": 4, "k": {"minimum": 2, "maximum": 5}}}, 6, 5),
        ({"window": {"blocks": 4, "k": {"minimum": 1, "maximum": 2}}}, 6, 3),
    ],
)
def test_a_block_has_as_many_components_as_a_window_of_it_alone_may_need(changes, most, fewest):
    stream = Stream.model_validate(declaration(**changes))
    assert (stream.of_a_block["k"], stream.of_a_block["fewest"]) == (most, fewest)


def test_what_a_block_must_have_at_least_is_in_its_fingerprint():
    one, same, other = (
        Stream.model_validate(
            declaration(window={"blocks": 4, "k": {"minimum": 1, "maximum": most}})
        )
        for most in (2, 3, 5)
    )
    assert one.fit_fingerprint == same.fit_fingerprint != other.fit_fingerprint
