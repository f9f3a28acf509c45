"""The order in which services start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.runtime.order import UnorderableError, start_order


def test_each_service_follows_all_it_depends_on() -> None:
    order = start_order({"rest": ["processor", "storage"], "processor": ["collector", "storage"], "storage": [], "collector": []})
    assert order.index("processor") > max(order.index("collector"), order.index("storage"))
    assert order.index("rest") == 3


def test_a_cycle_is_reported_with_its_members() -> None:
    with pytest.raises(UnorderableError, match=r"circle: (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)"):
        start_order({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})


def test_a_dependency_that_nobody_declares_is_reported() -> None:
    with pytest.raises(UnorderableError, match="rest depends on storage"):
        start_order({"rest": ["storage"]})


@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_every_acyclic_graph_is_ordered(edges: list[set[int]]) -> None:
    graph = {str(i): [str(j) for j in needs if j < i] for i, needs in enumerate(edges)}
    order = start_order(graph)
    assert sorted(order) == sorted(graph)
    assert all(order.index(need) < order.index(name) for name, needs in graph.items() for need in needs)
