"""A real redis-server of the test's own, and a switch to put in front of several."""

import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .gate import free_port

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")


class Redis:
    def __init__(self, *options, port=None, tls=None):
        """`tls`: (certificate, key, ca) paths; then the port speaks TLS alone."""
        self.port = port or free_port()
        self.options, self.tls = list(options), tls
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="popgate-redis-"))
        self.process = None
        self.start()

    def start(self):
        arguments = [SERVER, "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--appendonly", "no",
                     "--repl-diskless-sync-delay", "0", "--maxmemory-policy", "noeviction"]
        if self.tls:
            certificate, key, authority = map(str, self.tls)
            arguments += ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", certificate,
                          "--tls-key-file", key, "--tls-ca-cert-file", authority, "--tls-auth-clients", "optional"]
        else:
            arguments += ["--port", str(self.port)]
        self.process = subprocess.Popen(arguments + self.options, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "redis-server ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise AssertionError("redis-server does not listen")

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.kill()
        return self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words, password=None):
        """One command's answer, as text; an error is its text, with the '-'."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            file = connection.makefile("rwb")
            if password:
                self._ask(file, "AUTH", password)
            return self._ask(file, *words)

    def _ask(self, file, *words):
        data = b"*%d\r\n" % len(words)
        for word in words:
            raw = word.encode() if isinstance(word, str) else word
            data += b"$%d\r\n%s\r\n" % (len(raw), raw)
        file.write(data)
        file.flush()
        return self._read(file)

    def _read(self, file):
        line = file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2].decode("latin-1")
        if kind == b"*":
            return [self._read(file) for _ in range(int(rest))]
        return line.decode() if kind == b"-" else rest.decode()

    def keys(self):
        return int(self.command("DBSIZE"))


class Switch:
    """A port that leads to whichever server it is told; connections of before are cut."""

    def __init__(self, target):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target, self.pairs, self.open = target, [], True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def to(self, target):
        self.target = target
        for pair in list(self.pairs):
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _run(self):
        while self.open:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near, far):
        try:
            while True:
                for one in select.select([near, far], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
        except OSError:
            pass
        finally:
            near.close()
            far.close()
            self.pairs.remove((near, far))

    def end(self):
        self.open = False
        self.listener.close()
        self.to(self.target)
