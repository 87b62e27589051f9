"""The proxies that are compared: each configured for the same job, started on one core, checked to do it."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

CIPHER = "TLS_AES_128_GCM_SHA256"
# How a proxy reaches the service. nginx has no HTTP/2 to it, mod_oauth2's Apache is compared over TCP alone.
UPSTREAMS = ("tcp", "unix", "h2c", "h2c+unix")


def end_when_told():
    """SIGTERM unwinds as an exception does, so that whom we started does not outlive us."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def find_program(name):
    """Its path, or None; servers' folder is not in everyone's search path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def free_port():
    """Below the ports that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_for_port(port, process, what):
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"{what} ended with {process.returncode} at its start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"{what} does not listen")


def process_tree(root):
    """`root` and everything below it."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        process = queue.pop()
        found.append(process)
        queue += parents.get(process, [])
    return found


class Process:
    """On one CPU, in a session of its own, ended by its own id."""

    def __init__(self, name, cpu, command, log, environment=None):
        self.name, self.log = name, log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cpu), *map(str, command)], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env=dict(os.environ, **(environment or {})), start_new_session=True)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Setup:
    """What all of them share: keys and certificates, the upstream, the cores."""

    access_log = False  # a line for each request, to a file, by all of them

    def __init__(self, folder, popgate, upstream_binary, proxy_cpu, client_cpu, connections_max):
        self.folder, self.popgate = pathlib.Path(folder), str(popgate)
        self.proxy_cpu, self.client_cpu, self.connections_max = proxy_cpu, client_cpu, connections_max
        self.authority = self.folder / "authority"
        subprocess.run([self.popgate, "demo-authority", str(self.authority)], check=True,
                       stdout=subprocess.DEVNULL)
        self.server_pem = self.folder / "server.pem"
        self.server_pem.touch(mode=0o600)
        self.server_pem.write_text((self.authority / "server.crt").read_text()
                                   + (self.authority / "server.key").read_text())
        self.upstream_port, self.upstream_path = free_port(), self.folder / "service.sock"
        self.upstream = Process("upstream", client_cpu, [upstream_binary, self.upstream_path, self.upstream_port],
                                self.folder / "upstream.log")
        wait_for_port(self.upstream_port, self.upstream.process, "the upstream")
        self.upstream_path.chmod(0o777)  # the proxies' workers are other users

    def issuer_jwk(self):
        return json.loads((self.authority / "jwks.json").read_text())["keys"][0]


class Proxy:
    verifies = False   # answers 401 to a request without credentials
    remembers = False  # refuses a proof it has seen
    workers = 1        # threads or processes; the peers' only, for a gate's are among its changes

    def __init__(self, setup, name, upstream="tcp"):
        self.setup, self.name, self.upstream = setup, name, upstream
        self.port, self.cpu = free_port(), setup.proxy_cpu
        self.folder = setup.folder / name.replace(" ", "-").replace(",", "")
        self.folder.mkdir()

    def start(self):
        self.running = Process(self.name, self.cpu, self.command(), self.folder / "log",
                               self.environment())
        wait_for_port(self.port, self.running.process, self.name)
        time.sleep(0.3)
        return self

    def environment(self):
        return {}

    def pids(self):
        return process_tree(self.running.process.pid)

    def stop(self):
        self.running.stop()

    @property
    def url(self):
        return f"https://localhost:{self.port}"


class Popgate(Proxy):
    def __init__(self, setup, name, mode, binary=None, changes=None, environment=None, upstream="tcp"):
        super().__init__(setup, name, upstream)
        self.mode, self.binary, self.changes = mode, str(binary or setup.popgate), changes or {}
        self.more_environment = environment or {}
        self.verifies = self.remembers = mode == "enforce"

    def environment(self):
        return self.more_environment

    def upstream_url(self):
        scheme, _, unix = self.upstream.partition("+")
        scheme, unix = ("http", scheme == "unix") if scheme != "h2c" else ("h2c", bool(unix))
        return (f"{scheme}+unix://{self.setup.upstream_path}" if unix
                else f"{scheme}://127.0.0.1:{self.setup.upstream_port}")

    def command(self):
        authority = self.setup.authority
        self.admin_port = free_port()
        config = {
            "listen": f"127.0.0.1:{self.port}", "workers": 1,
            "upstream": self.upstream_url(),
            "tls": {"certificate": str(authority / "server.crt"), "private_key": str(authority / "server.key"),
                    "client_ca": str(authority / "ca.crt")},
            "public_origins": [self.url],
            "issuers": [{"issuer": "https://issuer.demo.popgate", "audience": self.url,
                         "jwks_file": str(authority / "jwks.json")}],
            "dpop": {"mode": self.mode},
            "replay": {"cold_start": "accept"},
            "timeouts": {"idle": "300s"},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "log": {"access": self.setup.access_log},
        }
        for key, value in self.changes.items():
            config[key] = {**config[key], **value} if isinstance(value, dict) and key in config else value
        path = self.folder / "popgate.yaml"
        path.write_text(json.dumps(config, indent=1))  # JSON is YAML
        return [self.binary, "run", "-c", path]


class Redis:
    """The replay memory that replicas share, beside the generator: on its core, without a disk."""

    def __init__(self, setup):
        self.port = free_port()
        folder = setup.folder / "redis"
        folder.mkdir()
        program = find_program("redis-server") or find_program("valkey-server")
        self.running = Process("redis", setup.client_cpu,
                               [program, "--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "no",
                                "--dir", folder, "--maxmemory-policy", "noeviction"], folder / "log")
        wait_for_port(self.port, self.running.process, "redis")

    @staticmethod
    def is_installed():
        return bool(find_program("redis-server") or find_program("valkey-server"))

    def stop(self):
        self.running.stop()


class Haproxy(Proxy):
    def command(self):
        path = self.folder / "haproxy.cfg"
        log = "log stdout format raw local0\n    option httplog" if self.setup.access_log else "no log"
        server = (f"unix@{self.setup.upstream_path}" if "unix" in self.upstream
                  else f"127.0.0.1:{self.setup.upstream_port}")
        protocol = " proto h2" if "h2c" in self.upstream else ""
        path.write_text(f"""
global
    maxconn {self.setup.connections_max}
    no strict-limits
    nbthread {self.workers}
defaults
    mode http
    {log}
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
frontend in
    bind 127.0.0.1:{self.port} ssl crt {self.setup.server_pem} ca-file {self.setup.authority / "ca.crt"} \
verify required alpn http/1.1 ssl-min-ver TLSv1.3 ciphersuites {CIPHER}
    default_backend out
backend out
    server service {server}{protocol}
""")
        return [find_program("haproxy"), "-db", "-f", path]


class Nginx(Proxy):
    def command(self):
        path = self.folder / "nginx.conf"
        log = f"{self.folder}/access.log combined" if self.setup.access_log else "off"
        server = (f"unix:{self.setup.upstream_path}" if self.upstream == "unix"
                  else f"127.0.0.1:{self.setup.upstream_port}")
        authority = self.setup.authority
        path.write_text(f"""
daemon off;
worker_processes {self.workers};
pid {self.folder}/pid;
error_log {self.folder}/error.log crit;
events {{ worker_connections {2 * self.setup.connections_max}; }}
http {{
    access_log {log};
    client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
    fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    client_header_buffer_size 4k;
    client_body_buffer_size 128k;
    client_max_body_size 0;
    upstream service {{ server {server}; keepalive 1024;
                        keepalive_requests 1000000000; keepalive_timeout 300s; }}
    server {{
        listen 127.0.0.1:{self.port} ssl backlog=4096;
        server_name localhost;
        ssl_certificate {authority}/server.crt;
        ssl_certificate_key {authority}/server.key;
        ssl_client_certificate {authority}/ca.crt;
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHER};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_buffers 16 16k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
""")
        return [find_program("nginx"), "-c", path, "-e", self.folder / "error.log"]


class ModOauth2(Proxy):
    """Apache with mod_oauth2: verifies the token, the proof and its binding, and remembers jti (1,000 of them, FIFO)."""

    verifies = True

    def command(self):
        path, modules = self.folder / "apache.conf", "/usr/lib/apache2/modules"
        loaded = "\n".join(f"LoadModule {name}_module {modules}/mod_{file}.so" for name, file in (
            ("mpm_event", "mpm_event"), ("authn_core", "authn_core"), ("authz_core", "authz_core"),
            ("authz_user", "authz_user"), ("socache_shmcb", "socache_shmcb"), ("ssl", "ssl"),
            ("proxy", "proxy"), ("proxy_http", "proxy_http"), ("oauth2", "oauth2")))
        key = self.setup.issuer_jwk()
        jwk = json.dumps(key, separators=(",", ":"))
        authority = self.setup.authority
        log = f'CustomLog {self.folder}/access.log "%h %l %u %t \\"%r\\" %>s %b"' if self.setup.access_log else ""
        path.write_text(f"""
{loaded}
ServerName localhost
ServerRoot {self.folder}
PidFile {self.folder}/pid
ErrorLog {self.folder}/error.log
LogLevel crit
{log}
Listen 127.0.0.1:{self.port}
ServerLimit 1
StartServers 1
ThreadsPerChild 256
ThreadLimit 256
MaxRequestWorkers 256
KeepAlive On
KeepAliveTimeout 300
MaxKeepAliveRequests 0
LimitRequestFieldSize 16384
SSLSessionCache none
<VirtualHost 127.0.0.1:{self.port}>
    SSLEngine on
    SSLCertificateFile {authority}/server.crt
    SSLCertificateKeyFile {authority}/server.key
    SSLCACertificateFile {authority}/ca.crt
    SSLVerifyClient require
    SSLProtocol TLSv1.3
    SSLCipherSuite TLSv1.3 {CIPHER}
    ProxyPass / http://127.0.0.1:{self.setup.upstream_port}/ keepalive=On
    <Location />
        AuthType oauth2
        OAuth2AcceptTokenIn header name=Authorization&type=DPoP
        OAuth2TokenVerify jwk {apache_quoted(jwk)} type=dpop&kid={key["kid"]}&dpop.iat.slack.before=120
        Require valid-user
    </Location>
</VirtualHost>
""")
        return [find_program("apache2"), "-DFOREGROUND", "-f", path]


def apache_quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
