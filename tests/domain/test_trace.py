"""What records promise to files on disk."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.trace import CacheTier, Outcome, RecordKind, RecordTail, Surface, request_id_text


def test_numbers_that_lie_in_files_never_change() -> None:
    assert {kind.name: kind.value for kind in RecordKind} == {"begin": 1, "end": 2, "attempt": 3}
    assert [s.name for s in sorted(Surface)][:4] == ["other", "openai_chat", "anthropic_messages", "openai_embeddings"]
    assert [tier.name for tier in sorted(CacheTier)][:3] == ["bypass", "miss", "hit_l1"]
    assert {o.name: o.value for o in Outcome} == {"ok": 0, "fault": 1, "client_gone": 2, "worker_died": 3}


def test_a_tail_written_before_a_member_was_added_still_reads() -> None:
    old = msgspec.msgpack.encode(["route", "upstream"])
    tail = msgspec.msgpack.decode(old, type=RecordTail)
    assert tail == RecordTail(route="route", upstream="upstream")


def test_every_member_of_a_tail_has_a_default() -> None:
    assert RecordTail() == msgspec.msgpack.decode(msgspec.msgpack.encode([]), type=RecordTail)


stamps = st.tuples(st.integers(0, 2**63), st.binary(min_size=8, max_size=8))


@given(stamps, stamps)
def test_request_ids_sort_by_time_as_text(a: tuple[int, bytes], b: tuple[int, bytes]) -> None:
    text_a, text_b = (request_id_text(ns.to_bytes(8, "big") + chance) for ns, chance in (a, b))
    assert len(text_a) == 32
    if a[0] != b[0]:
        assert (text_a < text_b) == (a[0] < b[0])
