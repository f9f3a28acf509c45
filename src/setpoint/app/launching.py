"""How the supervisor brings processes into the world: a fresh interpreter, or a fork of the zygote."""

import base64
import json
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from setpoint.app.listeners import Bound
from setpoint.app.processes import Born, Launch
from setpoint.app.tree import ServiceSpec, TreeOptions

_SECRET_NAME = re.compile(r"^SETPOINT_|KEY|TOKEN|SECRET|PASSW|CREDENTIAL|(DATABASE|REDIS)_URL$", re.IGNORECASE)
"""Variables that may hold a credential, by the names that such variables have."""


def fresh(spec: ServiceSpec, options: TreeOptions, started_ns: int, lock_fd: int) -> Launch:
    """Launches `spec` in a new interpreter, in a process group of its own so that Ctrl-C reaches only the supervisor."""

    def launch(ctl: socket.socket) -> Born:
        pid = _spawn(spec, ctl.fileno(), (lock_fd,) if spec.writes else ())
        return Born(pid, first_line=json.dumps(_certificate(spec, options, started_ns)))

    return launch


def zygote(spec: ServiceSpec, options: TreeOptions, started_ns: int, listeners: tuple[Bound, ...]) -> Launch:
    """Launches a zygote: it also inherits the listening sockets and one end of a command line."""

    def launch(ctl: socket.socket) -> Born:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = [bound.sock.fileno() for bound in listeners]
            pid = _spawn(spec, ctl.fileno(), (theirs.fileno(), *fds))
            passed = [[bound.sock.fileno(), bound.purpose] for bound in listeners]
            more = {"listeners": passed, "commands": theirs.fileno()}
        return Born(pid, ours, json.dumps(_certificate(spec, options, started_ns) | more))

    return launch


def forked(slot: int, options: TreeOptions, commands: Callable[[], socket.socket | None]) -> Launch:
    """Has the present zygote fork the worker of `slot`. A zygote that dies first drops the line, which counts as the worker's death."""

    def launch(ctl: socket.socket) -> Born:
        line = commands()
        if line is None:
            raise OSError("the zygote is not there")
        command = {"slot": slot, "workers": options.workers, "boot": secrets.randbits(64), "oom_score_adj": options.worker_oom_score_adj}
        socket.send_fds(line, [json.dumps(command).encode()], [ctl.fileno()])
        return Born(None)

    return launch


def environment_of(spec: ServiceSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """What `spec` inherits of `environ`. Only who publishes reads the configuration; nobody else needs credentials."""
    return {name: value for name, value in environ.items() if spec.publishes or not _SECRET_NAME.search(name)}


def _spawn(spec: ServiceSpec, ctl_fd: int, fds: tuple[int, ...]) -> int:
    argv = [sys.executable, "-m", "setpoint.app.child", spec.name, str(ctl_fd)]
    environ = environment_of(spec, os.environ)
    with _inheritable((ctl_fd, *fds)):
        return os.posix_spawn(sys.executable, argv, environ, setpgroup=0, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGINT))


@contextmanager
def _inheritable(fds: Iterable[int]) -> Iterator[None]:
    """Only this thread ever starts a process, so no other child can catch these meanwhile."""
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        yield
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)


def _certificate(spec: ServiceSpec, options: TreeOptions, started_ns: int) -> dict[str, Any]:
    """What `setpoint.app.child` reads. It goes over the control socket, so keys are in no argument, no variable and no file."""
    keys = {"kek": base64.b64encode(options.kek).decode(), "pepper": base64.b64encode(options.pepper).decode()} if spec.has_keys else {}
    config, tls = options.config, options.tls
    return {
        "spec": {slot: getattr(spec, slot) for slot in ServiceSpec.__slots__},
        "data_dir": str(options.data_dir),
        "started_ns": started_ns,
        "config": {"path": str(config.path) if config.path else None, "overrides": config.overrides, "profile": config.profile},
        "tls": {"certificate": str(tls.certificate), "key": str(tls.key)} if tls else None,
        "log_level": options.log_level,
        "log_pretty": options.log_pretty,
        "worker_entry": options.worker_entry,
        "spool_sync": options.spool_sync,
        **keys,
    }
