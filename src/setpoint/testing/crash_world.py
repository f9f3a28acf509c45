"""A small world of workers and one ingest, in which everything that touches the disk fails or dies, and an account of what must be true
after.

Workers write records of made-up exchanges through the real spool writer; ingest, seal, catalog, index, segments and compaction are the real
ones. Chance and time come from a seed. The account holds what each worker was told (`append` returned True) and what it tried.

    promised   an END that was acknowledged is stored exactly once, with its bodies and attempts; a BEGIN that was acknowledged is stored
    exactly
               once, as the END that was acknowledged, or as `worker_died`
    allowed    an END that was written but not acknowledged (its worker died in the call) may be stored, once
    forbidden  anything else: an id nobody wrote, an id twice, a count that differs from the traces, a metric that runs backwards, a spool
               file that stays, a Parquet file that the catalog does not name
"""

import os
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec

from setpoint.adapters.parquet.segments import ParquetSegments
from setpoint.adapters.sqlite.catalog import SqliteCatalog
from setpoint.adapters.sqlite.trace_index import SqliteTraceIndex
from setpoint.analytics.ingest import Ingest, IngestLimits
from setpoint.analytics.spool_reader import SpoolFolder
from setpoint.domain.trace import Outcome, RecordHead, RecordKind, RecordTail, Surface
from setpoint.gateway.spool import SpoolWriter
from setpoint.ports.catalog import StoreError
from setpoint.testing.clock import SettableClock
from setpoint.testing.crash_points import FAILURES, KILLS, CrashFiles, CrashPoints, Event, Killed, copy_store, one_in
from setpoint.wire.spool import encode_head, encode_tail

NS = 1_000_000_000
SETTLE_STEPS_MAX = 2_000
MEANWHILE = 0.15
STORY_TURNS = 8
LIMITS = IngestLimits(seal_rows=12, seal_age_s=20.0, busy_factor=2)


class Broken(AssertionError):
    """The account does not balance."""


@dataclass(slots=True)
class Account:
    """What was tried and what was acknowledged, by request id."""

    tried: dict[bytes, int] = field(default_factory=dict)
    """END records given to a writer: id → number of ATTEMPT records acknowledged before."""
    acknowledged: set[bytes] = field(default_factory=set)
    began: set[bytes] = field(default_factory=set)
    """Acknowledged BEGIN or ATTEMPT records."""
    may_have_begun: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Worker:
    """One life of a gateway worker."""

    points: CrashPoints
    writer: SpoolWriter
    open: dict[bytes, int] = field(default_factory=dict)
    """Exchanges that began and did not end → their acknowledged attempts."""


class CrashWorld:
    """Build it in an empty folder, let things happen, then `settle` and `check`."""

    def __init__(self, folder: Path, rng: Random) -> None:
        self.folder, self.rng, self.clock, self.account = folder, rng, SettableClock(), Account()
        self.workers: dict[int, Worker] = {}
        self.ingest: Ingest | None = None
        self.ingest_points = CrashPoints()
        self.deaths = 0
        self.seen_total = 0
        self._last_ns = 0
        self._images = 0
        for name in ("spool", "tmp", "traces/index"):
            (folder / name).mkdir(parents=True)

    # ---------------------------------------------------------------------------------------------------------- workers

    def start_worker(self, slot: int, points: CrashPoints) -> None:
        """A fresh life in that slot; nothing happens when it dies while starting."""
        self.stop_worker(slot, kill=True)
        points.meanwhile = self._meanwhile
        try:
            files = CrashFiles(points)
            writer = SpoolWriter(files, self.folder / "spool", slot, self.rng.getrandbits(64), self.clock, rotate_bytes=2_000)
        except Killed:
            points.bury()
            self.deaths += 1
            return
        self.workers[slot] = Worker(points, writer)

    def stop_worker(self, slot: int, *, kill: bool) -> None:
        worker = self.workers.pop(slot, None)
        if worker is None:
            return
        try:
            if not kill:
                worker.writer.close()
        except Killed:
            self.deaths += 1
        worker.points.bury()

    def write(self, slot: int) -> None:
        """One loop turn of a worker: a few records in one block."""
        worker = self.workers.get(slot)
        if worker is None:
            return
        turn = _Turn(self, worker)
        for _ in range(self.rng.randint(1, 4)):
            turn.add_something()
        self._during(slot, turn.write)

    def tick(self, slot: int) -> None:
        worker = self.workers.get(slot)
        if worker is not None:
            self._during(slot, worker.writer.tick)

    def _meanwhile(self) -> None:
        """Ingest is another process: it looks between any two calls of a worker."""
        if self.rng.random() < MEANWHILE:
            self.clock.advance(self.rng.choice((0.0, 0.3, 1.1)))
            self.step_ingest()

    def new_id(self) -> bytes:
        self._last_ns = max(self.clock.wall_ns(), self._last_ns + 1)
        return self._last_ns.to_bytes(8, "big") + self.rng.randbytes(8)

    def _during(self, slot: int, act: Any) -> None:
        try:
            act()
        except Killed:
            self.deaths += 1
            self.workers.pop(slot).points.bury()

    # ----------------------------------------------------------------------------------------------------------- ingest

    def start_ingest(self, points: CrashPoints) -> None:
        """A fresh ingest; it may die or fail while starting, then there is none."""
        self.stop_ingest()
        self.ingest_points = points
        points.at_death = self._keep_image
        try:
            self.ingest = self._ingest(points)
            self.ingest.recover()
        except Killed:
            self._ingest_died()
        except (OSError, StoreError):
            self.stop_ingest()

    def stop_ingest(self) -> None:
        """As kill -9 between two calls."""
        self.ingest_points.bury()
        self.ingest = None

    def step_ingest(self) -> None:
        if self.ingest is None:
            return
        try:
            self.ingest.step()
        except Killed:
            self._ingest_died()

    def _ingest(self, points: CrashPoints) -> Ingest:
        files: Any = CrashFiles(points)
        traces = self.folder / "traces"
        return Ingest(
            files=files,
            spool=SpoolFolder(files, self.folder / "spool"),
            catalog=SqliteCatalog(traces / "catalog.db", points.connect),
            index=SqliteTraceIndex(traces / "index", points.connect),
            segments=ParquetSegments(files, traces, self.folder / "tmp"),
            clock=self.clock,
            limits=LIMITS,
        )

    def _keep_image(self) -> None:
        """What the disk holds at the moment of death: closing SQLite's connections afterwards would tidy up."""
        self._images += 1
        copy_store(self.folder / "traces", self.folder / f"image{self._images}")

    def _ingest_died(self) -> None:
        self.deaths += 1
        self.ingest_points.bury()
        self.ingest = None
        shutil.rmtree(self.folder / "traces")
        (self.folder / f"image{self._images}").rename(self.folder / "traces")

    # ------------------------------------------------------------------------------------------------------------- end

    def settle(self) -> None:
        """Every worker ends, nothing goes wrong any more, ingest reads and seals all."""
        for slot in list(self.workers):
            self.workers[slot].points.quiet()
            self.stop_worker(slot, kill=self.rng.random() < 0.5)
        self.clock.advance(120.0)
        self.start_ingest(CrashPoints())
        ingest = self.ingest
        if ingest is None:
            raise Broken("ingest does not start")
        for _ in range(SETTLE_STEPS_MAX):
            self.clock.advance(1.0)
            if not ingest.step() and not ingest.has_work and not os_names(self.folder / "spool") and not ingest.unsealed:
                break
        ingest.finish()

    def check(self) -> int:
        """Raises Broken when the account does not balance; returns the number of traces stored."""
        ingest, account = self.ingest, self.account
        if ingest is None:
            raise Broken("there is no ingest")
        stored = self._stored()
        ids = [row["id"] for row in stored]
        _equal("ids stored twice", len(ids) - len(set(ids)), 0)
        by_id = {row["id"]: row for row in stored}
        _equal("acknowledged ENDs that are not stored", {i.hex() for i in account.acknowledged - by_id.keys()}, set())
        _equal("acknowledged BEGINs that are not stored", {i.hex() for i in account.began - by_id.keys()}, set())
        _equal("ids nobody wrote", {i.hex() for i in by_id.keys() - account.tried.keys() - account.may_have_begun}, set())
        for request_id, row in by_id.items():
            self._check_row(request_id, row)
        indexed = self._indexed()
        _equal("ids in the index", sorted(indexed), sorted(ids))
        self._check_counts(ingest, len(ids))
        _equal("spool files left", os_names(self.folder / "spool"), [])
        return len(ids)

    def _check_row(self, request_id: bytes, row: dict[str, Any]) -> None:
        died = row["outcome"] == Outcome.worker_died
        if died and request_id in self.account.acknowledged:
            raise Broken(f"{request_id.hex()} was acknowledged and is stored as worker_died")
        if not died and request_id not in self.account.tried:
            raise Broken(f"{request_id.hex()} never ended and is stored as {row['outcome']}")
        _equal("prompt", row["prompt"], prompt_of(request_id))
        if not died:
            _equal("answer", row["answer"], answer_of(request_id))
            _equal("attempts", len(msgspec.json.decode(row["attempt_list"])), self.account.tried[request_id])

    def _check_counts(self, ingest: Ingest, stored: int) -> None:
        total = exchanges(ingest)
        _equal("exchanges in the metrics", total, stored)
        if total < self.seen_total:
            raise Broken(f"the metrics said {self.seen_total} before, {total} now")
        db = CrashPoints().connect(str(self.folder / "traces" / "catalog.db"))
        (rolled_up,) = db.execute("SELECT ifnull(sum(exchanges), 0) FROM rollup_1m").fetchone()
        named = {(day, seq) for day, seq in db.execute("SELECT day, seq FROM segment")}
        db.close()
        _equal("exchanges in the roll-up", rolled_up, stored)
        found = {(p.parent.name.removeprefix("dt="), int(p.name[:10])) for p in (self.folder / "traces").glob("dt=*/*.parquet")}
        _equal("Parquet files", found, named)

    def _stored(self) -> list[dict[str, Any]]:
        segments: Any = ParquetSegments(CrashFiles(CrashPoints()), self.folder / "traces", self.folder / "tmp")
        catalog = SqliteCatalog(self.folder / "traces" / "catalog.db")
        state = catalog.load()
        catalog.close()
        rows = []
        for segment in state.segments:
            bodies = list(segments.bodies(segment))
            for row, (prompt, answer) in zip(segments.rows(segment), bodies, strict=True):
                rows.append({**row, "prompt": prompt, "answer": answer})
        return rows

    def _indexed(self) -> list[bytes]:
        found: list[bytes] = []
        for path in (self.folder / "traces" / "index").glob("*.db"):
            db = CrashPoints().connect(str(path))
            found += [row[0] for row in db.execute("SELECT id FROM trace")]
            db.close()
        return found


class _Turn:
    """The records of one loop turn, and what they will mean when they are acknowledged."""

    def __init__(self, world: CrashWorld, worker: Worker) -> None:
        self._world, self._worker = world, worker
        self._heads: list[bytes] = []
        self._tails: list[bytes] = []
        self._bodies: list[bytes] = []
        self._begun: dict[bytes, int] = {}
        self._ended: list[bytes] = []

    def add_something(self) -> None:
        rng, known = self._world.rng, [*self._worker.open, *self._begun]
        known = [i for i in known if i not in self._ended]
        choice = rng.random()
        if known and choice < 0.35:
            self._end(rng.choice(known))
        elif known and choice < 0.45:
            self._attempt(rng.choice(known))
        elif choice < 0.65:
            request_id = self._world.new_id()
            self._begin(request_id) if rng.random() < 0.7 else self._attempt(request_id)
        else:
            self._end(self._world.new_id())

    def write(self) -> None:
        account = self._world.account
        account.may_have_begun.update(self._begun)
        before = {request_id: self._worker.open.get(request_id, 0) + self._begun.get(request_id, 0) for request_id in self._ended}
        account.tried.update(before)
        if not self._worker.writer.append(self._heads, self._tails, self._bodies):
            # None is safe. Whether an earlier BEGIN is closed by it nobody knows; the worker goes on without these exchanges.
            for request_id in self._ended:
                self._worker.open.pop(request_id, None)
            for request_id in self._begun:
                if request_id in self._worker.open:
                    # An attempt that may or may not be stored: the number of attempts is then not checked by ending it.
                    self._worker.open.pop(request_id)
            return
        account.began.update(self._begun)
        account.acknowledged.update(self._ended)
        for request_id, attempts in self._begun.items():
            self._worker.open[request_id] = self._worker.open.get(request_id, 0) + attempts
        for request_id in self._ended:
            self._worker.open.pop(request_id, None)

    def _begin(self, request_id: bytes) -> None:
        self._begun.setdefault(request_id, 0)
        self._record(RecordKind.begin, request_id, prompt_of(request_id), b"")

    def _attempt(self, request_id: bytes) -> None:
        self._begun[request_id] = self._begun.get(request_id, 0) + 1
        self._record(RecordKind.attempt, request_id, prompt_of(request_id), b"")

    def _end(self, request_id: bytes) -> None:
        self._ended.append(request_id)
        self._record(RecordKind.end, request_id, prompt_of(request_id), answer_of(request_id))

    def _record(self, kind: RecordKind, request_id: bytes, prompt: bytes, answer: bytes) -> None:
        rng = self._world.rng
        tail = RecordTail(
            route="r", upstream="u", provider=rng.choice(("openai", "anthropic")), model="m", attempt_no=1, prompt_bytes=len(prompt)
        )
        raw_tail = encode_tail(tail)
        head = RecordHead(
            kind=kind, outcome=0, surface=Surface.openai_chat, cache=1, status=200, attempts=1, request_id=request_id, trace_id=bytes(16),
            start_ns=self._world.clock.wall_ns(), duration_ns=NS, ttft_ns=0, upstream_ns=0, cost_nanousd=7, input=3, cached_read=0,
            cache_write=0, output=2, reasoning=0, key_no=1, config_version=1, fault=0, streamed=False,
        )  # fmt: skip
        self._heads.append(encode_head(head, len(raw_tail), len(prompt), len(answer)))
        self._tails.append(raw_tail)
        self._bodies += (prompt, answer)


def prompt_of(request_id: bytes) -> bytes:
    """Made from the id, so that a stored one can be checked."""
    return b"p" + sha256(request_id).digest() * (request_id[-1] % 4)


def answer_of(request_id: bytes) -> bytes:
    return b"" if request_id[-1] % 5 == 0 else b"a" + sha256(request_id).hexdigest().encode()


def exchanges(ingest: Ingest) -> int:
    """The sum over `setpoint_exchanges_total` as published."""
    lines = ingest.fold.render({}).splitlines()
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("setpoint_exchanges_total{"))


def os_names(folder: Path) -> list[str]:
    """Spool files in the folder."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".sp"))  # noqa: PTH208  names


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Broken(f"{what}: {found!r}, expected {expected!r}")


@dataclass(slots=True)
class Toll:
    """What a number of worlds went through together."""

    worlds: int = 0
    stored: int = 0
    acknowledged: int = 0
    deaths: int = 0
    calls: int = 0

    def add(self, world: CrashWorld, stored: int) -> None:
        self.worlds += 1
        self.stored += stored
        self.acknowledged += len(world.account.acknowledged)
        self.deaths += world.deaths


def live_by_chance(folder: Path, seed: int, toll: Toll) -> None:
    """Some hundred events, with errors and deaths at calls that chance picks; every fifth world has none. Raises Broken."""
    rng = Random(seed)
    world = CrashWorld(folder, rng)

    def points(rates: tuple[int, ...]) -> CrashPoints:
        return CrashPoints() if seed % 5 == 0 else CrashPoints(wrong=one_in(rng, rng.choice(rates), FAILURES + KILLS))

    for _ in range(rng.randint(20, 80)):
        slot = rng.randrange(3)
        if slot not in world.workers:
            world.start_worker(slot, points((20, 60, 200)))
        if world.ingest is None:
            world.start_ingest(points((30, 100, 400)))
        _something_happens(world, slot)
    _finish(world, toll)


def _something_happens(world: CrashWorld, slot: int) -> None:
    rng, choice = world.rng, world.rng.random()
    if choice < 0.5:
        world.write(slot)
    elif choice < 0.85:
        for _ in range(rng.randint(1, 6)):
            world.step_ingest()
            world.clock.advance(rng.choice((0.05, 0.3, 1.1)))
    elif choice < 0.9:
        world.tick(slot)
    elif choice < 0.95:
        world.stop_worker(slot, kill=choice < 0.93)
    elif choice < 0.96:
        world.stop_ingest()
    else:
        world.clock.advance(rng.choice((5, 30, 70)))


def live_one_event(folder: Path, whose: Literal["ingest", "worker"], call: int, event: Event, toll: Toll) -> bool:
    """One fixed story, in which exactly one call of ingest or of the first worker goes wrong. False: the story has fewer calls. Raises
    Broken."""
    world = CrashWorld(folder, Random(7))
    struck = CrashPoints({call: event})
    world.start_worker(0, struck if whose == "worker" else CrashPoints())
    world.start_worker(1, CrashPoints())
    world.start_ingest(struck if whose == "ingest" else CrashPoints())
    for turn in range(STORY_TURNS):
        world.write(turn % 2)
        if turn == STORY_TURNS // 2:
            world.stop_worker(1, kill=True)
        for slot in (0, 1):
            if slot not in world.workers:
                world.start_worker(slot, CrashPoints())
        world.clock.advance(1.1 if turn % 4 else 41.0)
        for _ in range(2):
            world.step_ingest()
        if world.ingest is None:
            world.start_ingest(CrashPoints())
    happened = bool(struck.met)
    toll.calls += happened
    _finish(world, toll)
    return happened


def _finish(world: CrashWorld, toll: Toll) -> None:
    world.settle()
    toll.add(world, world.check())
    world.stop_ingest()
    shutil.rmtree(world.folder)
