"""Checking settings as far as that goes without starting anything: do they make a plan?"""

from pathlib import Path

from setpoint.adapters.sim.models import prices as sim_prices
from setpoint.app.data_directory import socket_path
from setpoint.app.drafting import draft_of
from setpoint.app.local_model import SOCKET as LOCAL_SOCKET
from setpoint.app.local_model import is_installed
from setpoint.app.settings import Settings
from setpoint.control.compile import compile_plan
from setpoint.control.draft import Draft, Problem
from setpoint.domain.plan import Plan, PriceBook

SIM_SOCKET = "sim.sock"


def draft_here(settings: Settings, data_dir: Path) -> Draft:
    """The draft of `settings` with the models that this machine offers: the simulated ones, and the local one where it is installed."""
    local = socket_path(data_dir, LOCAL_SOCKET) if is_installed() else None
    return draft_of(settings, socket_path(data_dir, SIM_SOCKET), sim_prices(), local)


def problems_of(settings: Settings, data_dir: Path) -> tuple[Problem, ...]:
    """What keeps `settings` from becoming a plan; nothing is written."""
    compiled = compile_plan(draft_here(settings, data_dir), 1, 1, 0, lambda _name, _key: b"", PriceBook())
    return () if isinstance(compiled, Plan) else compiled
