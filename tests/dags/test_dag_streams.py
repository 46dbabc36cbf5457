"""One YAML file makes three DAGs; a wrong one makes one import error and harms nobody else."""

from __future__ import annotations

import pytest


def test_a_second_stream_adds_three_dags_and_a_choice(declare, parse):
    declare()
    before = set(parse().dags)
    declare("visits")
    after = parse()
    assert after.import_errors == {}
    assert set(after.dags) - before == {
        "visits_fit_block",
        "visits_merge_window",
        "visits_transform",
    }
    choice = after.dags["blockmix_request"].params.get_param("stream")
    assert choice.schema["enum"] == ["orders", "visits"]


def test_the_dags_of_a_stream_belong_to_its_owner(declare, parse):
    declare("visits", owner="web-team")
    bag = parse()
    for kind in ("fit_block", "merge_window", "transform"):
        dag = bag.dags[f"visits_{kind}"]
        assert dag.owner == "web-team"
        assert dag.tags == {"blockmix", "stream:visits"}


def test_a_stream_without_an_end_keeps_running(declare, parse):
    declare(end=None)
    assert parse().dags["orders_fit_block"].end_date is None


@pytest.mark.parametrize(
    ("changes", "key", "got", "allowed"),
    [
        ({"mixture": {"k": 200}}, "mixture.k", "200", "64"),
        ({"window": {"blocks": 3, "days": 7}}, "window.days", "7", "blocks, minimum_blocks"),
        ({"features": {}}, "features", "{}", "at least 1"),
        ({"owner": ["a", "b"]}, "owner", "['a', 'b']", "string"),
    ],
)
def test_a_wrong_stream_file_is_one_import_error(declare, parse, changes, key, got, allowed):
    declare()
    wrong = declare("wrong", **changes)
    bag = parse()
    assert len(bag.dags) == 5, "the DAGs of the right stream stay"
    ((file, text),) = bag.import_errors.items()
    assert file.endswith("check_streams.py")
    last = text.strip().splitlines()[-1]
    for part in (str(wrong), key, got, allowed):
        assert part in last


def test_every_wrong_file_is_named(declare, parse):
    paths = [declare("first", mixture={"k": 0}), declare("second", window={"blocks": 0})]
    paths[1].write_text("stream: [unclosed")
    bag = parse()
    assert bag.dags == {}, "and no form without a stream to choose"
    (text,) = bag.import_errors.values()
    assert all(str(path) in text for path in paths)


@pytest.fixture
def form(bag, stored):
    """The parameters of the request as the API server has them."""
    return stored(bag.dags["blockmix_request"]).params


def test_the_form_is_bounded(form):
    from airflow.exceptions import ParamValidationError

    assert list(form) == ["stream", "first_day", "last_day", "k", "window", "covariance_type"]
    for name in form:
        assert form.get_param(name).schema["title"]
    good = {"stream": "orders", "first_day": "2024-05-01", "last_day": "2024-05-02"}
    checked = form.deep_merge(
        {**good, "k": 64, "window": 366, "covariance_type": "diag"}
    ).validate()
    assert checked["k"] == 64
    wrong = [
        {"stream": "other"}, {"first_day": None}, {"last_day": "yesterday"}, {"k": 0}, {"k": 65},
        {"k": 1.5}, {"window": 0}, {"window": 367}, {"covariance_type": "round"},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(ParamValidationError):
            form.deep_merge({**good, **change}).validate()


def test_the_form_asks_for_the_days(form):
    from airflow.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        form.validate()


def test_a_run_by_hand_needs_no_field(bag):
    for dag_id in ("orders_fit_block", "orders_merge_window", "orders_transform"):
        values = bag.dags[dag_id].params.validate()
        assert set(values.values()) == {None}, "empty means the stream's own setting"
    assert set(values) == {"block_key", "version"}
