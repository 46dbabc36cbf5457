"""What people see of the tables: the page that describes them, and the report of a day."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from orders import KEYS

from gmm_core.errors import NotFound
from gmm_core.warehouse import document_marts
from gmm_core.warehouse.models import models
from gmm_core.warehouse.place import PROJECT

FIRST, SECOND, THIRD = KEYS[:3]
REPORT = PROJECT.parent / "examples" / "daily_report.py"


def test_the_page_has_every_table_and_who_reads_it(site):
    page = document_marts(site.stream, str(site.lake), site.warehouse)
    assert page == site.warehouse / "orders.html"
    text = page.read_text()
    for name in (name for names in models().values() for name in names):
        assert f'"model.blockmix.{name}"' in text
    exposures = yaml.safe_load((PROJECT / "models" / "exposures.yml").read_text())["exposures"]
    assert len(exposures) >= 3
    for exposure in exposures:
        assert f'"exposure.blockmix.{exposure["name"]}"' in text
    assert "unit_test.blockmix" not in text, "the page would draw them as tables"
    assert "The marts of a stream" in text
    assert site.build(SECOND).key == SECOND, "dbt's parse is as it was"


def test_exposures_name_files_that_there_are():
    text = (PROJECT / "models" / "exposures.yml").read_text()
    named = re.findall(r"`((?:examples|docs)/[\w./]+)`", text)
    assert len(named) >= 3
    assert all((PROJECT.parent / path).exists() for path in named)


def test_a_page_needs_tables(site, tmp_path):
    with pytest.raises(NotFound, match=r"not built yet.*blockmix marts orders"):
        document_marts(site.stream, str(site.lake), tmp_path)


def report(*arguments):
    command = [sys.executable, "-I", str(REPORT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_report_tells_of_the_newest_day(site):
    ran = report(site.warehouse / "orders.duckdb")
    assert ran.returncode == 0, ran.stderr
    day = site.query(f"from marts.daily_summary where block_key = '{THIRD}'").iloc[0]
    told = f"{THIRD}: 400 rows, {day['anomalies']} of them anomalies, scored with version 2"
    assert ran.stdout.startswith(told)
    unusual = site.query(f"from marts.anomalies where block_key = '{THIRD}' order by log_prob")
    assert unusual["explanation"][0].partition(": ")[2] in ran.stdout
    for heading in ("segments", "who moved since the block before", "(absent)"):
        assert heading in ran.stdout


def test_the_report_of_the_first_day_has_nobody_who_moved(site):
    ran = report(site.warehouse / "orders.duckdb", FIRST)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rstrip().endswith("none")


@pytest.mark.parametrize("arguments", [("{}", KEYS[7]), ("{}.missing",)])
def test_the_report_says_what_is_missing_in_one_line(site, arguments):
    file = str(site.warehouse / "orders.duckdb")
    ran = report(*(one.format(file) for one in arguments))
    assert ran.returncode == 1
    assert ran.stderr.startswith("daily_report: ")
    assert ran.stderr.count("\n") == 1
