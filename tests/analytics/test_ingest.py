"""From spool to segment: what ingest promises about traces, counters and files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from setpoint.adapters.files.posix import PosixFiles
from setpoint.adapters.parquet.segments import ParquetSegments
from setpoint.adapters.sqlite.catalog import SqliteCatalog
from setpoint.adapters.sqlite.stored_traces import SqliteStoredTraces
from setpoint.adapters.sqlite.trace_index import SqliteTraceIndex
from setpoint.analytics.ingest import Ingest, IngestLimits, IngestRefused
from setpoint.analytics.query import TraceQueries
from setpoint.analytics.spool_reader import READ_BYTES, SpoolFolder
from setpoint.domain.faults import Fault
from setpoint.domain.trace import Outcome, RecordHead, RecordKind, RecordTail
from setpoint.domain.trace_query import TraceQuery, query_from
from setpoint.gateway.spool import SpoolWriter
from setpoint.testing.clock import SettableClock
from setpoint.wire.spool import encode_head, encode_tail

LIMITS = IngestLimits(seal_rows=1000, seal_age_s=60.0)
DAY_S = 86_400.0


class Machine:
    """A data directory with workers, ingest and a reader, on a clock that is set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.files = folder, SettableClock(), PosixFiles()
        for name in ("spool", "tmp", "traces/index"):
            (folder / name).mkdir(parents=True)
        self.ids = 0
        self.limits = LIMITS
        self.segments = ParquetSegments(self.files, folder / "traces", folder / "tmp")
        self.ingest = self.start()

    def start(self) -> Ingest:
        traces = self.folder / "traces"
        self.catalog, self.index = SqliteCatalog(traces / "catalog.db"), SqliteTraceIndex(traces / "index")
        self.ingest = Ingest(
            files=self.files,
            spool=SpoolFolder(self.files, self.folder / "spool"),
            catalog=self.catalog,
            index=self.index,
            segments=self.segments,
            clock=self.clock,
            limits=self.limits,
        )
        self.ingest.recover()
        return self.ingest

    def restart(self) -> Ingest:
        """As after kill -9: nothing is finished, only the descriptors close."""
        self.catalog.close()
        self.index.close()
        return self.start()

    def worker(self, boot: int = 1, slot: int = 0) -> SpoolWriter:
        return SpoolWriter(self.files, self.folder / "spool", slot, boot, self.clock)

    def new_id(self) -> bytes:
        self.ids += 1
        return (self.clock.wall_ns() + self.ids).to_bytes(8, "big") + self.ids.to_bytes(8, "big")

    def run(self, steps: int = 8) -> None:
        for _ in range(steps):
            self.clock.advance(0.5)
            self.ingest.step()

    def seal(self) -> None:
        self.run(4)
        self.clock.advance(LIMITS.seal_age_s)
        self.run(30)

    def queries(self) -> TraceQueries:
        stored = SqliteStoredTraces(self.folder / "traces", lambda: False)
        return TraceQueries(self.files, self.folder / "spool", stored, self.segments)

    def get(self, request_id: bytes) -> dict[str, Any]:
        found = self.queries().get(request_id.hex())
        assert not isinstance(found, Fault), found
        decoded: dict[str, Any] = msgspec.json.decode(found)
        return decoded

    def listed(self, **parameters: str) -> list[str]:
        query = query_from(parameters)
        assert isinstance(query, TraceQuery), query
        return [item["id"] for item in msgspec.json.decode(self.queries().find(query))["data"]]

    def spools(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "spool").glob("*.sp"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.catalog.close()
    machine.index.close()


def put(
    writer: SpoolWriter,
    request_id: bytes,
    kind: RecordKind = RecordKind.end,
    prompt: bytes = b"{}",
    answer: bytes = b'{"a":1}',
    **more: Any,
) -> None:
    tail_fields = {name: more.pop(name) for name in list(more) if name in RecordTail.__struct_fields__}
    tail = encode_tail(RecordTail(**({"route": "chat", "upstream": "u", "provider": "openai", "model": "m"} | tail_fields)))
    numbers: dict[str, Any] = {
        "outcome": 0, "surface": 1, "cache": 1, "status": 200, "attempts": 1, "trace_id": bytes(16), "duration_ns": 10**9, "ttft_ns": 0,
        "start_ns": int.from_bytes(request_id[:8], "big"), "upstream_ns": 10**8, "cost_nanousd": 1_500_000, "input": 10, "cached_read": 5,
        "cache_write": 0, "output": 7, "reasoning": 2, "key_no": 1, "config_version": 4, "fault": 0, "streamed": False,
    }  # fmt: skip
    answer = answer if kind == RecordKind.end else b""
    head = encode_head(RecordHead(kind=kind, request_id=request_id, **(numbers | more)), len(tail), len(prompt), len(answer))
    assert writer.append([head], [tail], [prompt, answer])


def test_a_trace_is_readable_by_id_before_it_is_sealed(machine: Machine) -> None:
    request_id = machine.new_id()
    put(machine.worker(), request_id, prompt=b'{"model": "m"}', answer=b"data: x\n\n")
    machine.run(1)
    trace = machine.get(request_id)
    assert (trace["prompt"], trace["answer"], trace["cost"]) == ({"model": "m"}, "data: x\n\n", "0.0015")
    assert (trace["input_tokens"], trace["output_tokens"]) == (15, 9)
    assert machine.ingest.unsealed == 1


def test_a_reader_that_is_behind_asks_for_its_next_step_at_once(machine: Machine) -> None:
    """Else it would read one piece a wait, and a load that ended would be readable minutes later."""
    writer = machine.worker()
    for _ in range(4):
        put(writer, machine.new_id(), prompt=b"{" + b" " * READ_BYTES)
    machine.run(1)
    assert machine.ingest.has_work
    machine.run(40)
    assert machine.ingest.counts.taken == 4
    assert not machine.ingest.has_work


def test_a_sealed_trace_reads_the_same_as_before(machine: Machine) -> None:
    request_id, writer = machine.new_id(), machine.worker()
    put(writer, request_id, RecordKind.attempt, attempt_no=1, status=503, fault=1604, fault_message="busy")
    put(writer, request_id, attempts=2, session_id="s", client_request_id="mine", prompt=b"\xff\xfe", finish="stop")
    machine.run()
    before = machine.get(request_id)
    machine.seal()
    assert machine.ingest.unsealed == 0
    assert machine.get(request_id) == before
    assert [(a["no"], a["status"]) for a in before["attempt_list"]] == [(1, 503), (2, 200)]
    assert before["attempt_list"][0]["error"]["kind"] == "upstream_overloaded"
    assert before["prompt"] == {"base64": "//4="}


def test_a_trace_is_found_by_its_trace_id_and_by_the_clients_own_id(machine: Machine) -> None:
    request_id = machine.new_id()
    put(machine.worker(), request_id, trace_id=b"t" * 16, client_request_id="mine-7")
    machine.run()
    by_trace_id = machine.queries().get((b"t" * 16).hex())
    machine.seal()
    assert machine.queries().get((b"t" * 16).hex()) == by_trace_id
    assert machine.queries().get("mine-7") == by_trace_id
    assert isinstance(machine.queries().get("other"), Fault)


def test_a_closed_spool_is_removed_once_it_is_sealed(machine: Machine) -> None:
    writer = machine.worker()
    put(writer, machine.new_id())
    writer.close()
    machine.run()
    assert machine.spools()
    machine.seal()
    assert machine.spools() == []


def test_a_full_unit_is_sealed_at_once_when_idle(machine: Machine) -> None:
    machine.limits = IngestLimits(seal_rows=3)
    machine.restart()
    writer = machine.worker()
    for _ in range(3):
        put(writer, machine.new_id())
    machine.run()
    assert machine.ingest.counts.seals == 1


def test_a_killed_ingest_takes_up_where_the_last_seal_ended(machine: Machine) -> None:
    writer, sealed, unsealed = machine.worker(), machine.new_id(), machine.new_id()
    put(writer, sealed)
    machine.seal()
    put(writer, unsealed)
    machine.run()
    for _ in range(2):
        machine.restart()
        machine.run()
    assert machine.listed() == [unsealed.hex(), sealed.hex()]
    assert machine.ingest.unsealed == 1
    text = machine.ingest.fold.render(machine.ingest.gauges())  # which says that every gauge has its line of help
    assert 'setpoint_exchanges_total{route="chat",provider="openai",model="m",surface="openai_chat",outcome="ok",cache="miss"} 2' in text


def test_a_stream_of_a_dead_worker_ends_as_worker_died_once(machine: Machine) -> None:
    writer, request_id = machine.worker(), machine.new_id()
    put(writer, request_id, RecordKind.begin, prompt=b'{"q": 1}')
    machine.run()
    assert machine.listed() == []
    machine.files.close(writer._fd)  # kill -9
    machine.run()
    for _ in range(2):
        trace = machine.get(request_id)
        assert (trace["outcome"], trace["prompt"], trace["answer"]) == ("worker_died", {"q": 1}, None)
        machine.restart()
        machine.run()
    machine.seal()
    assert machine.get(request_id)["outcome"] == Outcome.worker_died.name
    assert machine.listed(outcome="worker_died") == [request_id.hex()]
    assert machine.spools() == []


def test_a_begin_outlives_the_seal_around_it_and_a_restart(machine: Machine) -> None:
    writer, slow = machine.worker(), machine.new_id()
    put(writer, slow, RecordKind.begin)
    put(writer, machine.new_id())
    machine.seal()
    machine.restart()
    assert machine.ingest.pending == 1
    put(writer, slow)
    machine.run()
    assert machine.get(slow)["outcome"] == "ok"
    assert machine.ingest.pending == 0


def test_a_slow_stream_of_a_living_worker_is_left_alone_over_a_rotation(machine: Machine) -> None:
    writer, slow = machine.worker(), machine.new_id()
    put(writer, slow, RecordKind.begin)
    machine.clock.advance(61.0)
    writer.tick()
    machine.seal()
    assert machine.ingest.counts.died == 0
    assert len(machine.spools()) == 1


def test_a_torn_end_of_a_dead_workers_file_is_set_aside(machine: Machine) -> None:
    writer, request_id = machine.worker(), machine.new_id()
    put(writer, request_id)
    spool = machine.folder / "spool" / machine.spools()[0]
    machine.files.close(writer._fd)
    with spool.open("ab") as file:
        file.write(b"SPB1 half a block")
    machine.run()
    machine.seal()
    (aside,) = (machine.folder / "spool" / "quarantine").iterdir()
    assert aside.read_bytes() == b"SPB1 half a block"
    assert machine.listed() == [request_id.hex()]
    assert machine.spools() == []


def test_half_a_block_of_a_living_worker_is_waited_for(machine: Machine) -> None:
    writer, first, second = machine.worker(), machine.new_id(), machine.new_id()
    put(writer, first)
    spool = machine.folder / "spool" / machine.spools()[0]
    before = spool.stat().st_size
    put(writer, second)
    whole = spool.read_bytes()
    with spool.open("r+b") as file:
        file.truncate(before + 50)
    machine.run()
    assert machine.listed() == [first.hex()]
    with spool.open("ab") as file:
        file.write(whole[before + 50 :])
    machine.run()
    assert machine.listed() == [second.hex(), first.hex()]


def test_an_id_that_comes_twice_is_stored_once_and_counted(machine: Machine) -> None:
    request_id = machine.new_id()
    put(machine.worker(boot=1), request_id)
    put(machine.worker(boot=2, slot=1), request_id)
    machine.run()
    machine.seal()
    assert machine.ingest.counts.refused == 1
    assert machine.listed() == [request_id.hex()]


def test_a_gap_in_the_sequence_is_counted_as_missing(machine: Machine) -> None:
    writer = machine.worker()
    put(writer, machine.new_id())
    writer.next_seq += 5
    put(writer, machine.new_id())
    machine.run()
    assert machine.ingest.gauges()["setpoint_spool_missing_records_total"] == 5


def test_parquet_that_the_catalog_does_not_name_is_removed_at_the_start(machine: Machine) -> None:
    put(machine.worker(), machine.new_id())
    machine.seal()
    (day,) = (machine.folder / "traces").glob("dt=*")
    (day / "0000009999.meta.parquet").write_bytes(b"x")
    machine.restart()
    assert not (day / "0000009999.meta.parquet").exists()
    assert len(list(day.iterdir())) == 2


def test_a_named_segment_that_is_missing_is_refused_with_its_name(machine: Machine) -> None:
    put(machine.worker(), machine.new_id())
    machine.seal()
    next((machine.folder / "traces").glob("dt=*/*.body.parquet")).unlink()
    with pytest.raises(IngestRefused, match=r"segment 1 of .* missing"):
        machine.restart()


def test_small_segments_of_a_day_become_one_and_traces_stay_readable(machine: Machine) -> None:
    writer, ids = machine.worker(), []
    for _ in range(8):
        ids.append(machine.new_id())
        put(writer, ids[-1])
        machine.seal()
    machine.run(40)
    assert len(list((machine.folder / "traces").glob("dt=*/*.parquet"))) == 2
    assert [machine.get(request_id)["id"] for request_id in ids] == [request_id.hex() for request_id in ids]
    machine.restart()


def test_a_segment_of_before_a_text_was_added_is_read_and_merged(machine: Machine) -> None:
    writer, ids = machine.worker(), []
    decision = {"strategy": "cost", "order": [["a/m"]]}
    for no in range(8):
        ids.append(machine.new_id())
        put(writer, ids[-1], decision=msgspec.json.encode(decision).decode())
        machine.seal()
        if no == 0:
            (old,) = (machine.folder / "traces").glob("dt=*/*.meta.parquet")
            pq.write_table(pq.read_table(old, partitioning=None).drop_columns(["decision"]), old)
            assert machine.get(ids[0])["decision"] is None
    machine.run(40)
    assert len(list((machine.folder / "traces").glob("dt=*/*.meta.parquet"))) == 1
    assert [machine.get(request_id)["decision"] for request_id in ids] == [None, *[decision] * 7]


def test_days_past_the_retention_are_dropped_whole(machine: Machine) -> None:
    old = machine.new_id()
    writer = machine.worker()
    put(writer, old)
    machine.seal()
    machine.clock.advance(LIMITS.retention_days * DAY_S + DAY_S)
    put(writer, machine.new_id())
    machine.seal()
    assert isinstance(machine.queries().get(old.hex()), Fault)
    assert len(machine.listed()) == 1
    assert len(list((machine.folder / "traces").glob("dt=*"))) == 1
    assert len(list((machine.folder / "traces" / "index").glob("*.db"))) == 1


def test_ingest_stands_still_on_a_full_disk_and_loses_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = machine.new_id()
    put(machine.worker(), request_id)
    machine.run()
    full: Callable[..., int] = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    monkeypatch.setattr(PosixFiles, "write", full)
    machine.seal()
    assert machine.ingest.counts.disk_full >= 1
    monkeypatch.undo()
    machine.clock.advance(LIMITS.backoff_s_max)
    machine.run(20)
    assert machine.ingest.unsealed == 0
    assert machine.listed() == [request_id.hex()]


def test_finish_reads_to_the_end_and_seals_all(machine: Machine) -> None:
    writer, request_id = machine.worker(), machine.new_id()
    put(writer, request_id)
    writer.close()
    machine.ingest.finish()
    assert machine.ingest.unsealed == 0
    assert machine.spools() == []
    assert machine.get(request_id)["answer"] == {"a": 1}


def test_pages_go_through_all_traces_once_in_every_order(machine: Machine) -> None:
    writer = machine.worker()
    for no in range(7):
        put(writer, machine.new_id(), duration_ns=(no % 3) * 10**9, cost_nanousd=-1 if no == 3 else no % 2)
        machine.clock.advance(DAY_S / 3)
    machine.run()
    queries = machine.queries()
    for sort in ("-start_time", "start_time", "-cost", "cost", "-latency", "latency"):
        seen: list[str] = []
        cursor = ""
        while True:
            query = query_from({"sort": sort, "limit": "2", "cursor": cursor})
            assert isinstance(query, TraceQuery)
            page = msgspec.json.decode(queries.find(query))
            seen += [item["id"] for item in page["data"]]
            cursor = page["meta"].get("cursor", "")
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 7, sort


def test_filters_find_what_they_name(machine: Machine) -> None:
    writer, a, b = machine.worker(), machine.new_id(), machine.new_id()
    put(writer, a, model="gpt", status=200, session_id="s1", cost_nanousd=2_000_000_000)
    put(writer, b, model="claude", status=429, outcome=1, public_id="k1", duration_ns=5 * 10**9)
    machine.run()
    for parameters, expected in (
        ({"model": "gpt"}, [a]), ({"model": "gpt,claude"}, [b, a]), ({"status": "429"}, [b]), ({"outcome": "fault"}, [b]), ({"key": "k1"},
        [b]),
        ({"session_id": "s1"}, [a]), ({"min_cost": "1.5"}, [a]), ({"min_latency_ms": "2000"}, [b]), ({"route": "nope"}, []),
        ({"from": "2100-01-01T00:00:00Z"}, []), ({"to": "2100-01-01T00:00:00Z"}, [b, a]),
    ):  # fmt: skip
        assert machine.listed(**parameters) == [i.hex() for i in expected], parameters


def test_a_tail_gives_what_arrives_once_and_in_order(machine: Machine) -> None:
    writer, query = machine.worker(), TraceQuery()
    put(writer, machine.new_id())
    machine.run()
    queries = machine.queries()
    page = queries.tail(None, query)
    assert page.items == ()
    late = machine.new_id()
    put(writer, late)
    machine.run()
    page = queries.tail(page.next_n, query)
    assert [msgspec.json.decode(item)["id"] for _, item in page.items] == [late.hex()]
    assert queries.tail(page.next_n, query).items == ()
