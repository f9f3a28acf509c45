"""The simulated models as a service of the process tree, on `run/sim.sock`."""

from setpoint.adapters.sim.server import run as serve
from setpoint.app.data_directory import socket_path
from setpoint.app.service_context import ServiceContext

SOCKET = "sim.sock"


def run(context: ServiceContext) -> None:
    """Serves until the supervisor hangs up."""
    serve(socket_path(context.data_dir, SOCKET), context.ctl)
