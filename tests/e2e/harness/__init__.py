"""What every end-to-end test stands on: a throw-away PKI, an issuer, a recording upstream, the gate as a process, and a
client that can put any byte on the wire."""
