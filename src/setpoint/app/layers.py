"""Settings from several layers: how trees are read, laid over each other, and turned into structs with every mistake named.

Nothing here knows which settings there are; that is `app.settings`. A tree is what YAML gives: dictionaries, lists, scalars. The
origin of each value that did not come from the file is remembered, so that a mistake can be reported where it was made.
"""

import difflib
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from setpoint.control.draft import Problem

Tree = dict[str, Any]
S = TypeVar("S", bound=msgspec.Struct)

CONFIG_BYTES_MAX = 1024 * 1024
"""A configuration file is read by people; one above this was not written by one."""

_WHOLE_REFERENCE = re.compile(r"(?:env\.|os\.environ/)([A-Za-z_][A-Za-z0-9_]*)")
_INNER_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LATER_REFERENCE = re.compile(r"(secret|vault|aws-sm):\S+")


class Secret:
    """A text that no repr, log or dump shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(slots=True)
class Reading:
    """A tree on its way to settings: what is wrong so far, and where values came from."""

    tree: Tree = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    def complain(self, where: str, what: str) -> None:
        origin = self.origins.get(where)
        self.problems.append(Problem(f"{where} (from {origin})" if origin else where, what))

    def put(self, path: tuple[str, ...], value: object, origin: str) -> None:
        """One value over whatever was there. `_` in a name also finds `-`, which no environment variable can hold."""
        node = self.tree
        place = []
        for part in path[:-1]:
            name = _same_name(part, node)
            place.append(name)
            if not isinstance(node.get(name), dict):
                node[name] = {}
            node = node[name]
        name = _same_name(path[-1], node)
        node[name] = value
        self.origins[".".join([*place, name])] = origin


def read_text(text: str, where: str, reading: Reading) -> object:
    """What a variable or flag stands for: itself, or the list or section that is written in brackets as YAML."""
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        reading.complain(where, f"looks like a list or section, but is not one in YAML: {getattr(error, 'problem', error)}")
        return None


def _same_name(name: str, node: Tree) -> str:
    return next((known for known in node if str(known).replace("-", "_") == name.replace("-", "_")), name)


# Files


def read_tree(path: Path, reading: Reading) -> None:
    """The file's tree into `reading`; what cannot be read becomes a problem."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reading.complain(str(path), f"cannot be read: {error}")
        return
    if len(text) > CONFIG_BYTES_MAX:
        reading.complain(str(path), f"is larger than {CONFIG_BYTES_MAX} bytes")
        return
    try:
        tree = tomllib.loads(text) if path.suffix == ".toml" else yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        reading.complain(str(path), " ".join(str(error).split()))
        return
    if tree is not None and not isinstance(tree, dict):
        reading.complain(str(path), "must hold sections like `server:` and `providers:`")
        return
    reading.tree = tree or {}


class _Loader(yaml.SafeLoader):
    """YAML lets a key be written twice and keeps the last; then half of a configuration is silently gone. And it takes `2024-10-21`, a
    version, for a date; no setting is one."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep)


# References


def resolve(reading: Reading, environ: Mapping[str, str], folder: Path) -> None:
    """Puts what `env.NAME`, `os.environ/NAME`, `${NAME}` and `file:PATH` stand for in their place, anywhere in the tree."""

    def visit(node: object, where: str) -> object:
        if isinstance(node, dict):
            return {key: visit(value, f"{where}.{key}" if where else str(key)) for key, value in node.items()}
        if isinstance(node, list):
            return [visit(value, f"{where}[{index}]") for index, value in enumerate(node)]
        return _dereference(node, where, reading, environ, folder) if isinstance(node, str) else node

    resolved = visit(reading.tree, "")
    assert isinstance(resolved, dict)
    reading.tree = resolved


def _dereference(text: str, where: str, reading: Reading, environ: Mapping[str, str], folder: Path) -> str:
    def variable(match: re.Match[str]) -> str:
        if match[1] not in environ:
            reading.complain(where, f"refers to the environment variable {match[1]}, which is not set; set it, or remove this line")
        return environ.get(match[1], "")

    if whole := _WHOLE_REFERENCE.fullmatch(text):
        return variable(whole)
    if text.startswith("file:"):
        return _file_content(text.removeprefix("file:"), where, reading, folder)
    if later := _LATER_REFERENCE.fullmatch(text):
        reading.complain(where, f"refers to {later[1]}:, which this version cannot read; use env.NAME or file:PATH")
    return _INNER_REFERENCE.sub(variable, text)


def _file_content(name: str, where: str, reading: Reading, folder: Path) -> str:
    path = folder / Path(name).expanduser()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reading.complain(where, f"refers to the file {path}, which cannot be read: {getattr(error, 'strerror', None) or 'not text'}")
        return ""


# Structs


def decode_struct(kind: type[S], node: object, where: str, reading: Reading) -> S:
    """`node` as `kind`. A member that is wrong is reported and keeps its default, so that the next one is looked at too;
    so every member of a struct used here has a default."""
    if not isinstance(node, dict):
        reading.complain(where, f"expected a section, got {_describe_value(node)}")
        node = {}
    fields = {member.name: member for member in msgspec.structs.fields(kind)}
    values: dict[str, object] = {}
    for key, value in node.items():
        at = f"{where}.{key}" if where else str(key)
        if key not in fields:
            reading.complain(at, f"is not a setting; {_nearest(str(key), list(fields))}")
        elif value is not None or _allows_none(fields[key].type):
            found = _decode(fields[key].type, value, at, reading)
            if found is not _WRONG:
                values[key] = found
    return kind(**values)


_WRONG = object()
_KIND_NAMES: dict[type, str] = {dict: "a section", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


def _decode(kind: Any, value: object, where: str, reading: Reading) -> object:
    inner = _struct_in(kind)
    if inner is not None and isinstance(value, dict):
        return decode_struct(inner, value, where, reading)
    if get_origin(kind) is dict and isinstance(value, dict):
        return _decode_entries(get_args(kind), value, where, reading)
    if get_origin(kind) is tuple and isinstance(value, list):
        items = [_decode(get_args(kind)[0], item, f"{where}[{index}]", reading) for index, item in enumerate(value)]
        return tuple(item for item in items if item is not _WRONG)
    return _decode_scalar(kind, value, where, reading)


def _decode_entries(kinds: tuple[Any, ...], value: dict[Any, Any], where: str, reading: Reading) -> dict[str, object]:
    key_kind, entry_kind = kinds
    entries = {}
    for key, entry in value.items():
        if get_origin(key_kind) is Literal and key not in get_args(key_kind):
            reading.complain(f"{where}.{key}", f"is not known; {_nearest(str(key), list(get_args(key_kind)))}")
            continue
        entries[str(key)] = _decode(entry_kind, {} if entry is None else entry, f"{where}.{key}", reading)
    return {key: entry for key, entry in entries.items() if entry is not _WRONG}


def _decode_scalar(kind: Any, value: object, where: str, reading: Reading) -> object:
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        reading.complain(where, f"{_expected(kind) or str(error).partition(', got ')[0]}, got {_describe_value(value)}")
        return _WRONG


def _decode_secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError("Expected a text")


def _struct_in(kind: Any) -> Any:
    """The struct that `kind` is, or that is one of its alternatives."""
    choices = get_args(kind) if get_origin(kind) in {Union, types.UnionType} else (kind,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, msgspec.Struct)), None)


def _allows_none(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _expected(kind: Any) -> str | None:
    choices = [choice for part in (get_args(kind) or (kind,)) for choice in (get_args(part) if get_origin(part) is Literal else (part,))]
    texts = [choice for choice in choices if isinstance(choice, str)]
    return f"expected one of {', '.join(texts)}" if texts and get_origin(kind) in {Literal, Union, types.UnionType} else None


def _describe_value(value: object) -> str:
    """The kind of a value, never the value itself: it may be a secret in the wrong place."""
    return _KIND_NAMES.get(type(value), type(value).__name__)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
