"""What `setpoint doctor` looks at. Each check is a function that looks and returns findings; none changes anything.

A verdict is `ok`, `note` (works, but somebody should know) or `wrong` (will fail, or loses something).
"""

import os
import resource
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.app.ctl_client import SupervisorGoneError, ask
from setpoint.app.data_directory import is_locked, keys_of, owner_pid
from setpoint.app.key_file import KeyFileError, load, mark_of, path_of
from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.app.tree import ConfigSource
from setpoint.app.upstreams import upstream_of
from setpoint.ports.snapshots import Loaded
from setpoint.wire.google_token import read_account

Verdict = Literal["ok", "note", "wrong"]
FREE_BYTES_MIN = 1024 * 1024 * 1024
BACKLOG_BYTES_MAX = 1024 * 1024 * 1024
OPEN_FILES_MIN = 8_192
CLOCK_EARLIEST_S = 1_735_689_600
"""2025-01-01: a clock before that was never set; TLS and key expiry would fail in ways that nobody understands."""
CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at."""

    settings: Settings
    source: ConfigSource
    running: bool


Check = Callable[[Patient], Iterator[Finding]]


def examine(source: ConfigSource, providers: bool = False) -> list[Finding]:
    """Every finding, in an order that puts causes before their effects."""
    where = str(source.path or "defaults")
    try:
        settings = load_settings(source.path, os.environ, source.overrides, source.profile)
    except SettingsError as error:
        return [Finding("configuration", "wrong", str(problem), f"correct it in {where}") for problem in error.problems]
    patient = Patient(settings, source, is_locked(settings.data_dir))
    checks: list[Check] = [_data_directory, _key_file, _space, _ports, _snapshot, _backlog, _services, _clock, _open_files]
    if providers:
        checks.append(_providers)
    return [Finding("configuration", "ok", where), *(finding for check in checks for finding in check(patient))]


def _data_directory(patient: Patient) -> Iterator[Finding]:
    path = patient.settings.data_dir
    if not path.exists():
        yield Finding("data directory", "ok", f"{path} is not there yet", "the first start makes it")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("data directory", "wrong", f"{path} can be opened by others ({mode:o})", f"chmod 700 {path}")
    elif not os.access(path, os.W_OK):
        yield Finding("data directory", "wrong", f"{path} cannot be written by this user", "run as its owner")
    else:
        held = f", in use by process {owner_pid(path)}" if patient.running else ""
        yield Finding("data directory", "ok", f"{path}{held}")


def _key_file(patient: Patient) -> Iterator[Finding]:
    path = path_of(patient.settings, patient.source.path)
    if patient.settings.security.key is None and not path.exists() and not (patient.settings.data_dir / "control" / "control.db").exists():
        yield Finding("key file", "ok", f"{path} is not there yet", "the first start makes it")
        return
    try:
        found = mark_of(load(patient.settings, patient.source.path).pepper)
        if found != (keys_of(patient.settings.data_dir) or found):
            raise KeyFileError(f"{path} is not the key file that {patient.settings.data_dir} was sealed with")
        yield Finding("key file", "ok", str(path) if patient.settings.security.key is None else "from security.key")
    except KeyFileError as error:
        yield Finding("key file", "wrong", str(error), f"restore {path}")


def _space(patient: Patient) -> Iterator[Finding]:
    path = next(p for p in (patient.settings.data_dir, *patient.settings.data_dir.parents) if p.exists())
    free = shutil.disk_usage(path).free
    verdict: Verdict = "ok" if free >= FREE_BYTES_MIN else "wrong"
    yield Finding("disk space", verdict, f"{free / 1e9:.1f} GB free", "" if verdict == "ok" else "make room, or move storage.data_dir")


def _ports(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    wanted = [("server.port", settings.server.port), ("server.metrics_port", settings.server.metrics_port)]
    ours = _own_ports(patient)
    for name, port in wanted:
        if not port:
            continue
        if port in ours:
            yield Finding(name, "ok", f"{port}, served by this gateway")
        elif reason := _why_not_free(settings.host, port):
            yield Finding(name, "wrong", f"{port} cannot be had: {reason}", f"stop its owner, or set {name}")
        else:
            yield Finding(name, "ok", f"{port} is free")


def _own_ports(patient: Patient) -> set[int]:
    try:
        return {listener["port"] for listener in ask(patient.settings.data_dir, "status", CONNECT_S)["listeners"]}
    except SupervisorGoneError:
        return set()


def _why_not_free(host: str, port: int) -> str:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _snapshot(patient: Patient) -> Iterator[Finding]:
    files = SnapshotFiles(patient.settings.data_dir)
    if files.stamp() is None:
        yield Finding("snapshot", "ok", "nothing published yet", "the first start publishes")
        return
    loaded = files.load()
    if isinstance(loaded, Loaded):
        yield Finding("snapshot", "ok", f"version {loaded.current.epoch}-{loaded.current.version}, {len(loaded.plan.upstreams)} upstreams")
    else:
        yield Finding("snapshot", "wrong", f"the published one cannot be loaded: {loaded.reason}", "start setpoint: it publishes anew")


def _backlog(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.data_dir / "spool"
    spools = list(folder.glob("*.sp")) if folder.exists() else []
    waiting = sum(spool.stat().st_size for spool in spools if spool.exists())
    verdict: Verdict = "ok" if waiting < BACKLOG_BYTES_MAX else "wrong"
    advice = "" if verdict == "ok" else "the log of ingest says why it does not keep up"
    yield Finding("spool", verdict, f"{waiting / 1e6:.1f} MB in {len(spools)} files", advice)
    quarantine = folder / "quarantine"
    if quarantine.exists() and (kept := len(list(quarantine.iterdir()))):
        yield Finding("spool", "note", f"{kept} damaged pieces in {quarantine}", "look at them, then remove them")


def _services(patient: Patient) -> Iterator[Finding]:
    if not patient.running:
        yield Finding("services", "ok", "not running")
        return
    try:
        status = ask(patient.settings.data_dir, "status", CONNECT_S)
    except SupervisorGoneError as gone:
        yield Finding("services", "wrong", str(gone), "look at its log; a restart repairs it")
        return
    down = [f"{service['name']} {service['state']}" for service in status["services"] if service["state"] != "Running"]
    restarted = [f"{service['name']} {service['restarts']}×" for service in status["services"] if service["restarts"]]
    if down:
        yield Finding("services", "wrong", ", ".join(down), "the log says why")
    elif restarted:
        yield Finding("services", "note", f"all running; started again: {', '.join(restarted)}", "the log says why")
    else:
        yield Finding("services", "ok", f"{len(status['services'])} running")


def _clock(patient: Patient) -> Iterator[Finding]:  # noqa: ARG001  every check has the same form
    now_s = time.time()
    verdict: Verdict = "ok" if now_s > CLOCK_EARLIEST_S else "wrong"
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    yield Finding("clock", verdict, shown, "" if verdict == "ok" else "set the clock (NTP)")


def _open_files(patient: Patient) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(OPEN_FILES_MIN, 2 * patient.settings.limits.connections_max)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        yield Finding("open files", "ok", f"up to {hard}")
    else:
        advice = f"raise the limit (ulimit -Hn {needed}, LimitNOFILE= under systemd), or lower limits.connections_max"
        yield Finding("open files", "note", f"up to {hard}, and {needed} may be needed", advice)


def _providers(patient: Patient) -> Iterator[Finding]:
    for name, provider in patient.settings.providers.items():
        if not provider.enabled:
            continue
        upstream = upstream_of(name, provider)
        if upstream.base_url and upstream.unix_path is None:
            yield _reached(f"provider {name}", upstream.base_url)
        if upstream.auth == "google":
            yield from _token_server(name, upstream.api_key or "")


def _token_server(name: str, secret: str) -> Iterator[Finding]:
    check = f"token server of {name}"
    try:
        server = read_account(secret).server
    except ValueError as error:
        yield Finding(check, "wrong", f"the account cannot be used: {error}", f"give providers.{name}.api_key a service account's key")
    else:
        yield _reached(check, f"{'https' if server.tls else 'http'}://{server.host}:{server.port}")


def _reached(check: str, base_url: str) -> Finding:
    """Only the connection: a request would need the key and might cost money."""
    from urllib.parse import urlsplit

    at = urlsplit(base_url)
    host, port = at.hostname or "", at.port or (443 if at.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        found = f"{host}:{port} cannot be reached: {error.strerror or error}"
        return Finding(check, "wrong", found, "check base_url, DNS and firewall")
    return Finding(check, "ok", f"{host}:{port} answers")
