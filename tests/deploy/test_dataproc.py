"""The scripts of deploy/dataproc, and every shell script by shellcheck."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_file import PROJECT

from gmm_core.spark.conf import read_conf

DATAPROC = PROJECT / "deploy" / "dataproc"
WHERE = ["--project", "p-1", "--region", "europe-west1", "--bucket", "b.lake"]
SCRIPTS = ("small.sh", "production.sh")


def call(script: str, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": path} if path else {})
    command = ["bash", str(DATAPROC / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[str, Path]:
    """A PATH whose gcloud writes down what it is given and keeps the cluster's file."""
    fake, log = tmp_path / "gcloud", tmp_path / "log"
    fake.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "gcloud $*" >> {log}\n'
        f'for one; do case $one in --source=*) cp "${{one#--source=}}" {tmp_path}/kept.yaml;; esac; done\n'
    )
    fake.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}", log


def test_every_shell_script_passes_shellcheck():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.sh"],
        cwd=PROJECT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    scripts = [name for name in listed.split("\0") if name and (PROJECT / name).exists()]
    assert len(scripts) >= 7
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run(
        [shellcheck, "-x", *scripts], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_dry_run_prints_every_command_and_runs_none(script, recorded):
    path, log = recorded
    dry = call(script, "--dry-run", *WHERE, path=path)
    assert dry.returncode == 0, dry.stderr
    assert not log.exists()
    planned = [shlex.split(line) for line in dry.stdout.splitlines()]
    assert [words[0] for words in planned] == ["tar", "gcloud", "gcloud"]
    wet = call(script, *WHERE, path=path)
    assert wet.returncode == 0, wet.stderr
    ran = [shlex.split(line) for line in log.read_text().splitlines()]
    # The same commands, but for the name of the folder that the script works in.
    assert [plain(words) for words in ran] == [plain(words) for words in planned[1:]]


def plain(words: list[str]) -> list[str]:
    return ["/".join(w.split("/")[-1:]) if "/tmp." in w else w for w in words]


def test_the_production_cluster_is_the_file_with_names_filled_in(recorded):
    path, log = recorded
    assert call("production.sh", *WHERE, "--name", "big", path=path).returncode == 0
    assert "clusters import big --project=p-1 --region=europe-west1" in log.read_text()
    text = (log.parent / "kept.yaml").read_text()
    assert "@BUCKET@" not in text.split("config:", 1)[1]
    config = yaml.safe_load(text)["config"]
    assert config["configBucket"] == "b.lake"
    assert config["gceClusterConfig"] == {
        "zoneUri": "europe-west1-b", "internalIpOnly": True,
        "shieldedInstanceConfig": {
            "enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True,
        },
    }  # fmt: skip
    [action] = config["initializationActions"]
    assert action["executableFile"] == "gs://b.lake/blockmix/install.sh"
    assert config["lifecycleConfig"] == {"idleDeleteTtl": "3600s"}


def test_both_clusters_have_the_same_image_and_end_by_themselves():
    image = yaml.safe_load((DATAPROC / "cluster.yaml").read_text())["config"]["softwareConfig"]
    small = (DATAPROC / "small.sh").read_text()
    assert f"--image-version={image['imageVersion']}" in small
    assert "--max-idle=" in small


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_cluster_is_deleted_by_the_same_script(script):
    done = call(script, "--dry-run", "--project", "p", "--region", "r", "--delete")
    assert done.stdout.split() == [
        "gcloud", "dataproc", "clusters", "delete", "blockmix", "--project=p", "--region=r", "--quiet",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "usage"),
        (["--project", "p", "--region", "r"], "usage"),
        ([*WHERE, "--zone"], "usage"),
        ([*WHERE, "--zome", "x"], "usage"),
        ([*WHERE, "--name", "a;rm -rf ~"], "--name: got a;rm -rf ~; allowed"),
        ([*WHERE, "--bucket", "b/../c"], "--bucket: got"),
        ([*WHERE, "--zone", "x\ny"], "--zone: got"),
    ],
)
def test_wrong_arguments_end_before_any_command(arguments, says):
    done = call("small.sh", "--dry-run", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_the_archive_holds_what_the_nodes_install(tmp_path):
    """The command of the dry run itself, with another target, and what install.sh takes from it."""
    dry = call("small.sh", "--dry-run", *WHERE).stdout.splitlines()[0]
    words = shlex.split(dry)
    archive = tmp_path / "blockmix.tar.gz"
    words[words.index("-czf") + 1] = str(archive)
    subprocess.run(words, check=True)
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True)
    names = set(listed.stdout.splitlines())
    for needed in ("requirements/lock.txt", "requirements/overrides.txt", "configs/spark.conf"):
        assert needed in names
        assert f"$home/{needed}" in (DATAPROC / "install.sh").read_text()
    assert {"gmm_core/cli/app.py", "deploy/submit/fit.py", "dags/fit_block.py"} <= names


def test_the_settings_of_the_nodes_are_a_properties_file(tmp_path):
    """The part of install.sh that writes them, run."""
    text = (DATAPROC / "install.sh").read_text()
    part = text[text.index("{\n    cat") : text.index('>"$home/yarn.conf"')]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "spark.conf").write_text((PROJECT / "configs/spark.conf").read_text())
    bare = part.replace("find /usr/local/share/google/dataproc/lib /usr/lib/hadoop/lib", "echo")
    done = subprocess.run(
        ["bash", "-c", f"{bare}> {tmp_path}/yarn.conf"],
        env=os.environ | {"home": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = read_conf(tmp_path / "yarn.conf")
    assert settings["spark.pyspark.python"] == f"{tmp_path}/venv/bin/python"
    assert settings["spark.sql.adaptive.enabled"] == "true"
