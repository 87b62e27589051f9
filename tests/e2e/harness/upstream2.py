"""A service that speaks HTTP/2 in clear with prior knowledge, by python3-h2."""

import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings


class Stream:
    def __init__(self, connection, number, headers):
        self.connection, self.number, self.headers = connection, number, headers
        self.body, self.trailers, self.ended, self.reset = b"", None, False, None

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self):
        return self.get(":path")

    def respond(self, status=200, body=None, headers=(), trailers=None, end=True):
        head = [(":status", str(status)), *headers]
        self.connection.begin(self.number, head, end_stream=body is None and trailers is None and end)
        if body is not None:
            self.send(body, end and trailers is None)
        if trailers is not None:
            self.connection.call(lambda c: c.send_headers(self.number, list(trailers), end_stream=True))

    def send(self, data, end=False):
        self.connection.send(self.number, data, end)


class Connection:
    def __init__(self, upstream, sock):
        self.upstream, self.socket, self.streams = upstream, sock, {}
        self.lock = threading.RLock()
        self.room = threading.Condition(self.lock)
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False,
                                                                         header_encoding="utf-8"))
        values = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: upstream.streams_max}
        if upstream.takes_connect:
            values[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.state.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.pings = 0

    def call(self, what):
        with self.lock:
            what(self.state)
            self.socket.sendall(self.state.data_to_send())

    def begin(self, number, head, end_stream):
        self.call(lambda c: c.send_headers(number, head, end_stream=end_stream))

    def send(self, number, data, end):
        with self.room:
            while data or end:
                size = min(len(data), self.state.local_flow_control_window(number), self.state.max_outbound_frame_size)
                if data and size <= 0:
                    self.room.wait(10)
                    continue
                last = end and size == len(data)
                self.state.send_data(number, data[:size], end_stream=last)
                self.socket.sendall(self.state.data_to_send())
                data = data[size:]
                if not data:
                    return

    def serve(self):
        self.call(lambda c: c.initiate_connection())
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return
                with self.lock:
                    events = self.state.receive_data(data)
                    self.socket.sendall(self.state.data_to_send())
                for event in events:
                    self.take(event)
                with self.room:
                    self.socket.sendall(self.state.data_to_send())
                    self.room.notify_all()
        except (OSError, h2.exceptions.ProtocolError) as error:
            if isinstance(error, h2.exceptions.ProtocolError):
                self.upstream.errors.append(repr(error))
        finally:
            self.socket.close()

    def take(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(self, number, list(event.headers))
            if self.upstream.on_head:
                self.run(self.upstream.on_head, stream)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.upstream.consume:
                with self.lock:
                    self.state.acknowledge_received_data(event.flow_controlled_length, number)
            if self.upstream.on_data:
                self.upstream.on_data(stream, event.data)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamReset):
            if stream:
                stream.reset = event.error_code
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
            with self.upstream.lock:
                self.upstream.requests.append(stream)
            if self.upstream.handler:
                self.run(self.upstream.handler, stream)

    def run(self, what, stream):
        def guarded():
            try:
                what(stream)
            except (OSError, h2.exceptions.ProtocolError):
                pass  # the gate has left
        threading.Thread(target=guarded, daemon=True).start()


def hello(stream):
    stream.respond(200, b"hello " + stream.path.encode())


class Upstream2:
    def __init__(self, handler=hello, on_head=None, on_data=None, path=None, streams_max=100, consume=True):
        self.handler, self.on_head, self.on_data, self.consume = handler, on_head, on_data, consume
        self.requests, self.errors, self.connections, self.streams_max = [], [], [], streams_max
        self.takes_connect = False  # extended CONNECT (RFC 8441)
        self.lock = threading.Lock()
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
            self.url = f"h2c+unix://{path}"
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.url = f"h2c://127.0.0.1:{self.socket.getsockname()[1]}"
        self.socket.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            connection = Connection(self, sock)
            self.connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    def take(self):
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def cut(self):
        """Drops every connection there is; new ones are taken at once."""
        dropped, self.connections = self.connections, []
        for connection in dropped:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.cut()
