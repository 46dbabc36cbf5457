"""The quality site: pages people can read without a network, written by many processes at a time."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectationsGate
from gmm_core.moments import Moments
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary

KEY = KEYS[3]


def text(page: Path | str) -> str:
    """What a reader sees of a page."""
    html = re.sub(r"<style>.*?</style>", "", Path(page).read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("&#39;", "'").split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def refused(root: Path, stream: Stream) -> GateReport:
    rows = make_rows(KEY)
    rows.loc[:99, "price"] = 120_000.0
    return ExpectationsGate(root).check_rows(stream, KEY, rows)


def test_the_page_of_a_report_tells_a_person_what_failed(refused: GateReport) -> None:
    page = Path(refused.page)
    assert page.is_absolute()
    assert page.parts[-6:-2] == ("validations", "orders", "rows", KEY)
    seen = text(page)
    assert f"orders, block {KEY}: rows gate" in seen
    assert "Refused: 1 of 16 checks failed" in seen
    assert f"blockmix release orders {KEY} --why REASON" in seen, "what to do stands beside it"
    first = seen.index("price: between 0.01 and 10000 dollars")
    assert "25.0 % outside, e.g. 120000" in seen[first:]
    assert first < seen.index("Every row has its event time.")  # what failed comes first


def test_the_page_of_a_pass_shows_what_was_found(
    root: Path, stream: Stream, blocks: list[BlockSummary]
) -> None:
    seen = text(ExpectationsGate(root).check_summary(stream, blocks[0]).page)
    assert "Passed: all 7 checks hold" in seen
    assert "blockmix release" not in seen
    assert "The weights of the components sum to one. 1 ± 1e-12 1" in seen


def test_pages_need_no_other_host(root: Path, refused: GateReport) -> None:
    pages = [*(root / "gx" / "docs").rglob("*.html")]
    assert {"index.html", "orders.html"} < {page.name for page in pages}
    for page in pages:
        html = page.read_text()
        assert "://" not in html
        for target in re.findall(r'(?:href|src)="([^"]+)"', html):
            assert target == "data:," or (page.parent / target).is_file(), target


def test_names_that_look_like_markup_are_shown_as_they_are(
    root: Path, stream: Stream, rows: pd.DataFrame
) -> None:
    price = stream.features["price"].model_copy(update={"unit": "<script>"})
    marked = stream.model_copy(update={"features": {**stream.features, "price": price}})
    html = Path(ExpectationsGate(root).check_rows(marked, KEY, rows).page).read_text()
    assert "<script>" not in html
    assert "dollars" not in html
    assert "&lt;script&gt;" in html


def test_a_served_site_gives_the_address_of_the_page(
    tmp_path: Path, stream: Stream, blocks: list[BlockSummary]
) -> None:
    gate = ExpectationsGate(tmp_path, docs_url="http://127.0.0.1:8300/quality/")
    report = gate.check_summary(stream, blocks[0])
    start = f"http://127.0.0.1:8300/quality/validations/orders/fit/{KEYS[0]}/"
    assert report.page.startswith(start)
    served = report.page.removeprefix("http://127.0.0.1:8300/quality/")
    assert (tmp_path / "gx" / "docs" / served).is_file()


def test_looking_again_keeps_both_reports_and_shows_the_newest(
    tmp_path: Path, stream: Stream, rows: pd.DataFrame
) -> None:
    gate = ExpectationsGate(tmp_path)
    bad = gate.check_rows(stream, KEY, rows.iloc[:10])
    good = gate.check_rows(stream, KEY, rows)
    assert bad.page != good.page
    assert "Refused" in text(bad.page)
    assert "Passed" in text(good.page)
    overview = (tmp_path / "gx" / "docs" / "orders.html").read_text()
    assert "16/16" in overview
    assert "15/16" not in overview


def test_the_project_opens_and_rebuilds_as_any_great_expectations_project(
    tmp_path: Path, stream: Stream, rows: pd.DataFrame, blocks: list[BlockSummary]
) -> None:
    import great_expectations as gx

    gate = ExpectationsGate(tmp_path)
    pages = [gate.check_rows(stream, KEY, rows[:10]).page, gate.check_rows(stream, KEY, rows).page]
    pages.append(gate.check_summary(stream, blocks[0]).page)
    docs = tmp_path / "gx" / "docs"
    before = {page: page.read_text() for page in docs.rglob("*.html")}
    assert set(map(Path, pages)) < set(before)
    for page in before:
        page.unlink()
    (tmp_path / "gx" / "overviews" / "orders.json").unlink()
    gx.get_context(mode="file", project_root_dir=str(tmp_path)).build_data_docs()
    assert {page: page.read_text() for page in docs.rglob("*.html")} == before


def test_processes_that_validate_at_the_same_time_lose_nothing(
    tmp_path: Path, stream: Stream, blocks: list[BlockSummary]
) -> None:
    """Real processes, one stream and gate, so one suite name: every answer is its own block's."""

    def named(key: str, index: int) -> BlockSummary:
        good = replace(blocks[index % len(blocks)], key=key)
        if index % 3:
            return good
        moments = good.moments
        off = Moments(moments.weight, moments.mean + 1e-6 * (index + 1), moments.scatter)
        return replace(good, moments=off)

    keys = [f"2024-06-{day:02d}" for day in range(1, 19)]
    summaries = [named(key, index) for index, key in enumerate(keys)]
    summaries += summaries[:6]  # and some blocks twice
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["expectations.site", "expectations.suites"])
    with processes.Pool(4, maxtasksperchild=3) as pool:
        reports = pool.starmap(
            ExpectationsGate.check_summary,
            [(ExpectationsGate(tmp_path), stream, summary) for summary in summaries],
            chunksize=1,
        )
    alone = ExpectationsGate(tmp_path / "alone")
    expected = {
        summary.key: alone.check_summary(stream, summary).checks for summary in summaries[:18]
    }
    home = tmp_path / "gx"
    overview = json.loads((home / "overviews" / "orders.json").read_text())
    assert sorted(overview) == keys
    assert len({report.page for report in reports}) == len(reports) == 24
    for summary, report in zip(summaries, reports, strict=True):
        assert report.checks == expected[summary.key]
        assert overview[summary.key]["fit"]["score"] == report.score
        page = text(report.page)
        assert f"block {summary.key}" in page
        assert all(check.got in page for check in report.checks)
    stored = [json.loads(file.read_text()) for file in (home / "results").rglob("*.json")]
    assert len(stored) == 24
    linked = re.findall(r'href="(validations/[^"]+)"', (home / "docs" / "orders.html").read_text())
    assert len(linked) == 18
    assert not list(home.rglob(".*.html.*"))  # nothing half-written is left


def test_importing_the_package_does_not_import_the_library() -> None:
    code = (
        "import os, logging, sys, expectations\n"
        "heavy = {'great_expectations', 'pyspark', 'filelock'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert os.environ['GX_ANALYTICS_ENABLED'] == 'false'\n"
        "assert logging.getLogger('great_expectations').level == logging.WARNING\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
