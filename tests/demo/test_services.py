"""Services of the demo: started, waited for, stopped with all their children."""

from __future__ import annotations

import socket
import sys

import psutil
import pytest

from demo.__main__ import _alone
from demo.services import LOOPBACK, Service, free_port, free_ports, running
from gmm_core.errors import ServiceUnavailable


def server(port: int) -> Service:
    command = [sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK]
    return Service("files", command, port=port, health=f"http://{LOOPBACK}:{port}/")


def test_a_service_is_up_inside_the_block_and_gone_after(tmp_path):
    port, ready = free_port(18400), []
    with running([server(port)], tmp_path, lambda name, _: ready.append(name)) as started:
        pid = started["files"].pid
        assert psutil.pid_exists(pid)
    assert ready == ["files"]
    assert started["files"].poll() is not None
    assert free_port(port) == port


def test_children_are_stopped_too(tmp_path):
    program = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "time.sleep(60)"
    )
    parent = Service("parent", [sys.executable, "-c", program])
    with running([parent], tmp_path, lambda *_: None) as started:
        process = psutil.Process(started["parent"].pid)
        while not (children := process.children()):
            pass
    assert not any(child.is_running() for child in children)


def test_one_that_ends_early_names_its_log(tmp_path):
    broken = Service(
        "broken", [sys.executable, "-c", "import sys; sys.exit(7)"], port=free_port(18450)
    )
    with (
        pytest.raises(ServiceUnavailable, match=r"status 7.*broken\.log"),
        running([broken], tmp_path, print),
    ):
        pass


def test_one_that_stays_silent_is_given_up(tmp_path):
    silent = Service("silent", [sys.executable, "-c", "import time; time.sleep(60)"],
                     port=free_port(18460), patience=0.5)  # fmt: skip
    with (
        pytest.raises(ServiceUnavailable, match="did not answer"),
        running([silent], tmp_path, print),
    ):
        pass


def test_a_busy_port_is_passed_over():
    with socket.socket() as busy:
        busy.bind((LOOPBACK, 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert free_port(port) > port


def test_no_two_services_get_the_same_port():
    wanted = {"one": 18470, "two": 18471}
    with socket.socket() as busy:
        busy.bind((LOOPBACK, 18470))
        busy.listen()
        found = free_ports(wanted)
    assert 18470 not in found.values()
    assert len(set(found.values())) == 2


def test_a_second_demo_on_the_same_folder_is_refused(tmp_path):
    with (
        _alone(tmp_path),
        pytest.raises(ServiceUnavailable, match="is running on"),
        _alone(tmp_path),
    ):
        pass
    with _alone(tmp_path):
        pass
