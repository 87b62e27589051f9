#!/usr/bin/python3
"""Checks what each folder of src/ includes against layers.txt, and that every header is included by someone."""

import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read_rules():
    allowed, system, exceptions = {}, [], set()
    for line in (pathlib.Path(__file__).parent / "layers.txt").read_text().splitlines():
        if line.startswith("! "):
            file, header, reason = re.fullmatch(r"! (\S+) (\S+) # (.+)", line).groups()
            exceptions.add((file, header))
            continue
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, _, rest = line.partition(":")
        if name.startswith("system "):
            system.append((name.removeprefix("system "), rest.split()))
        else:
            allowed[name] = set(rest.split()) | {name}
    return allowed, system, exceptions


def system_owner_ok(file, patterns):
    return any(file.startswith(p + "/") or fnmatch.fnmatch(file, p) for p in patterns)


def check_file(path, rules, included):
    allowed, system, exceptions = rules
    file = path.relative_to(SRC).as_posix()
    layer = file.split("/")[0]
    errors = []
    if layer not in allowed:
        return [f"src/{file}:1: '{layer}' is not a layer of tests/lint/layers.txt"]
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        quote, header = match.groups()
        if quote == '"':
            target = header.split("/")[0]
            included.add(header)
            if "/" not in header or (not (SRC / header).exists()
                                     and not (ROOT / "include" / header).exists()):
                errors.append(f"src/{file}:{line}: \"{header}\": write the path from src/")
            elif target != "popgate" and target not in allowed[layer] and (file, header) not in exceptions:
                errors.append(f"src/{file}:{line}: {layer}/ may not include {header}")
            continue
        included.add(header)
        for prefix, owners in system:
            if header.startswith(prefix) and not system_owner_ok(file, owners):
                errors.append(f"src/{file}:{line}: <{header}> belongs to {' '.join(owners)}")
    return errors


def main():
    rules = read_rules()
    included, errors = set(), []
    sources = [p for p in sorted(SRC.rglob("*")) if p.suffix in (".c", ".cc", ".h")]
    for path in sources:
        errors += check_file(path, rules, included)
    for folder in ("tests", "bench"):
        for path in (ROOT / folder).rglob("*.[ch]"):
            included.update(header for _, header in INCLUDE.findall(path.read_text()))
    for path in sources:
        name = path.relative_to(SRC).as_posix()
        if path.suffix == ".h" and name not in included:
            errors.append(f"src/{name}:1: nobody includes this header")
    print("\n".join(errors) if errors else f"layers: {len(sources)} files in order")
    return 1 if errors else 0


sys.exit(main())
