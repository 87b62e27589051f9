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
