"""The fault tree is drawn in a docstring; these tests keep the drawing true."""

import inspect
import re

import pytest

from setpoint.domain import faults
from setpoint.domain.faults import FAULT_CLASSES, Fault, FaultKind

_BRANCH = re.compile(r"^\s*[├└]─ (caller|upstream|gateway)\b")
_LEAF = re.compile(r"^\s*(?:│\s+|\s+)[├└]─ (\w+)\s.*?\s(\d{3}|\(its own\))\s+(\d{4})$")


def drawn() -> dict[str, tuple[str, str, int]]:
    """name → (blame, HTTP status as drawn, catalogue number)."""
    tree: dict[str, tuple[str, str, int]] = {}
    blame = ""
    for line in inspect.getdoc(faults).splitlines():  # type: ignore[union-attr]
        if branch := _BRANCH.match(line):
            blame = branch[1]
        elif leaf := _LEAF.match(line):
            tree[leaf[1]] = blame, leaf[2], int(leaf[3])
    return tree


def test_the_drawn_tree_names_every_kind_and_no_other() -> None:
    assert set(drawn()) == {kind.name for kind in FaultKind}


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name)
def test_every_kind_has_a_class_that_agrees_with_the_drawing(kind: FaultKind) -> None:
    blame, status, number = drawn()[kind.name]
    known = FAULT_CLASSES[kind]
    assert known.blame == blame
    assert number == kind.value
    assert status in {str(known.http_status), "(its own)"}


def test_only_a_refusal_keeps_the_status_of_the_provider() -> None:
    assert Fault(FaultKind.upstream_refused, "no", upstream_status=418).http_status == 418
    assert Fault(FaultKind.upstream_refused, "no").http_status == 400
    assert Fault(FaultKind.upstream_server, "no", upstream_status=500).http_status == 502


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name)
def test_what_the_caller_did_wrong_is_never_tried_again_at_the_same_place(kind: FaultKind) -> None:
    fault = Fault(kind, "")
    assert fault.code == kind.value
    if fault.blame != "upstream":
        assert fault.retry in {"never", "elsewhere"}


def test_catalogue_numbers_are_grouped_by_blame() -> None:
    ranges = {"caller": range(1000, 1600), "upstream": range(1600, 1700), "gateway": range(1700, 2000)}
    assert all(kind.value in ranges[FAULT_CLASSES[kind].blame] for kind in FaultKind)
