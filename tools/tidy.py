"""Checks of house style that no other tool makes: signs on rooms, length of functions, banned words, leftovers, the glossary.

Prints one line per violation and ends with status 1 when there is any.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
"""A ratchet: it may only go down."""
SIGN_CHARS_MIN = 40
TERMS = re.compile(r"base_?(?:url|path)", re.IGNORECASE)
"""Words of HTTP's own that happen to hold a banned one."""
BANNED_WORDS = frozenset({"utils", "util", "helpers", "helper", "manager", "common", "base", "misc", "handler"})
LEFTOVER = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b")
PRIVATE_PATH = re.compile(r"(?<![\w.])/(work|root|home)/\w")
GLOSSARY_TERMS = ("provider", "dialect", "upstream", "route", "target", "attempt", "exchange", "plan", "spool", "trace")


def words(name: str) -> set[str]:
    """The lower-case words of an identifier in any case style."""
    return set(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", TERMS.sub("", name)).lower().split("_"))


def sign(path: Path, tree: ast.Module) -> Iterator[str]:
    """A package says what is here and what is not, and holds nothing else."""
    if path.name != "__init__.py":
        return
    if len(ast.get_docstring(tree) or "") < SIGN_CHARS_MIN:
        yield f"{path}:1: the package has no sign: say in its docstring what is here and what is not"
    code = [node for node in tree.body[1:] if not is_dunder_assignment(node)]
    if code:
        yield f"{path}:{code[0].lineno}: a package's __init__ holds its sign only; move the code to a module"


def is_dunder_assignment(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id.startswith("__") for t in node.targets)


def lengths(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"


def names(path: Path, tree: ast.Module) -> Iterator[str]:
    """Names of modules, classes, functions that say nothing."""
    if bad := words(path.stem) & BANNED_WORDS:
        yield f"{path}:1: the module is called {path.stem!r}: {', '.join(sorted(bad))} says nothing about it"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (bad := words(node.name) & BANNED_WORDS):
            yield f"{path}:{node.lineno}: {node.name}: {', '.join(sorted(bad))} says nothing about it"


def leftovers(path: Path, text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} and LEFTOVER.search(token.string):
            yield f"{path}:{token.start[0]}: a leftover note; do it or describe the limit"
    for number, line in enumerate(text.splitlines(), 1):
        if PRIVATE_PATH.search(line):
            yield f"{path}:{number}: a path of one machine"


def module_docstring(path: Path, tree: ast.Module) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield f"{path}:1: the module has no docstring"


def glossary() -> Iterator[str]:
    path = ROOT / "docs/glossary.md"
    text = path.read_text().lower() if path.exists() else ""
    for term in GLOSSARY_TERMS:
        if f"**{term}**" not in text:
            yield f"{path.relative_to(ROOT)}:1: the term {term!r} is not explained"


def violations() -> Iterator[str]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text, str(path))
        shown = path.relative_to(ROOT)
        for rule in (sign, lengths, names, module_docstring):
            yield from rule(shown, tree)
        yield from leftovers(shown, text)
    for path in sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]):
        text = path.read_text()
        shown = path.relative_to(ROOT)
        yield from lengths(shown, ast.parse(text, str(path)))
        yield from leftovers(shown, text)
    yield from glossary()


def main() -> int:
    found = list(violations())
    print(*found, sep="\n", end="\n" if found else "")
    print(f"tidy: {len(found)} violations" if found else "tidy: nothing to complain about")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
