"""`setpoint bench faults`: break every provider in every way, and see what a gateway's clients get."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast

import typer

from setpoint.cli.exits import FAILED, UNREACHABLE, USAGE, end
from setpoint.testing.fault_wall import instructions, report
from setpoint.testing.fault_wall.choosing import chosen
from setpoint.testing.fault_wall.client import Gateway
from setpoint.testing.fault_wall.modes import LEAVING, MODES, Mode
from setpoint.testing.fault_wall.own import SPOKEN, check_records, model_for, own_gateway
from setpoint.testing.fault_wall.run import PREPARED, ModelFor, Settings, Wall
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, UPSTREAM_DIALECTS, SurfaceName, UpstreamDialect
from setpoint.testing.fault_wall.upstreams import WallUpstreams
from setpoint.testing.fault_wall.verdict import Result

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Measure this gateway, or any other.")

FIRST_PORT = 9700
SHOWN_EVERY_S = 2.0
ENDED_S = 3.0
"""How long a gateway may take to hang up on what is left when the last client is served."""
OTHERS_SURFACES: tuple[SurfaceName, ...] = ("chat", "messages", "embeddings")
OTHERS_DIALECTS: tuple[UpstreamDialect, ...] = ("openai_chat", "anthropic")
"""What most gateways serve."""

_Name = TypeVar("_Name", bound=str)
Show = Literal["words", "litellm"]


@app.callback()
def _bench() -> None:
    """Its presence keeps `faults` a command of its own."""


@app.command()
def faults(
    own: Annotated[bool, typer.Option("--self", help="Start Setpoint itself and judge it.")] = False,
    url: Annotated[str, typer.Option(help="Judge the gateway at this address, such as http://127.0.0.1:4000.")] = "",
    key: Annotated[str, typer.Option(help="What its clients present as their key.")] = "sk-wall",
    model: Annotated[list[str] | None, typer.Option("--model-for", help="DIALECT=MODEL or DIALECT+spare=MODEL; may be repeated.")] = None,
    surface: Annotated[list[str] | None, typer.Option(help=f"Ask by it: {', '.join(SURFACE_NAMES)}; may be repeated.")] = None,
    dialect: Annotated[list[str] | None, typer.Option(help=f"Providers: {', '.join(UPSTREAM_DIALECTS)}; may be repeated.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help="Only modes with this in their name; may be repeated.")] = None,
    every_pair: Annotated[bool, typer.Option("--every-pair", help="Each surface with every dialect, not just with two.")] = False,
    show: Annotated[Show | None, typer.Option(help="Print what to configure at a gateway, in words or for LiteLLM, and end.")] = None,
    host: Annotated[str, typer.Option(help="Where the providers listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The first of their ports; two for each dialect.")] = FIRST_PORT,
    header: Annotated[list[str] | None, typer.Option(help="NAME:VALUE, sent with each request; may be repeated.")] = None,
    parallel: Annotated[int, typer.Option(help="Requests at a time; 48 with --self, else 8.")] = 0,
    patience: Annotated[float, typer.Option(help="Seconds a client waits before it calls an answer a hang.")] = 15.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every cell to this file.")] = None,
) -> None:
    """Break every provider in every way, and see what a gateway's clients get. Ends with 1 when a rule was missed."""
    surfaces = _known(surface, SURFACE_NAMES if own else OTHERS_SURFACES, SURFACE_NAMES, "surface")
    dialects = _known(dialect, SPOKEN if own else OTHERS_DIALECTS, UPSTREAM_DIALECTS, "dialect")
    modes = [one for one in (*MODES, *LEAVING) if not mode or any(part in one.name for part in mode)]
    if not modes:
        end(USAGE, f"no mode has {' or '.join(mode or ())} in its name")
    if show:
        urls = instructions.addresses(dialects, host, port)
        typer.echo(instructions.for_litellm(urls, key) if show == "litellm" else "\n".join(instructions.in_words(urls)))
        return
    if own == bool(url):
        end(USAGE, "say either --self or --url; --show words tells what to configure at another gateway")
    plan = _Plan(surfaces, dialects, modes, every_pair=every_pair, patience_s=patience)
    if own:
        outcome = asyncio.run(_judge_own(plan, parallel or 48))
    else:
        outcome = asyncio.run(_judge(plan, _gateway(url, key, header or []), _models(model or []), parallel or 8, host, port))
    _tell(outcome, json_file)


class _Plan:
    def __init__(
        self,
        surfaces: Sequence[SurfaceName],
        dialects: Sequence[UpstreamDialect],
        modes: Sequence[Mode],
        *,
        every_pair: bool,
        patience_s: float,
    ) -> None:
        self.surfaces = surfaces
        self.dialects = dialects
        self.modes = modes
        self.every_pair = every_pair
        self.patience_s = patience_s


class _Outcome:
    def __init__(self, results: list[Result], unended: list[str], unserved: dict[tuple[str, str], str]) -> None:
        self.results = results
        self.unended = unended
        self.unserved = unserved


async def _judge_own(plan: _Plan, parallel: int) -> _Outcome:
    async with WallUpstreams(plan.dialects) as upstreams:
        with own_gateway(upstreams, plan.dialects) as (gateway, running):
            outcome = await _asked(plan, upstreams, Settings(gateway, model_for, parallel, plan.patience_s))
            check_records(outcome.results, running)
            return outcome


async def _judge(plan: _Plan, gateway: Gateway, models: ModelFor, parallel: int, host: str, port: int) -> _Outcome:
    try:
        async with WallUpstreams(plan.dialects, host, port) as upstreams:
            return await _asked(plan, upstreams, Settings(gateway, models, parallel, plan.patience_s, PREPARED))
    except OSError as error:
        end(UNREACHABLE, f"the gateway or the ports of the providers cannot be used: {error}")


async def _asked(plan: _Plan, upstreams: WallUpstreams, settings: Settings) -> _Outcome:
    wall = Wall(settings, upstreams)
    cells = list(chosen(plan.surfaces, plan.dialects, plan.modes, every_pair=plan.every_pair))
    served = await wall.served(sorted({(cell.surface, cell.dialect) for cell in cells}))
    unserved = {pair: why for pair, why in served.items() if why}
    results = await wall.run((cell for cell in cells if not served[cell.surface, cell.dialect]), _Progress(len(cells)))
    left = await upstreams.all_ended(ENDED_S)
    return _Outcome(results, left, cast("dict[tuple[str, str], str]", unserved))


class _Progress:
    """A line on stderr now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._missed = 0
        self._next_s = time.monotonic() + SHOWN_EVERY_S

    def __call__(self, result: Result) -> None:
        self._done += 1
        self._missed += bool(result.misses)
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + SHOWN_EVERY_S
            typer.echo(f"{self._done} of {self._total} cells, {self._missed} missed", err=True)


def _tell(outcome: _Outcome, json_file: Path | None) -> None:
    results = outcome.results
    if json_file is not None:
        json_file.write_text(report.as_json(results, outcome.unended, outcome.unserved))
    for (surface, dialect), why in outcome.unserved.items():
        typer.echo(f"not judged: {surface} at {dialect}, which does not answer even when all is well: {why}", err=True)
    if not results:
        end(FAILED, "nothing could be judged; --show words tells what to configure")
    met = sum(not result.misses for result in results)
    lines = [*report.table(results), "", *report.by_rule(results), ""]
    if met < len(results):
        lines += [*report.shown_misses(results), ""]
    if outcome.unended:
        lines += [f"{len(outcome.unended)} calls were never ended, so the gateway leaks connections:", *outcome.unended, ""]
    typer.echo("\n".join([*lines, f"{met} of {len(results)} cells met ({met / len(results):.1%})."]))
    sys.stdout.flush()
    if met < len(results) or outcome.unended:
        raise typer.Exit(FAILED)


def _known(given: list[str] | None, usual: Sequence[_Name], known: Sequence[_Name], what: str) -> tuple[_Name, ...]:
    """The names that were asked for."""
    for name in given or ():
        if name not in known:
            end(USAGE, f"{name} is no {what}; there are {', '.join(known)}")
    return tuple(name for name in known if name in given) if given else tuple(usual)


def _gateway(url: str, key: str, headers: list[str]) -> Gateway:
    pairs = tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in headers))
    try:
        return Gateway.at(url, key, pairs)
    except ValueError as error:
        end(USAGE, str(error))


def _models(given: list[str]) -> ModelFor:
    named = dict(line.partition("=")[::2] for line in given)
    for name in named:
        if name.removesuffix("+spare") not in UPSTREAM_DIALECTS:
            end(USAGE, f"--model-for {name}=...: {name.removesuffix('+spare')} is no dialect; there are {', '.join(UPSTREAM_DIALECTS)}")

    def model(dialect: UpstreamDialect, spared: bool, _: bool) -> str:
        return named.get(dialect + ("+spare" if spared else "")) or instructions.plain_model(dialect, spared=spared)

    return model
