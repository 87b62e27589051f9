"""What a service manager is told (sd_notify), and the unit that is shipped."""

import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from harness.gate import Gate
from harness.upstream import Upstream

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_reloading_stopping(world, backend, tmp_path, abstract):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(10)
    name = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    listener.bind("\0" + name[1:] if abstract else name)
    upstream = Upstream()
    gate = Gate(world.config(upstream, backend), environment={"NOTIFY_SOCKET": name}).start(ready=False)
    assert listener.recv(4096) == b"READY=1"
    assert gate.admin("/readyz")[0] == 200, "not before it is true"
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    gate.signal(signal.SIGHUP)
    lines = dict(line.split("=") for line in listener.recv(4096).decode().split("\n"))
    assert lines["RELOADING"] == "1" and int(lines["MONOTONIC_USEC"]) > 0
    assert listener.recv(4096) == b"READY=1"
    assert gate.metric("popgate_config_generation") == 2
    gate.signal(signal.SIGTERM)
    assert listener.recv(4096) == b"STOPPING=1"
    gate.stop()
    upstream.stop()


def test_a_service_manager_that_does_not_listen_changes_nothing(world, start):
    gate, _ = start(gate_options={"environment": {"NOTIFY_SOCKET": "/nowhere/at/all"}})
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    assert gate.wait_log(event="notify")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_the_unit_is_one_and_keeps_its_service_in_bounds(tmp_path):
    unit = tmp_path / "popgate.service"
    text = (DEPLOY / "systemd" / "popgate.service").read_text()
    program = tmp_path / "popgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(text.replace("/usr/local/bin/popgate", str(program)))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    complaints = [line for line in result.stderr.splitlines() if unit.name in line]
    assert result.returncode == 0 and not complaints, result.stderr
    rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
                           capture_output=True, text=True)
    assert rated.returncode == 0, rated.stdout[-3000:] + rated.stderr
