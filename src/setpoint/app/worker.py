"""A gateway worker, composed and run: the light process that serves traffic.

Nothing of the engine's weight may be imported from here (the import rules and a test hold this line): a worker forks in milliseconds and
has a few megabytes of its own.
"""

import asyncio
import gc
import os
import random
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from setpoint.adapters.files.posix import PosixFiles
from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.adapters.memory.response_cache import MemoryResponseCache
from setpoint.adapters.mmap.gauges import GaugeFile
from setpoint.adapters.mmap.limit_ledger import MmapLimitLedger
from setpoint.app.context import Listener, WorkerContext
from setpoint.app.data_directory import socket_path
from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.calling import Calling
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.elsewhere import Switch
from setpoint.gateway.engine import EngineDoor, engine_upstream
from setpoint.gateway.fallback import with_fallbacks
from setpoint.gateway.holding import cut_slowest, weigh
from setpoint.gateway.ids import RequestIds
from setpoint.gateway.lane import GatewayLane
from setpoint.gateway.local import Local
from setpoint.gateway.meter import Meter
from setpoint.gateway.observing import observed
from setpoint.gateway.plan_swap import Workshop, upstream_tls
from setpoint.gateway.probes import HealthProbes
from setpoint.gateway.published import Published
from setpoint.gateway.server import ClientConnection
from setpoint.gateway.spool import SpoolWriter
from setpoint.gateway.stack import Handler, checks, stack
from setpoint.gateway.stages.admit import admit
from setpoint.gateway.stages.attempt import Attempt
from setpoint.gateway.stages.authenticate import authenticate
from setpoint.gateway.stages.cache import Cache, CachedAnswer
from setpoint.gateway.stages.limit import limit
from setpoint.gateway.stages.read import read
from setpoint.gateway.stages.record import record
from setpoint.gateway.stages.route import route
from setpoint.gateway.turn import Turn
from setpoint.gateway.upstream import Pool
from setpoint.kit.backoff import RetryBudget
from setpoint.kit.sealing import SealBroken
from setpoint.ports.snapshots import Loaded, Unloadable
from setpoint.runtime.clock import SystemClock
from setpoint.runtime.log import Log
from setpoint.wire import gauge_page as at
from setpoint.wire.prometheus_text import render_prometheus
from setpoint.wire.standing import render_standings

POLL_S = 0.25
"""How often CURRENT is looked at: the bound on how long a publication or a revocation can take to reach this worker."""
BACKLOG = 4_096
HANDSHAKE_S = 10.0
SHUTDOWN_S = 3_600.0
"""For a TLS client that is slow to take its last answer; one that takes nothing is cut off by its connection long before."""
IDLE_GRACE_S = 6.0
"""A draining worker closes idle connections no sooner: a client that just got an answer may be sending its next request."""
ORPHAN_DRAIN_S = 30.0
CTL_LINE_BYTES_MAX = 4_096
LAST_TURNS = 3
"""Turns of the loop in which aborted transports tell their protocols."""
GC_THRESHOLD = 50_000
"""Exchanges leave no reference cycles behind, so the collector would mostly look at what is alive."""


def run(context: WorkerContext) -> None:
    """Serve until drained. The caller ends the process afterwards."""
    gc.set_threshold(GC_THRESHOLD)
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(GatewayWorker(context, loop).serve())
    finally:
        loop.close()


class GatewayWorker:
    """The parts of a worker, put together, and its life: start, look for news, drain."""

    def __init__(self, context: WorkerContext, loop: asyncio.AbstractEventLoop, log: Log | None = None) -> None:
        self._context = context
        self._loop = loop
        self._log = log or Log(f"worker-{context.slot}")
        self._clock = clock = SystemClock()
        self._snapshots = SnapshotFiles(context.data_dir)
        run_dir = context.data_dir / "run"
        self._gauges = GaugeFile(run_dir / "gauges.shm")
        number, page = self._gauges.claim(context.slot, context.boot, os.getpid(), clock.wall_ns())
        self._ledger = MmapLimitLedger(run_dir / "limits.shm", number)
        self._ledger.reset_column(number)
        self._page = page
        self._folded = run_dir / "folded.prom"
        self._spool = SpoolWriter(PosixFiles(), context.data_dir / "spool", context.slot, context.boot, clock, context.spool_sync)
        self._deadlines = Deadlines(loop)
        self._workshop = Workshop(loop, self._deadlines, context.keyring, upstream_tls)
        self._loaded = self._first_snapshot()
        published = self._workshop.build(self._loaded)
        self._workshop.adopt(published)
        self._meter = meter = Meter(page)
        self._turn = Turn(self._spool, loop.call_soon, meter.records, meter.records_lost)
        self._uniform = random.Random(os.urandom(16)).random
        self.lane = GatewayLane(
            loop, clock, self._deadlines, self._turn, RequestIds(os.urandom), meter, published, self._log, self._uniform
        )
        limits = published.plan.limits
        self._cache: MemoryResponseCache[CachedAnswer] = MemoryResponseCache(limits.cache_bytes_max, limits.cache_entry_bytes_max)
        self._engine_path = socket_path(context.data_dir, "engine.sock")
        self._engine_pool = Pool(engine_upstream(self._engine_path), None, loop, self._deadlines)
        local = Local(self._uptime_s, self._metrics_text, self._is_engine_up, lambda: self.lane.draining)
        self.lane.elsewhere = Switch(self.lane, local, EngineDoor(self.lane, self._engine_pool, loop), self._wall_s)
        self.lane.handle = record(self._stages(), self.lane.finish, self.lane.on_bug)
        self._probes = HealthProbes(self._deadlines, random.random)
        self._servers: list[asyncio.Server] = []
        self._last_ones: set[asyncio.Task[object]] = set()
        self._drained = asyncio.Event()
        self._said = b""
        self._held_bytes = 0
        self._polled_s = 0.0
        self._unloadable = ""

    def _stages(self) -> Handler:
        """The order an exchange passes. `record` is around all of it."""
        lane, now_s, meter, uniform = self.lane, self._deadlines.now_s, self._meter, self._uniform
        attempt = Attempt(
            observed(Calling(lane.commit, self._clock.mono_ns, self._wall_s).call, self._clock.mono_ns, now_s),
            self._deadlines,
            uniform,
            RetryBudget(),
            lane.attempt_failed,
            meter.hedged,
        )
        return stack(
            checks(
                admit(lambda: lane.in_flight),  # a full worker says so before it does any work
                authenticate(self._wall_s),  # identity before limits: a bucket belongs to somebody
                limit(self._ledger, now_s, meter.limit_refused),  # limits before anybody looks into the body
                read,  # what is asked, once
                route(uniform, now_s),  # where it may go; its policy decides about the cache
            ),
            Cache(self._cache, self._deadlines, meter.followed).stage(),  # a hit needs no upstream at all
            core=with_fallbacks(attempt.handle, lane.attempt_failed, now_s),
        )

    # ---- life

    async def serve(self) -> None:
        """Listen, say so, and follow the supervisor's words until drained."""
        context = self._context
        context.ctl.setblocking(False)
        for listener in context.listeners:
            self._servers.append(await self._listen(listener))
        self._loop.add_reader(context.ctl.fileno(), self._hear)
        self._probes.follow(self.lane.published.lines.values())
        self._tell("ready")
        self._tell(f"acked {self._loaded.current.epoch}-{self._loaded.current.version}")
        self._tick()
        await self._drained.wait()
        self._turn.flush()
        self._spool.close()
        self._ledger.drain(self._deadlines.now_s())
        await self._let_go()
        self._tell("drained")

    async def _let_go(self) -> None:
        """Close what is still open, and let the transports say so."""
        self._loop.remove_reader(self._context.ctl.fileno())
        self._workshop.abort()
        self._engine_pool.abort()
        self._deadlines.stop()
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)

    async def _listen(self, listener: Listener) -> asyncio.Server:
        tls = listener.tls
        return await self._loop.create_server(
            self._client_of(listener),
            sock=listener.sock,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
            ssl_shutdown_timeout=SHUTDOWN_S if tls is not None else None,
        )

    def _client_of(self, listener: Listener) -> Callable[[], ClientConnection]:
        return lambda: ClientConnection(self.lane, listener.purpose, tls=listener.tls is not None)

    def _accept_the_rest(self, held: list[tuple[Listener, socket.socket]]) -> None:
        """Takes what waits in the kernel's queue: if this worker's listener is the last one, closing it would reset those connections."""
        for listener, queue in held:
            queue.setblocking(False)
            while True:
                try:
                    sock, _ = queue.accept()
                except OSError:
                    queue.close()
                    break
                handshake_s = HANDSHAKE_S if listener.tls is not None else None
                opening = self._loop.connect_accepted_socket(
                    self._client_of(listener), sock, ssl=listener.tls, ssl_handshake_timeout=handshake_s
                )
                task = self._loop.create_task(opening)
                self._last_ones.add(task)
                task.add_done_callback(self._last_ones.discard)

    def _tick(self) -> None:
        """Housekeeping, four times a second."""
        if self._drained.is_set():
            return
        began_s = self._loop.time()
        self._loop.call_later(POLL_S, self._tick)  # first of all: a bug below must not be the end of housekeeping
        self._look_for_news()
        self._ledger.tick(began_s)
        self._spool.tick()
        self._weigh()
        self._gauge(began_s)

    def _weigh(self) -> None:
        """Is all that is held for clients within its bound?"""
        lane = self.lane
        self._held_bytes = held = lane.body_bytes_held + weigh(lane.connections)
        excess = held - lane.limits.held_bytes_max
        lane.admission.fill(full=excess > 0)
        if excess > 0:
            self._page[at.SLOW_READERS_CUT] += cut_slowest(lane.connections, excess)

    def _gauge(self, now_s: float) -> None:
        page, lane = self._page, self.lane
        if self._polled_s:
            page[at.LOOP_LAG_NS] = max(0, int((now_s - self._polled_s - POLL_S) * 1e9))
        self._polled_s = now_s
        usage = resource.getrusage(resource.RUSAGE_SELF)
        statistics = self._cache.statistics()
        page[at.CPU_NS] = int((usage.ru_utime + usage.ru_stime) * 1e9)
        page[at.RESIDENT_BYTES] = _resident_bytes()
        page[at.ACTIVE_CONNECTIONS] = len(lane.connections)
        page[at.UPSTREAM_CONNECTIONS] = self._workshop.connections()
        page[at.QUEUED] = self._workshop.waiting()
        page[at.OPEN_BREAKERS] = self._workshop.open_breakers()
        for place, line in zip(range(at.STANDINGS_MAX), lane.published.lines.values(), strict=False):
            page[at.STANDINGS + place] = line.standing(now_s).packed()
        page[at.BODY_BYTES_HELD] = lane.body_bytes_held
        page[at.HELD_BYTES] = self._held_bytes
        page[at.STANDING_DELAY_NS] = int(lane.admission.standing_s * 1e9)
        page[at.SHEDDING] = int(lane.admission.shedding)
        page[at.CACHE_ENTRIES_L1], page[at.CACHE_BYTES_L1] = statistics.size, statistics.bytes
        page[at.CONFIG_EPOCH], page[at.CONFIG_VERSION] = lane.published.plan.epoch, lane.published.version
        page[at.CONFIG_OLDEST_EPOCH], page[at.CONFIG_OLDEST_VERSION] = lane.oldest_in_use()
        page[at.DRAINING] = int(lane.draining)

    # ---- configuration

    def _first_snapshot(self) -> Loaded:
        loaded = self._snapshots.load_any()
        if isinstance(loaded, Unloadable):
            raise RuntimeError(f"there is no usable snapshot: {loaded.reason}")  # noqa: TRY004  data says it, no type is wrong
        if loaded.note:
            self._log.warning("started from an earlier snapshot", reason=loaded.note)
        return loaded

    def _look_for_news(self) -> None:
        """Take over a newer snapshot; keep the present one when it cannot be used."""
        if not self._snapshots.changed(self._loaded.stamp):
            return
        loaded = self._snapshots.load(self._loaded)
        if isinstance(loaded, Unloadable):
            if loaded.reason != self._unloadable:  # looked at again at every tick, said once
                self._unloadable = loaded.reason
                self._log.error("a published snapshot cannot be loaded", reason=loaded.reason)
                self._page[at.CONFIG_REJECTIONS] += 1
            return
        self._unloadable = ""
        name = loaded.current.name
        try:
            published = self._workshop.build(loaded)
        except (SealBroken, ValueError, OSError) as error:
            self._page[at.CONFIG_REJECTIONS] += 1
            self._log.error("a published plan cannot be used", version=name, reason=str(error))
            self._keep_plan(loaded)
            self._tell(f"nacked {name} {error}")
            return
        self._use(loaded, published)
        self._page[at.CONFIG_RELOADS] += 1
        self._tell(f"acked {name}")

    def _keep_plan(self, loaded: Loaded) -> None:
        """The present plan with the new keys: a plan that cannot be used must not keep revoked keys alive."""
        kept = self._loaded
        current = msgspec.structs.replace(
            loaded.current, epoch=kept.current.epoch, version=kept.current.version, plan_sha256=kept.current.plan_sha256
        )
        loaded = Loaded(current, kept.plan, loaded.keys, loaded.stamp)
        self._use(loaded, self._workshop.build(loaded))

    def _use(self, loaded: Loaded, published: Published) -> None:
        self._loaded = loaded
        self._workshop.adopt(published)
        self.lane.take_over(published)
        if not self.lane.draining:
            self._probes.follow(published.lines.values())

    # ---- the supervisor

    def _tell(self, line: str) -> None:
        try:
            self._context.ctl.send(line.encode() + b"\n")
        except OSError:
            return  # gone, or not reading; its end is heard by the reader

    def _hear(self) -> None:
        try:
            data = self._context.ctl.recv(CTL_LINE_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._context.ctl.fileno())
            self._drain(ORPHAN_DRAIN_S, end_streams=True)
            return
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            self._obey(line.decode("utf-8", "replace").split())

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["publish", *_]:
                self._look_for_news()
            case ["ping"]:
                self._tell("pong")
            case ["drain", seconds, mode]:
                self._drain(float(seconds), end_streams=mode == "stop")

    def _drain(self, within_s: float, *, end_streams: bool) -> None:
        """Accept no more, finish what is under way, close what stays idle; after `within_s` end what is left with an explicit fault."""
        if self.lane.draining:
            return
        self.lane.draining = True
        self._probes.stop()
        held = [(listener, listener.sock.dup()) for listener in self._context.listeners]
        for server in self._servers:
            server.close()
        # uvloop lets go of its descriptor some turns later; only then is what the queue still gets ours to take.
        self._loop.call_later(0.02, self._accept_the_rest, held)
        began_s = self._loop.time()
        # A connection that was just accepted is known to the lane only some turns later.
        self._loop.call_later(0.05, lambda: self._drain_step(began_s + IDLE_GRACE_S, began_s + within_s, end_streams=end_streams))

    def _drain_step(self, close_idle_s: float, until_s: float, *, end_streams: bool) -> None:
        now_s, lane = self._loop.time(), self.lane
        if now_s >= close_idle_s or now_s >= until_s:
            lane.close_idle()
        if now_s >= until_s:
            text = (
                "The gateway is shutting down and could not wait for this answer any longer."
                if end_streams
                else "This gateway worker is being replaced."
            )
            lane.end_all(Fault(FaultKind.draining, text, retry_after_s=1.0))
        if not lane.connections:
            self._drained.set()
        elif now_s >= until_s + 1:
            lane.abort_all()
            self._loop.call_soon(self._drained.set)
        else:
            self._loop.call_later(0.05, lambda: self._drain_step(close_idle_s, until_s, end_streams=end_streams))

    # ---- small things the parts ask for

    def _wall_s(self) -> float:
        return self._clock.wall_ns() / 1e9

    def _uptime_s(self) -> float:
        return (self._clock.wall_ns() - self._context.started_ns) / 1e9

    def _metrics_text(self) -> str:
        seen, plan = self._gauges.seen(), self.lane.published.plan
        upstreams = [(upstream.name, upstream.provider) for upstream in plan.upstreams]
        text = render_prometheus(seen) + render_standings(seen, upstreams, plan.epoch, plan.version)
        try:
            return text + self._folded.read_text()
        except OSError:
            return text  # ingest has not folded anything yet

    def _is_engine_up(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self._engine_path)
            except BlockingIOError:
                return True  # its queue is full, so somebody listens
            except OSError:
                return False
            return True


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
