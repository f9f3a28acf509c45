"""What a trace costs: `python tools/trace_bench.py --traces 40000`. CPU of one process, wall time beside it; nothing is asserted.

Traces of about 4 KB (a prompt of 2.6 KB and an answer of 1.35 KB, of random words) are written by the spool writer, 4 in a block, read by
ingest with sealing put off, sealed, and read back.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from setpoint.adapters.files.posix import PosixFiles
from setpoint.adapters.parquet.segments import ParquetSegments
from setpoint.adapters.sqlite.stored_traces import SqliteStoredTraces
from setpoint.analytics.ingest import Ingest, IngestLimits
from setpoint.analytics.query import TraceQueries
from setpoint.app.ingest import compose
from setpoint.domain.trace import RecordHead, RecordTail
from setpoint.domain.trace_query import TraceQuery
from setpoint.gateway.spool import SpoolWriter
from setpoint.runtime.clock import SystemClock
from setpoint.runtime.log import Log
from setpoint.wire.spool import encode_head, encode_tail

BLOCK_RECORDS = 4
Record = tuple[bytes, bytes, bytes, bytes]


def record(rng: Random, texts: list[bytes]) -> tuple[bytes, Record]:
    request_id = time.time_ns().to_bytes(8, "big") + rng.randbytes(8)
    prompt, answer = rng.choice(texts)[: 2600 - rng.randrange(50)], rng.choice(texts)[100 : 1450 + rng.randrange(30)]
    tail = RecordTail(
        route="chat", upstream="openai", provider="openai", model="gpt-4o", model_served="gpt-4o-2024-11-20", finish="stop",
        public_id="k3a9",
        project="default", role="developer", prompt_bytes=len(prompt), answer_bytes=len(answer), price_source="genai-prices",
    )  # fmt: skip
    head = RecordHead(
        kind=2, outcome=0, surface=1, cache=1, status=200, attempts=1, request_id=request_id, trace_id=rng.randbytes(16),
        start_ns=time.time_ns(), duration_ns=rng.randrange(10**7, 10**9), ttft_ns=10**7, upstream_ns=10**7, cost_nanousd=12_345,
        input=650, cached_read=0, cache_write=0, output=340, reasoning=0, key_no=7, config_version=3, fault=0, streamed=False,
    )  # fmt: skip
    raw = encode_tail(tail)
    return request_id, (encode_head(head, len(raw), len(prompt), len(answer)), raw, prompt, answer)


def cpu(what: str, n: int, work: Callable[[], object]) -> None:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    print(f"{what:<44}{(time.process_time() - cpu_s) / n * 1e6:9.2f} µs CPU {(time.perf_counter() - wall_s) / n * 1e6:9.2f} µs wall")


def read_all(ingest: Ingest) -> None:
    while ingest.step():
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--traces", type=int, default=40_000)
    parser.add_argument("--profile", action="store_true", help="where the time of ingest goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.traces, arguments.profile)


def measure(data: Path, n: int, profile: bool) -> None:
    rng, files, clock = Random(1), PosixFiles(), SystemClock()
    for name in ("spool", "tmp", "traces/index"):
        (data / name).mkdir(parents=True)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(3000)]
    texts = [" ".join(rng.choices(words, k=600)).encode() for _ in range(2000)]
    made = [record(rng, texts) for _ in range(n)]
    ids, records = [request_id for request_id, _ in made], [r for _, r in made]
    raw_bytes = sum(len(part) for r in records for part in r)
    writer = SpoolWriter(files, data / "spool", 0, rng.getrandbits(64), clock)
    cpu("spool writer, with its write", n, lambda: _write(writer, records))
    writer.close()
    ingest = compose(data, files, clock, IngestLimits(seal_rows=10**9, seal_age_s=1e9), Log("ingest"))
    ingest.recover()
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(read_all, ingest)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(16)
    cpu("ingest on time: check, decode, index, fold", n, lambda: read_all(ingest))
    cpu("seal: Parquet, index durable, catalog", n, ingest.finish)
    stored = sum(
        path.stat().st_size for path in (data / "traces").rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    )
    print(f"{'raw bytes per trace':<44}{raw_bytes / n:9.0f}\n{'bytes per trace on disk':<44}{stored / n:9.0f}")
    segments = ParquetSegments(files, data / "traces", data / "tmp")
    queries: Any = TraceQueries(files, data / "spool", SqliteStoredTraces(data / "traces", lambda: False), segments)
    queries.get(ids[0].hex())
    cpu("one sealed trace by id", 100, lambda: [queries.get(rng.choice(ids).hex()) for __ in range(100)])
    cpu("first page of 50", 100, lambda: [queries.find(TraceQuery()) for __ in range(100)])
    cpu("page of 50 by latency, all rows looked at", 10, lambda: [queries.find(TraceQuery(sort="-latency")) for __ in range(10)])
    print(f"{'processor':<44}{os.cpu_count():9d} cores")


def _write(writer: SpoolWriter, records: list[Record]) -> None:
    for at in range(0, len(records), BLOCK_RECORDS):
        turn = records[at : at + BLOCK_RECORDS]
        if not writer.append([r[0] for r in turn], [r[1] for r in turn], [part for r in turn for part in r[2:]]):
            raise SystemExit("the spool could not be written")


if __name__ == "__main__":
    main()
