"""The supervisor: the parent of the tree. It serves no request itself and must never be the reason that one fails.

It owns what has to outlive any one process: the listening sockets (so connections wait in their queue while a worker is replaced), the
lock on the data directory, the keys. It starts every service after what that one needs, starts again what dies, and stops them in the order
in which they feed each other:

    listening sockets close, zygote ends       no new connection, no new worker
    workers drain                              open exchanges finish, spools are closed
    engine, ingest, query, sim                 ingest reads the spools to their end
    anything left at the deadline is killed    which loses nothing: a start repairs it

A second signal skips to the last line. Everything runs in one thread, in callbacks of a `PollLoop`; only fsync has a thread of its own.
"""

import gc
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from setpoint import __version__
from setpoint.app import launching
from setpoint.app.ctl_client import NAME as CTL_NAME
from setpoint.app.ctl_server import Answer, CtlServer
from setpoint.app.data_directory import DataDirectory, socket_path, take
from setpoint.app.fsync_thread import FsyncThread, SpoolSync
from setpoint.app.key_file import mark_of
from setpoint.app.listeners import Bound, Purpose, activated, listen
from setpoint.app.prctl import adopt_orphans
from setpoint.app.processes import Process, Service, Tree
from setpoint.app.publishing import Publishing
from setpoint.app.reloading import Reloads
from setpoint.app.rolling import Roll
from setpoint.app.tree import ZYGOTE, TreeOptions
from setpoint.runtime.clock import Clock, SystemClock
from setpoint.runtime.log import Log
from setpoint.runtime.order import start_order
from setpoint.runtime.poll_loop import PollLoop
from setpoint.runtime.service import overall

SNAPSHOT_POLL_S = 0.05
WORKERS_FIRST_S = 2.0
"""How long at a start everything else waits for the workers."""
OPEN_FILES_WANTED = 65_536
BEHIND_S = 5.0
"""What the services behind the workers have for their own end."""


Started = Callable[[tuple[Bound, ...], list[str]], None]
Show = Callable[[str], None]


def serve(options: TreeOptions, log: Log, started: Started | None = None, show: Show | None = None) -> int:
    """Runs the tree until it is told to stop; returns the exit code.

    `started` is called once the tree stands, every worker ready, with the listeners and what the engine wants to have shown to a person.
    `show` is called with each line that comes later, or that waited for a tree which never stood.
    Raises DataDirectoryError and ListenError before anything was started.
    """
    directory = take(options.data_dir)
    directory.claim(mark_of(options.pepper))
    listeners = bind_all(options, log)
    supervisor = Supervisor(options, directory, listeners, log, SystemClock(), started, show)
    return supervisor.run()


def bind_all(options: TreeOptions, log: Log) -> tuple[Bound, ...]:
    """Every listening socket of the tree: those that systemd passed, and new ones for the rest."""
    passed = activated()
    wanted: list[tuple[int, Purpose]] = [(options.port, "main")]
    if options.metrics_port is not None:
        wanted.append((options.metrics_port, "metrics"))
    bound = []
    for port, purpose in wanted:
        if sock := passed.get(port):
            bound.append(Bound(sock, purpose, options.host, port))
        else:
            bound.append(listen(options.host, port, purpose, log))
        bound[-1].sock.setblocking(False)
    return tuple(bound)


class Supervisor:
    """The tree at work."""

    def __init__(
        self,
        options: TreeOptions,
        directory: DataDirectory,
        listeners: tuple[Bound, ...],
        log: Log,
        clock: Clock,
        started: Started | None = None,
        show: Show | None = None,
    ) -> None:
        self._options, self._directory, self._listeners = options, directory, listeners
        self._log, self._clock, self._on_started = log, clock, started
        self._show = show or (lambda _: None)
        self._started_ns = clock.wall_ns()
        self._began_s = clock.now_s()
        self._served = False
        self._loop = PollLoop(clock)
        self._publishing = Publishing(self._loop, self._live_workers)
        self._reloads = Reloads(self._loop, self._tell_engine)
        self._roll: Roll | None = None
        self._signals_seen = 0
        self._strays: set[int] = set()
        self._shown: list[str] = []
        self._exit_code = 0
        self._stopping = False
        self._draining = False
        self._make_services()

    def run(self) -> int:
        adopt_orphans()
        _raise_open_files()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        restore = self._loop.on_signals(self._signal_calls())
        ctl = CtlServer(socket_path(self._directory.path, CTL_NAME), self._loop, self._asked)
        fsync = FsyncThread(SpoolSync(self._directory.path / "spool", self._sync_failed), self._options.fsync_ms / 1000)
        fsync.start()
        self._loop.call_every(self._options.check_interval_s, self._check_health)
        self._start_due()
        gc.freeze()
        self._loop.run()
        fsync.close()
        ctl.close()
        restore()
        self._directory.close()
        for line in self._shown:
            self._show(line)
        self._log.info("stopped", exit_code=self._exit_code)
        return self._exit_code

    # --- starting ---------------------------------------------------------------------------------------------------

    def _make_services(self) -> None:
        options, log = self._options, self._log
        tree = Tree(self._loop, self._clock, log, self._heard, self._changed, self._named)
        born_zygote = launching.zygote(ZYGOTE, options, self._started_ns, self._listeners)
        self._zygote = Service("zygote", born_zygote, tree, ZYGOTE.ready_s)
        self._workers = [
            Service(f"worker-{slot}", launching.forked(slot, options, self._commands), tree, ready_s=30.0, needs=("zygote",))
            for slot in range(options.workers)
        ]
        self._behind = [
            Service(spec.name, launching.fresh(spec, options, self._started_ns, self._directory.lock_fd), tree, spec.ready_s, spec.needs)
            for spec in options.services
        ]
        answering = [s for s, spec in zip(self._behind, options.services, strict=True) if spec.answers_ping]
        self._pinged = [self._zygote, *self._workers, *answering]
        services = {s.name: s for s in (self._zygote, *self._behind, *self._workers)}
        self._services = [services[name] for name in start_order({name: s.needs for name, s in services.items()})]

    def _start_due(self) -> None:
        """Starts every service that should run and can."""
        if self._stopping:
            return
        ready = {s.name for s in self._services if s.is_ready}
        for service in self._services:
            if service.is_due and ready.issuperset(service.needs) and self._may_start(service):
                service.start()
        if self._on_started and all(s.has_settled for s in self._services) and all(w.is_ready for w in self._workers):
            tell, self._on_started = self._on_started, None
            shown, self._shown = self._shown, []
            tell(self._listeners, shown)

    def _may_start(self, service: Service) -> bool:
        """A worker needs something to serve: the last published snapshot, or on a first start the engine's first one.

        Everything else waits for the workers, so that traffic is served first when all start at once on few cores; but not for long.
        """
        published = (self._directory.path / "snapshots" / "CURRENT").exists()
        if service in self._workers:
            may = published
        else:
            hurries = service is self._zygote or (service.name == "engine" and not published)
            self._served = self._served or all(w.has_settled for w in self._workers)
            may = hurries or self._served or self._clock.now_s() - self._began_s > WORKERS_FIRST_S
        if not may:
            self._loop.call_after(SNAPSHOT_POLL_S, self._start_due)
        return may

    def _commands(self) -> Any:
        return self._zygote.current.born.commands if self._zygote.current else None

    # --- what children say and do -----------------------------------------------------------------------------------

    def _heard(self, service: Service, process: Process, word: str, rest: str) -> None:
        if word in ("acked", "nacked"):
            self._publishing.heard(service, process, word, rest)
        elif word == "show" and self._on_started:
            self._shown.append(rest)
        elif word == "show":
            self._show(rest)
        elif word == "reloaded":
            self._reloads.heard(rest)
        elif word == "drained":
            self._log.info("drained", service=service.name, pid=process.pid)
        else:
            self._log.warning("a child said what nobody understands", service=service.name, word=word)

    def _changed(self) -> None:
        self._publishing.changed()
        if self._stopping:
            self._go_on_stopping()
        else:
            self._start_due()

    def _named(self, process: Process) -> None:
        if process.pid in self._strays:
            self._strays.discard(process.pid)
            process.reaped()

    def _reap(self) -> None:
        by_pid = {p.pid: p for s in self._services for p in s.processes if p.pid}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if process := by_pid.get(pid):
                self._log.debug("ended", pid=pid, status=os.waitstatus_to_exitcode(status))
                process.reaped()
            else:
                self._strays.add(pid)  # it died before its line was read

    def _check_health(self) -> None:
        for service in self._pinged:
            service.ping()

    def _sync_failed(self, name: str, error: OSError) -> None:
        self._log.error("the disk refused a spool; its last writes may be lost at a power failure", file=name, error=error.strerror)

    def _live_workers(self) -> list[tuple[Service, Process]]:
        return [(w, w.current) for w in self._workers if w.current and w.current.ready]

    # --- what people ask --------------------------------------------------------------------------------------------

    def _signal_calls(self) -> dict[signal.Signals, Callable[[], None]]:
        return {
            signal.SIGCHLD: self._reap,
            signal.SIGTERM: self._told_to_stop,
            signal.SIGINT: self._told_to_stop,
            signal.SIGHUP: lambda: self._reloads.start(lambda _: None),
            signal.SIGUSR2: lambda: self._start_roll(self._log_roll),
        }

    def _asked(self, line: str, answer: Answer) -> None:
        match line.split():
            case ["status"]:
                answer(self.status())
            case ["publish", version]:
                self._publishing.start(version, answer)
            case ["roll"]:
                self._start_roll(answer)
            case ["reload"]:
                self._reloads.start(answer)
            case ["stop"]:
                answer({"stopping": True, "stop_s": self._options.stop_s})
                self._stop()
            case _:
                answer({"error": f"unknown request {line[:80]!r}"})

    def status(self) -> dict[str, Any]:
        """The whole tree as data."""
        now_s = self._clock.now_s()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started_ns": self._started_ns,
            "state": overall([s.life.state for s in self._services]).value,
            "listeners": [{"purpose": b.purpose, "host": b.host, "port": b.port, "tls": bool(self._options.tls)} for b in self._listeners],
            "services": [_described(s, now_s) for s in self._services],
        }

    def _tell_engine(self, line: str) -> bool:
        """Whether there is an engine to be told."""
        engine = next((service.current for service in self._behind if service.name == "engine" and service.is_ready), None)
        if engine:
            engine.send(line)
        return engine is not None

    def _start_roll(self, done: Answer) -> None:
        if self._stopping or self._roll:
            done({"rolled": 0, "error": "the tree is stopping" if self._stopping else "another roll is under way"})
            return

        def finished(answer: dict[str, Any]) -> None:
            self._roll = None
            done(answer)

        self._roll = Roll(self._zygote, self._workers, self._options.roll_drain_s, finished)
        self._roll.go_on()

    def _log_roll(self, answer: dict[str, Any]) -> None:
        self._log.info("rolled", **answer)

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _told_to_stop(self) -> None:
        self._signals_seen += 1
        if self._signals_seen == 1:
            self._stop()
        else:
            self._log.warning("second signal; ending everything now")
            self._kill_all()

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._log.info("stopping; open exchanges may finish", deadline_s=self._options.stop_s)
        for bound in self._listeners:
            bound.sock.close()
        self._zygote.stop("stop 0")
        self._zygote.kill()  # it holds the listening sockets; the workers' closing them must be the last
        self._loop.call_after(self._options.stop_s, self._kill_all)
        self._go_on_stopping()

    def _drain_workers(self) -> None:
        self._draining = True
        drain_s = min(self._options.drain_s, max(self._options.stop_s - BEHIND_S, 0))
        for worker in self._workers:
            worker.stop(f"drain {drain_s:g} stop")
            self._loop.call_after(drain_s + 1, worker.kill)

    def _go_on_stopping(self) -> None:
        if self._zygote.processes:
            return
        if not self._draining:
            self._drain_workers()
        if any(w.processes for w in self._workers):
            return
        for service in self._behind:
            if service.wanted:
                service.stop(f"stop {BEHIND_S:g}", hang_up=True)
        if not any(s.processes for s in self._services):
            self._loop.stop()

    def _kill_all(self) -> None:
        self._exit_code = 1
        self._stopping = True
        for service in self._services:
            service.wanted = False
            service.kill()
        if not any(s.processes for s in self._services):
            self._loop.stop()


def _described(service: Service, now_s: float) -> dict[str, Any]:
    process = service.current
    return {
        "name": service.name,
        "state": service.life.state.value,
        "pid": process.pid if process else None,
        "restarts": service.life.restarts,
        "uptime_s": round(now_s - service.life.since_s, 3) if service.is_ready else 0,
        "retiring": len(service.retiring),
        "needs": list(service.needs),
    }


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
