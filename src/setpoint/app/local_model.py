"""The local model as a service of the process tree, and what commands need to know of it."""

from pathlib import Path

from setpoint.adapters.local_model import install as installation
from setpoint.adapters.local_model import packages
from setpoint.adapters.local_model.install import InstallError
from setpoint.adapters.local_model.server import Listen, start
from setpoint.app.data_directory import socket_path
from setpoint.app.service_context import ServiceContext

__all__ = ["SOCKET", "InstallError", "install", "is_installed", "missing_packages", "run"]

SOCKET = "local.sock"
"""Its name among the sockets of a data directory. llama.cpp takes a host that ends in `.sock` for a path."""

is_installed = packages.is_installed
missing_packages = packages.missing
install = installation.install


def run(context: ServiceContext) -> None:
    """Serves until the supervisor says stop or is gone. It does not drain: the workers, who do, are stopped before it."""
    weights = packages.weights_file()
    if weights is None:
        context.log.error("the local model is not installed; run `setpoint local install`")
        raise SystemExit(1)
    server = start(weights, Listen(socket_path=Path(socket_path(context.data_dir, SOCKET))))
    context.log.info("the local model is loaded", at=server.listening_address)
    context.tell("ready")
    obey(context)


def obey(context: ServiceContext) -> None:
    """Reads the supervisor's lines until `stop` or end of file."""
    with context.ctl.makefile("r", encoding="ascii") as lines:
        for line in lines:
            match line.split():
                case ["ping"]:
                    context.tell("pong")
                case ["stop", _]:
                    return
                case _:
                    context.log.debug("not understood", line=line.strip())
