"""The program of every child that is not forked: `python -m setpoint.app.child NAME FD`.

The birth certificate, keys included, comes as the first line over the control socket, so nothing secret is ever in an argument, the
environment or a file.
"""

import base64
import importlib
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from setpoint.app.prctl import die_with_parent, hide_memory, take_name
from setpoint.app.service_context import ServiceContext
from setpoint.app.tree import ConfigSource, ServiceSpec, TlsFiles
from setpoint.kit.sealing import Keyring
from setpoint.runtime.log import Log

_CERTIFICATE_BYTES_MAX = 1024 * 1024


def main(argv: list[str]) -> None:
    """Reads the certificate, behaves as told, calls the entry. Exits 1 when the entry fails."""
    ctl = socket.socket(fileno=int(argv[2]))
    ctl.set_inheritable(False)
    certificate = _first_line(ctl)
    if certificate is None:
        sys.exit(1)
    context = context_from(json.loads(certificate), ctl)
    behave(context.spec, is_awaited(context))
    if not context.spec.outlives:
        die_with_parent()
    try:
        entry(context.spec.entry)(context)
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it is, the supervisor restarts us
        context.log.error("died of an exception", error=repr(error), trace=_trace_of(error))  # noqa: TRY400
        sys.exit(1)


def context_from(certificate: dict[str, Any], ctl: socket.socket) -> ServiceContext:
    spec = ServiceSpec(**{**certificate["spec"], "needs": tuple(certificate["spec"]["needs"])})
    config, tls = certificate["config"], certificate["tls"]
    level, pretty = certificate["log_level"], certificate["log_pretty"]
    return ServiceContext(
        spec=spec,
        data_dir=Path(certificate["data_dir"]),
        ctl=ctl,
        started_ns=certificate["started_ns"],
        config=ConfigSource(Path(config["path"]) if config["path"] else None, tuple(config["overrides"]), config["profile"]),
        log=Log(spec.name, level, pretty),
        log_level=level,
        log_pretty=pretty,
        keyring=Keyring(_bytes(certificate["kek"]), _bytes(certificate["pepper"])) if "kek" in certificate else None,
        tls=TlsFiles(Path(tls["certificate"]), Path(tls["key"])) if tls else None,
        listeners=tuple((_own(fd), purpose) for fd, purpose in certificate.get("listeners", ())),
        commands=_own(certificate["commands"]) if "commands" in certificate else None,
        worker_entry=certificate["worker_entry"],
        spool_sync=certificate["spool_sync"],
    )


def is_awaited(context: ServiceContext) -> bool:
    """Whether the workers wait for what this service publishes: on a first start they do."""
    return context.spec.publishes and not (context.data_dir / "snapshots" / "CURRENT").exists()


def behave(spec: ServiceSpec, in_a_hurry: bool = False) -> None:
    """Takes the place in the machine that the service's spec gives it. One in a hurry makes room for others only once it is ready."""
    os.umask(0o077)
    if not in_a_hurry:
        make_room(spec)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    set_oom_score(spec.oom_score_adj)
    take_name(f"setpoint-{spec.name}")
    if spec.has_keys:
        hide_memory()  # last, because after it only root may write below /proc/self


def make_room(spec: ServiceSpec) -> None:
    """Lowers this process to its niceness; later threads follow. Does nothing when it is there already."""
    os.nice(max(0, spec.nice - os.nice(0)))


def set_oom_score(adjustment: int) -> None:
    """Asks the kernel to take this process earlier under memory pressure; not possible on every system."""
    if adjustment == 0:
        return
    try:
        Path("/proc/self/oom_score_adj").write_text(str(adjustment))
    except OSError:
        return


def entry(dotted: str) -> Callable[..., None]:
    """`package.module:function` as a callable."""
    module, _, name = dotted.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(module), name or "run")
    return found


def _first_line(ctl: socket.socket) -> bytes | None:
    """One byte too many would be part of the conversation, hence the peek."""
    while True:
        seen = ctl.recv(_CERTIFICATE_BYTES_MAX, socket.MSG_PEEK)
        end = seen.find(b"\n")
        if end >= 0:
            return ctl.recv(end + 1)
        if not seen:
            return None


def _own(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    return sock


def _trace_of(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


if __name__ == "__main__":
    main(sys.argv)
