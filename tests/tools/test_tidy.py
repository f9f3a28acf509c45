"""The house style's own checks complain about what they should, and only that."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tidy = load("tidy")
run_tests = load("run_tests")


def complaints(rule: str, source: str, path: str = "src/setpoint/room/thing.py") -> list[str]:
    return list(getattr(tidy, rule)(Path(path), ast.parse(source)))


def test_a_function_may_be_as_long_as_the_limit_and_no_longer() -> None:
    body = "    x = 1\n" * (tidy.FUNCTION_LINES_MAX - 1)
    assert complaints("lengths", f"def f():\n{body}") == []
    assert "f has 71 lines" in complaints("lengths", f"def f():\n{body}    x = 1\n")[0]


@pytest.mark.parametrize("source", ["class StoreManager: pass", "def request_handler(): pass", "def do_misc(): pass"])
def test_a_name_that_says_nothing_is_found_in_any_case_style(source: str) -> None:
    assert len(complaints("names", source)) == 1


def test_a_word_that_only_contains_a_banned_one_is_fine() -> None:
    assert complaints("names", "def rebase(): pass\nclass Database: pass\ndef commonly(): pass\ndef base_url(): pass") == []


@pytest.mark.parametrize("path", ["src/setpoint/utils.py", "src/setpoint/room/key_helpers.py"])
def test_a_module_name_that_says_nothing_is_found(path: str) -> None:
    assert len(complaints("names", "", path)) == 1


def test_a_package_needs_a_sign_and_nothing_else() -> None:
    init = "src/setpoint/room/__init__.py"
    sign = '"""What is here: everything about rooms. What is not: doors."""'
    assert complaints("sign", sign, init) == []
    assert complaints("sign", f'{sign}\n__version__ = "1"', init) == []
    assert "no sign" in complaints("sign", '"""Room."""', init)[0]
    assert "its sign only" in complaints("sign", f"{sign}\nimport os", init)[0]


def test_leftover_notes_and_private_paths_are_found_with_their_line() -> None:
    note = "x = 1\n# " + "TO" + "DO later\n"
    path = "y = '/ro" + "ot/x'\n"
    assert [line.split(":")[1] for line in tidy.leftovers(Path("a.py"), note + path)] == ["2", "3"]
    assert list(tidy.leftovers(Path("a.py"), 'url = "https://host/path/x"\n')) == []


def test_coverage_is_summed_by_room() -> None:
    def entry(covered: int, total: int) -> dict[str, object]:
        return {"summary": {"covered_lines": covered, "num_statements": total}}

    files = {"src/setpoint/__init__.py": entry(1, 1), "src/setpoint/wire/a.py": entry(3, 4), "src/setpoint/wire/b/c.py": entry(1, 4)}
    rooms = run_tests.coverage_by_room({"files": files})
    assert rooms == {".": (1, 1), "wire": (4, 8)}
    assert "wire             4 of 8       50.0 %" in run_tests.render(rooms)
