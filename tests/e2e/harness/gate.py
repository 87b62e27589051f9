"""popgate as a process: configured, started, waited for, and stopped in order."""

import fcntl
import json
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

POPGATE = os.environ.get("POPGATE") or str(pathlib.Path(__file__).resolve().parents[3]
                                           / "build" / "popgate")
SANITIZED = bool(os.environ.get("POPGATE_SANITIZED"))


_reserved = []


def free_port():
    """A port that nobody listens on, and that no other run of these tests takes meanwhile: the gate listens with SO_REUSEPORT,
    so two of one user would share a port and each get the other's clients. Below the ephemeral ports, so that no outgoing
    connection has it either."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"popgate-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for _ in range(1000):
        port = random.SystemRandom().randrange(15000, 32000)
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _reserved.append(lock)
        if len(_reserved) > 50:  # by now the gate listens, or is gone
            os.close(_reserved.pop(0))
        return port
    raise AssertionError("no free port")


def merged(base, changes):
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


class Gate:
    """Start with `with Gate(config) as gate:`. `stop` checks that the process ended well."""

    def __init__(self, config, *, folder=None, descriptors=None, preexec=None, environment=None,
                 arguments=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="popgate-"))
        self.port, self.admin_port = free_port(), free_port()
        self.config = merged({"listen": f"127.0.0.1:{self.port}",
                              "admin": {"listen": f"127.0.0.1:{self.admin_port}"}}, config)
        self.descriptors, self.preexec, self.arguments = descriptors, preexec, list(arguments)
        self.environment = dict(os.environ, **(environment or {}))
        self.lines, self.process = [], None
        self.config_path = self.folder / "popgate.yaml"
        self.write_config()

    def write_config(self, config=None):
        # JSON is YAML: what is tested is the gate, not an emitter.
        self.config_path.write_text(json.dumps(config or self.config, indent=1))

    def _before_exec(self):
        if self.descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))
        if self.preexec:
            self.preexec()

    def start(self, ready=True, timeout=20):
        self.process = subprocess.Popen(
            [POPGATE, "run", "-c", str(self.config_path), *self.arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment,
            preexec_fn=self._before_exec)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if ready:
            self.wait_ready(timeout)
        return self

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def wait_ready(self, timeout):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.reader.join(5)
                raise AssertionError(f"popgate ended with {self.process.returncode}:\n" + self.output)
            try:
                if self.admin("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("popgate is not ready:\n" + self.output)

    def admin(self, path, headers=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}",
                                         headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name, **labels):
        """The sum of a metric's samples whose labels include these."""
        total = 0.0
        for line in self.admin("/metrics")[1].splitlines():
            head, _, value = line.rpartition(" ")
            base, _, rest = head.partition("{")
            if base == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += float(value)
        return total

    @property
    def output(self):
        return "\n".join(self.lines)

    def log(self, **fields):
        """The JSON log lines that have these members."""
        found = []
        for line in list(self.lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and all(entry.get(k) == v for k, v in fields.items()):
                found.append(entry)
        return found

    def wait_log(self, timeout=5, **fields):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.log(**fields)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no log line with {fields}:\n{self.output[-4000:]}")

    def wait_output(self, words, timeout=5):
        """Until it has printed them: the log has a thread of its own, a metric may be there before its line."""
        deadline = time.monotonic() + timeout
        while words not in self.output:
            if time.monotonic() > deadline:
                raise AssertionError(f"{words!r} is not in:\n{self.output[-4000:]}")
            time.sleep(0.02)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, timeout=40):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("popgate did not end on SIGTERM:\n" + self.output[-4000:])
        self.reader.join(10)
        assert self.process.returncode == 0, (
            f"popgate ended with {self.process.returncode}:\n{self.output[-8000:]}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()
