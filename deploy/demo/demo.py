#!/usr/bin/python3
"""The demo: an issuer, a service and the gate, all real, all on loopback; then a request that passes and four that do not.
--keep leaves everything running for hand use. Everything it started is stopped at the end."""

import argparse
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

BOLD, DIM, GREEN, RED, PLAIN = (("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m")
                                if sys.stdout.isatty() else ("",) * 5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service(http.server.BaseHTTPRequestHandler):
    """The sample service: says what reached it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        shown = {name: value for name, value in self.headers.items()
                 if name.lower().startswith(("x-popgate", "x-forwarded-client", "authorization", "dpop"))}
        body = json.dumps({"hello": self.headers.get("X-Popgate-Subject", "nobody"),
                           "path": self.path, "what the service saw": shown}, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def issuer_of(demo):
    class Issuer(http.server.BaseHTTPRequestHandler):
        """The demo issuer: the keys it knows are registered, so a token is bound to its client's key."""

        def do_POST(self):
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            client = form.get("client_id", [""])[0]
            if client not in demo.clients:
                self.send_error(401)
                return
            token = demo.popgate("token", "--dir", demo.authority, "--client-id", client,
                                 "--audience", demo.url, "--subject", client, "--jkt-from", demo.clients[client])
            body = json.dumps({"access_token": token, "token_type": "DPoP", "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Issuer


class Demo:
    def __init__(self, binary, keep):
        self.binary, self.keep = str(pathlib.Path(binary).resolve()), keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="popgate-demo-"))
        self.authority = self.folder / "authority"
        self.port, self.admin_port = (8443, 9901) if keep else (free_port(), free_port())
        self.url = f"https://localhost:{self.port}"
        self.lines, self.gate, self.servers = [], None, []
        self.clients = {"client-a": self.authority / "dpop-a.key", "client-b": self.authority / "dpop-b.key"}

    def popgate(self, *arguments):
        return subprocess.run([self.binary, *map(str, arguments)], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def serve(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return server.server_address[1]

    def start(self):
        service_port = self.serve(Service)
        self.issuer_port = self.serve(issuer_of(self))
        self.popgate("demo-authority", self.authority, "--listen", f"127.0.0.1:{self.port}",
                     "--upstream", f"http://127.0.0.1:{service_port}",
                     "--audience", self.url)
        config = self.authority / "popgate.yaml"
        config.write_text(config.read_text().replace("127.0.0.1:9901", f"127.0.0.1:{self.admin_port}"))
        self.gate = subprocess.Popen([self.binary, "run", "-c", str(config)], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()
        for _ in range(400):
            if self.gate.poll() is not None:
                raise SystemExit("popgate ended:\n" + "\n".join(self.lines))
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("popgate is not ready:\n" + "\n".join(self.lines))

    def _read(self):
        for line in self.gate.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    def stop(self):
        if self.gate and self.gate.poll() is None:
            self.gate.send_signal(signal.SIGTERM)
            self.gate.wait(30)
        for server in self.servers:
            server.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask_token(self, client):
        data = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.issuer_port}/token", data, timeout=10) as answer:
            return json.load(answer)["access_token"]

    def proof(self, token, key, path):
        return self.popgate("proof", "--key", key, "--method", "GET", "--url", self.url + path,
                            "--token", token)

    def curl(self, certificate, path, token=None, proof=None):
        """(HTTP status or 0, the answer as text)."""
        file = self.authority
        command = ["curl", "--silent", "--show-error", "--max-time", "20", "--include", "--cacert",
                   str(file / "ca.crt"), "--cert", str(file / f"{certificate}.crt"), "--key",
                   str(file / f"{certificate}.key")]
        if token:
            command += ["-H", f"Authorization: DPoP {token}"]
        if proof:
            command += ["-H", f"DPoP: {proof}"]
        result = subprocess.run([*command, self.url + path], capture_output=True, text=True)
        if result.returncode != 0:
            return 0, result.stderr.strip()
        return int(result.stdout.split(" ", 2)[1]), result.stdout.replace("\r", "").strip()

    def log_after(self, count):
        """The log line that the last step caused: the newest of those that came since."""
        for _ in range(60):
            lines = [line for line in self.lines[count:] if line.startswith("{")]
            if lines:
                return lines[-1]
            time.sleep(0.05)
        return "(no log line)"

    def step(self, title, expected, certificate, path, token=None, proof=None):
        before = len(self.lines)
        status, answer = self.curl(certificate, path, token, proof)
        good = status == expected
        color = GREEN if status == 200 else RED
        print(f"\n{BOLD}{title}{PLAIN}")
        shown = [line for line in answer.splitlines() if line]
        print("\n".join(f"    {color if i == 0 else ''}{line}{PLAIN}" for i, line in enumerate(shown)))
        print(f"{DIM}    log: {self.log_after(before)}{PLAIN}")
        if not good:
            print(f"    UNEXPECTED: {status or 'no answer'} instead of {expected or 'a refused handshake'}")
        return good


def transcript(demo):
    token = demo.ask_token("client-a")
    key, other = demo.clients["client-a"], demo.clients["client-b"]
    proof = demo.proof(token, key, "/orders")
    good = demo.step("1. A request with a fresh proof passes", 200, "client-a", "/orders", token, proof)
    good &= demo.step("2. The same request again: a replay", 401, "client-a", "/orders", token, proof)
    good &= demo.step("3. The token, stolen: its own proof cannot be made, so the thief signs with another key", 401,
                      "client-b", "/orders", token, demo.proof(token, other, "/orders"))
    good &= demo.step("4. The token alone, without any proof", 401, "client-b", "/orders", token)
    good &= demo.step("5. A client certificate of another authority: no handshake, no HTTP", 0, "stranger",
                      "/orders", token, demo.proof(token, key, "/orders"))
    return good


def print_hand_use(demo):
    file = demo.authority
    print(f"""
{BOLD}Running. To try it by hand, in another shell:{PLAIN}

    TOKEN=$(curl -s -d client_id=client-a http://127.0.0.1:{demo.issuer_port}/token | sed 's/.*"access_token": "\\([^"]*\\)".*/\\1/')
    curl --cacert {file}/ca.crt --cert {file}/client-a.crt --key {file}/client-a.key \\
        -H "Authorization: DPoP $TOKEN" \\
        -H "$({demo.binary} proof --header --key {file}/dpop-a.key --url {demo.url}/orders --token "$TOKEN")" {demo.url}/orders

    curl http://127.0.0.1:{demo.admin_port}/metrics

Ctrl-C ends it.""", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--popgate", required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    demo = Demo(options.popgate, options.keep)
    try:
        demo.start()
        print(f"{BOLD}popgate{PLAIN} on {demo.url}, in front of a service on loopback; "
              f"an issuer on http://127.0.0.1:{demo.issuer_port}")
        if demo.keep:
            print_hand_use(demo)
            return 0
        good = transcript(demo)
        print(f"""
{BOLD}Next{PLAIN}
    make run     keeps this running, with the curl lines to type
    make test    checks all of it, and every attack we know
    README.md    how to put it in front of a service of yours""")
        return 0 if good else 1
    except KeyboardInterrupt:
        return 130
    finally:
        demo.stop()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
