"""Which stage of a request a function belongs to: our own by the folder its object was built from, libraries by name."""

import pathlib
import subprocess

OF_FOLDER = {"crypto": "signature", "jose": "JSON and base64url", "http": "HTTP", "tls": "TLS", "replay": "replay",
             "auth": "decision", "proxy": "proxying", "io": "event loop", "base": "proxying", "app": "event loop",
             "admin": "other", "store": "other", "control": "other", "inject": "other"}
OF_LIBRARY = {"libssl": "TLS", "libcrypto": "TLS", "libsimdjson": "JSON and base64url", "libxxhash": "replay",
              "liburcu-cds": "signature", "liburcu-qsbr": "event loop", "liburing": "event loop"}
ORDER = ["kernel", "system calls", "TLS", "HTTP", "JSON and base64url", "hash", "signature", "decision", "replay",
         "proxying", "event loop", "the peer's own", "other"]
COLOURS = dict(zip(ORDER, ["#8d99ae", "#5c677d", "#2a9d8f", "#e9c46a", "#f4a261", "#c08497", "#e76f51", "#457b9d",
                           "#b388eb", "#4cc9f0", "#90be6d", "#d5bdaf", "#bbbbbb"]))
SYSTEM_CALLS = ("entry_SYSCALL", "do_syscall", "syscall_", "__x64_sys", "io_uring_enter", "io_submit", "io_issue",
                "io_cqring", "__io_", "io_", "ep_", "epoll", "fget", "fput", "exit_to_user")


def read_symbols(build):
    """{function: its stage} for every symbol of our objects; None when two stages have one of that name."""
    symbols = {}
    objects = pathlib.Path(build).rglob("*.o")
    for path in objects:
        parts = path.parts
        if "src" not in parts:
            continue
        folder = parts[parts.index("src") + 1]
        stage = "hash" if folder == "crypto" and path.name.startswith("sha256") else OF_FOLDER.get(folder, "other")
        told = subprocess.run(["nm", "--defined-only", str(path)], capture_output=True, text=True).stdout
        for line in told.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in "tT":
                name = fields[2]
                symbols[name] = stage if symbols.get(name, stage) == stage else None
    return symbols


def base_name(symbol):
    return symbol.split(".", 1)[0] if symbol.split(".", 1)[0] else symbol


def stage_of(stack, symbols):
    """`stack`: [(symbol, object)] from the leaf up; `symbols`: read_symbols of the gate that it is of, None of a peer."""
    symbol, where = stack[0]
    if "kernel" in where or where == "[kernel.kallsyms]":
        return "system calls" if symbol.startswith(SYSTEM_CALLS) else "kernel"
    for symbol, where in stack:
        library = pathlib.Path(where).name.partition(".so")[0]
        if library in OF_LIBRARY:
            return OF_LIBRARY[library]
        stage = (symbols or {}).get(symbol) or (symbols or {}).get(base_name(symbol))
        if stage and "popgate" in where:
            return stage
    if symbols is None:
        return "the peer's own"
    # What is in our program and in none of our objects is BoringSSL, linked in; its assembly leaves no callers to see.
    return "TLS" if "popgate" in stack[0][1] else "other"
