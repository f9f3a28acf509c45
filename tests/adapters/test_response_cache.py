"""The first cache tier against a plain model."""

from collections import OrderedDict
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from setpoint.adapters.memory.response_cache import OVERHEAD_BYTES, MemoryResponseCache
from setpoint.ports.response_cache import ResponseCache

BYTES_MAX = 2_000
ENTRY_BYTES_MAX = 1_200


@dataclass(frozen=True)
class Entry:
    nbytes: int
    serial: int = 0


def cache(bytes_max: int = BYTES_MAX, entry_bytes_max: int = ENTRY_BYTES_MAX) -> ResponseCache[Entry]:
    return MemoryResponseCache[Entry](bytes_max, entry_bytes_max)


keys = st.integers(0, 6).map(lambda number: bytes([number]) * 32)


class CacheAgainstAModel(RuleBasedStateMachine):
    """Least recently used goes first, nothing outlives its time, the bytes never pass the bound, and every figure is right."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = cache()
        self.model: OrderedDict[bytes, tuple[float, Entry]] = OrderedDict()
        self.now_s = 100.0
        self.serial = self.hits = self.misses = self.evictions = self.expirations = self.refusals = 0

    @rule(passes_s=st.floats(0.0, 5.0))
    def time_passes(self, passes_s: float) -> None:
        self.now_s += passes_s

    @rule(key=keys, nbytes=st.integers(0, 1_500), ttl_s=st.floats(-1.0, 10.0))
    def put(self, key: bytes, nbytes: int, ttl_s: float) -> None:
        self.serial += 1
        entry = Entry(nbytes, self.serial)
        fits = nbytes <= ENTRY_BYTES_MAX and ttl_s > 0
        assert self.cache.put(key, entry, ttl_s, self.now_s) is fits
        self.model.pop(key, None)
        self.refusals += not fits
        while fits and self.held() + nbytes + OVERHEAD_BYTES > BYTES_MAX:
            self.model.popitem(last=False)
            self.evictions += 1
        if fits:
            self.model[key] = (self.now_s + ttl_s, entry)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        expected = self.model.get(key)
        if expected and self.now_s >= expected[0]:
            del self.model[key]
            self.expirations += 1
            expected = None
        if expected:
            self.model.move_to_end(key)
        self.hits += expected is not None
        self.misses += expected is None
        assert self.cache.get(key, self.now_s) is (expected[1] if expected else None)

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        assert self.cache.remove(key) is (self.model.pop(key, None) is not None)

    @rule()
    def clear(self) -> None:
        assert self.cache.clear() == len(self.model)
        self.model.clear()

    def held(self) -> int:
        return sum(entry.nbytes + OVERHEAD_BYTES for _, entry in self.model.values())

    @invariant()
    def statistics_are_true(self) -> None:
        seen = self.cache.statistics()
        assert seen.bytes <= seen.bytes_max == BYTES_MAX
        assert (seen.size, seen.bytes) == (len(self.model), self.held())
        assert (seen.hits, seen.misses, seen.evictions) == (self.hits, self.misses, self.evictions)
        assert (seen.expirations, seen.refusals) == (self.expirations, self.refusals)


TestCacheAgainstAModel = CacheAgainstAModel.TestCase
TestCacheAgainstAModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_an_entry_above_the_bound_pushes_out_nothing() -> None:
    held = cache()
    held.put(b"a", Entry(100), 10.0, 0.0)
    assert not held.put(b"b", Entry(ENTRY_BYTES_MAX + 1), 10.0, 0.0)
    assert held.get(b"a", 1.0) == Entry(100)


@pytest.mark.parametrize("bytes_max", [0, 1, OVERHEAD_BYTES - 1])
def test_a_cache_without_room_keeps_nothing(bytes_max: int) -> None:
    held = cache(bytes_max)
    assert not held.put(b"a", Entry(0), 10.0, 0.0)
    assert held.get(b"a", 0.0) is None
    assert held.statistics().bytes == 0


def test_an_entry_is_gone_at_the_end_of_its_time() -> None:
    held = cache()
    held.put(b"a", Entry(1), 10.0, 5.0)
    assert held.get(b"a", 14.999) == Entry(1)
    assert held.get(b"a", 15.0) is None
