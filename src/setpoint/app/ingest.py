"""The ingest process: composition of `analytics.ingest`, its loop, its end."""

import gc
from pathlib import Path

from setpoint.adapters.files.posix import PosixFiles
from setpoint.adapters.sqlite.catalog import SqliteCatalog
from setpoint.adapters.sqlite.trace_index import SqliteTraceIndex
from setpoint.analytics.ingest import Ingest, IngestLimits
from setpoint.analytics.spool_reader import SpoolFolder
from setpoint.app.lazy_segments import LazySegments
from setpoint.app.orders import Orders
from setpoint.app.service_context import ServiceContext
from setpoint.ports.files import Files
from setpoint.runtime.clock import Clock, SystemClock
from setpoint.runtime.log import Log

POLL_S_MIN = 0.02
POLL_S_MAX = 0.4
"""After this long without a record ingest looks less often; it bounds how late an idle gateway's next trace is readable."""
PUBLISH_S = 1.0
GC_ALLOCATIONS = 100_000
"""Unsealed traces are many small objects without cycles; looking through them often is a tenth of the work."""


def compose(data_dir: Path, files: Files, clock: Clock, limits: IngestLimits, log: Log) -> Ingest:
    traces = data_dir / "traces"
    files.make_folder(traces / "index")
    return Ingest(
        files=files,
        spool=SpoolFolder(files, data_dir / "spool"),
        catalog=SqliteCatalog(traces / "catalog.db"),
        index=SqliteTraceIndex(traces / "index"),
        segments=LazySegments(files, traces, data_dir / "tmp"),
        clock=clock,
        limits=limits,
        log=log.warning,
    )


def run(context: ServiceContext) -> None:
    """Blocks until the supervisor says stop or is gone; then reads to the end of all spools and seals. Raises IngestRefused when the
    data directory contradicts itself, StoreError or OSError when the last seal cannot be made (the next start makes it)."""
    clock, files = SystemClock(), PosixFiles()
    ingest = compose(context.data_dir, files, clock, IngestLimits(), context.log)
    ingest.recover()
    while ingest.step():
        pass
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    context.tell("ready")
    _serve(context, ingest, files, clock)
    ingest.finish()
    _publish(files, context.data_dir / "run", ingest)
    ingest.close()
    context.log.info("traces are sealed", taken=ingest.counts.taken, sealed=ingest.counts.sealed)


def _serve(context: ServiceContext, ingest: Ingest, files: Files, clock: Clock) -> None:
    supervisor = Orders(context)
    wait_s, published_s = POLL_S_MIN, float("-inf")
    while not supervisor.say_stop(0.0 if ingest.has_work else wait_s):
        taken = ingest.step()
        wait_s = POLL_S_MIN if taken else min(POLL_S_MAX, wait_s * 2)
        if ingest.fold.changed and clock.now_s() - published_s >= PUBLISH_S:
            published_s = clock.now_s()
            _publish(files, context.data_dir / "run", ingest)


def _publish(files: Files, run: Path, ingest: Ingest) -> None:
    """`run/folded.prom`, for the workers' /metrics: whole or not at all."""
    text = ingest.fold.render(ingest.gauges()).encode()
    try:
        files.make_folder(run)
        fd = files.create(run / "folded.prom.new")
        try:
            while text:
                text = text[files.write(fd, text) :]
        finally:
            files.close(fd)
        files.rename(run / "folded.prom.new", run / "folded.prom")
    except OSError:
        # Metrics of the last second are shown again; the next publication comes in a second.
        ingest.fold.changed = True
