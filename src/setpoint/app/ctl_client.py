"""Asking the supervisor over `run/ctl.sock`: one line of words, one line of JSON back.

status              the tree: {pid, version, started_ns, state, services: [...]}
publish EPOCH-NO    tells every worker to look at CURRENT; answers once all acked, or after 1 s {acked, refused, lagging}
roll                replaces the workers one by one; answers when done {rolled, error}
reload              the engine reads the configuration file again; answers when done {version, restart_needed, problems, error}
stop                graceful stop; answers at once {stopping, stop_s}, the latter being how long it may take
"""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from setpoint.app.data_directory import socket_path

NAME = "ctl.sock"
TIMEOUT_S = 30.0
_ANSWER_BYTES_MAX = 1024 * 1024


class SupervisorGoneError(Exception):
    """No supervisor answers for that data directory."""


def ask(data_dir: Path, request: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The supervisor's answer. Raises SupervisorGoneError."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(socket_path(data_dir, NAME))
            sock.sendall(request.encode() + b"\n")
            with sock.makefile("rb") as answers:
                return _answer(answers.readline(_ANSWER_BYTES_MAX), data_dir)
    except OSError as error:
        raise SupervisorGoneError(_explain(data_dir, error)) from error


async def ask_async(data_dir: Path, request: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The same for a process that runs an asyncio loop."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(socket_path(data_dir, NAME), limit=_ANSWER_BYTES_MAX)
            try:
                writer.write(request.encode() + b"\n")
                return _answer(await reader.readline(), data_dir)
            finally:
                writer.close()
    except OSError as error:  # TimeoutError is one
        raise SupervisorGoneError(_explain(data_dir, error)) from error


def _answer(line: bytes, data_dir: Path) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise SupervisorGoneError(f"the supervisor of {data_dir} went away before it answered")
    found: dict[str, Any] = json.loads(line)
    return found


def _explain(data_dir: Path, error: OSError) -> str:
    return f"no setpoint answers for {data_dir} ({error.strerror or error}). Is `setpoint serve` running with this storage.data_dir?"
