"""tests/README.md maps each trick to its tests: every test it names is there."""

import pathlib
import re

TESTS = pathlib.Path(__file__).resolve().parents[1]


def test_every_test_named_in_the_map_exists():
    text = (TESTS / "README.md").read_text()
    named = re.findall(r"`((?:e2e|unit)/[\w/]+\.(?:py|c))(?:::(\w+))?`", text)
    assert len(named) > 100
    for file, name in named:
        source = (TESTS / file).read_text()
        if name:
            pattern = rf"^def {name}\(" if file.endswith(".py") else rf"^(?:Test|BOTH)\((?:\w+, )?{name}\b"
            assert re.search(pattern, source, re.M), f"{file} has no {name}"
    for table in set(re.findall(r"\(((?:`[A-Z]+`(?:, )?)+)\)", text)):
        for word in re.findall(r"`([A-Z]+)`", table):
            assert any(re.search(rf"^{word} = ", path.read_text(), re.M) for path in (TESTS / "e2e").glob("test_*.py")), word


def test_every_case_of_h2spec_has_a_counterpart():
    rows = [line for line in (TESTS / "h2spec.md").read_text().splitlines() if re.match(r"\| (?:generic|hpack|http2) ", line)]
    assert len(rows) >= 146
    for row in rows:
        match = re.search(r"`e2e/([\w.]+)::(\w+)`(?: “(.*)”)? \|$", row)
        assert match, row
        source = (TESTS / "e2e" / match[1]).read_text()
        assert f"def {match[2]}(" in source, row
        assert match[3] is None or f'"{match[3]}"' in source, row
