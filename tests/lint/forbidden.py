#!/usr/bin/python3
"""Calls we do not make, each with what to call instead."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

INSTEAD = {
    "strcpy": "memcpy with a known size, or snprintf",
    "strcat": "snprintf into what is left, or http1_writer",
    "strncpy": "memcpy with a known size (strncpy may leave no NUL)",
    "strncat": "snprintf into what is left",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "span_find",
    "atoi": "a parser that says where it stopped",
    "atol": "a parser that says where it stopped",
    "atoll": "a parser that says where it stopped",
    "atof": "a parser that says where it stopped",
    "scanf": "a parser that says where it stopped",
    "sscanf": "a parser that says where it stopped",
    "fscanf": "a parser that says where it stopped",
    "alloca": "a named bound on the stack, or an arena",
    "rand": "RAND_bytes, getrandom, or a seeded generator of the test's own",
    "srand": "a seeded generator of the test's own",
    "system": "posix_spawn with an argument list",
    "popen": "posix_spawn with an argument list",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
    "signal": "sigaction",
    "strerror": "strerror_r, or %m",
    "localtime": "localtime_r",
    "gmtime": "gmtime_r",
    "ctime": "strftime",
    "asctime": "strftime",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(INSTEAD) + r")\s*\(")
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def main():
    errors = []
    count = 0
    for folder in ("src", "include", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".c", ".cc", ".h") or "node_modules" in path.parts:
                continue
            count += 1
            text = COMMENT_OR_STRING.sub(blank, path.read_text())
            for match in CALL.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                errors.append(f"{path.relative_to(ROOT)}:{line}: {match[1]}: use {INSTEAD[match[1]]}")
    print("\n".join(errors) if errors else f"forbidden calls: none in {count} files")
    return 1 if errors else 0


sys.exit(main())
