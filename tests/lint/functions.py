#!/usr/bin/python3
"""Names functions that outgrew one screen and files that outgrew one subject. Straight-line arithmetic (src/crypto) may be
longer."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX, ARITHMETIC_LINES_MAX, FILE_LINES_MAX = 90, 200, 800


def main():
    errors = []
    sources = sorted(p for p in (ROOT / "src").rglob("*") if p.suffix in (".c", ".cc"))
    for path in sources:
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES_MAX:
            errors.append(f"{path.relative_to(ROOT)}:1: {lines} lines; does it still have one subject?")
    ctags = shutil.which("ctags")
    if ctags:
        output = subprocess.run([ctags, "-x", "--c-kinds=f", "--c++-kinds=f", "--fields=+ne", "--_xformat=%{end} %n %N %F",
                                 *map(str, sources)], capture_output=True, text=True, check=True).stdout
        for row in output.splitlines():
            end, start, name, file = row.split(" ", 3)
            size = int(end) - int(start) + 1 if end.isdigit() else 0
            relative = pathlib.Path(file).relative_to(ROOT)
            limit = ARITHMETIC_LINES_MAX if relative.parts[1] == "crypto" else LINES_MAX
            if size > limit:
                errors.append(f"{relative}:{start}: {name} has {size} lines (at most {limit})")
    print("\n".join(errors) if errors else f"sizes: {len(sources)} files, no function too long")
    return 1 if errors else 0


sys.exit(main())
