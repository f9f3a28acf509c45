"""Generated values conform to their schemas, as an independent validator sees it."""

from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from setpoint.adapters.sim.example_json import example

_leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span}, st.integers(-50, 50), st.integers(0, 9)),
    st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, st.integers(-50, 50)),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-50, 50)),
    st.builds(lambda unit: {"type": "integer", "multipleOf": unit, "minimum": 7}, st.integers(1, 9)),
    st.builds(lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span}, st.integers(0, 30), st.integers(0, 9)),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers() | st.text(), min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, st.integers() | st.text() | st.none()),
    st.just({"type": ["string", "null"]}),
)


def _deeper(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), children, max_size=4)
    return st.one_of(
        st.builds(lambda m: {"type": "object", "properties": m, "required": list(m), "additionalProperties": False}, members),
        st.builds(lambda c, n: {"type": "array", "items": c, "minItems": n, "maxItems": n + 2}, children, st.integers(0, 3)),
        st.builds(lambda a, b: {"anyOf": [a, b]}, children, children),
        st.builds(lambda m: {"allOf": [{"properties": m, "required": list(m)}, {"type": "object"}]}, members),
    )


@given(schema=st.recursive(_leaves, _deeper, max_leaves=12), seed=st.integers(0, 100))
def test_a_value_conforms_to_its_schema(schema: dict[str, Any], seed: int) -> None:
    jsonschema.validate(example(schema, seed), schema)


def test_a_recursive_schema_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}}, "required": ["n"]}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    jsonschema.validate(example(schema), schema)


def test_a_schema_that_is_no_schema_gives_an_object() -> None:
    assert example(True) == {}  # type: ignore[arg-type]
