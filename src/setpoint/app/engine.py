"""The engine process: control and the management interface, on a Unix socket that only the workers of this tree can reach.

It may die at any time: traffic goes on without it, and its successor finds everything in the data directory.
"""

import asyncio
import gc
import json
import os
from collections.abc import Callable, Coroutine
from typing import Any

from setpoint.app.child import make_room
from setpoint.app.ctl_client import SupervisorGoneError, ask_async
from setpoint.app.engine_control import Control, Reloaded, open_control, outcome
from setpoint.app.service_context import Conversation, ServiceContext
from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.control.draft import Problem
from setpoint.control.publish import Publisher
from setpoint.domain.plan import Plan
from setpoint.domain.snapshot import Current
from setpoint.ports.control_store import ControlStoreError
from setpoint.runtime.clock import Clock, SystemClock

SETTLE_S = 1.0
"""How often keys that could not be published are tried again."""


def run(context: ServiceContext) -> None:
    """Serves until told to stop, or until the supervisor is gone. Raises SettingsError when there is nothing to serve by."""
    asyncio.run(_serve(context, SystemClock()))


async def _serve(context: ServiceContext, clock: Clock) -> None:
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            group.create_task(work)

        control = _control(context, clock, _announcer(context, spawn, lambda name: control.take_back(name)))
        conversation = Conversation(context, reload=lambda number: spawn(_reload(context, control, number)))
        following = group.create_task(conversation.follow())
        settling = group.create_task(_settle(context, control.publisher))
        # On a first start the workers wait for what was published just now; the web framework takes half a second to load.
        from setpoint.app.engine_face import listen, server_of

        server = server_of(context, clock, control)
        serving = group.create_task(server.serve(sockets=[listen(context.data_dir)]))
        gc.collect()
        gc.freeze()
        context.tell("ready")
        make_room(context.spec)
        await conversation.stop.wait()
        server.config.timeout_graceful_shutdown = int(conversation.stop_s)
        server.should_exit = True
        await serving
        following.cancel()
        settling.cancel()
    control.close()


def _control(context: ServiceContext, clock: Clock, announce: Callable[[Current], None]) -> Control:
    """The control plane, published. What only a person can act on is told."""
    source = context.config
    assert context.keyring is not None, "the engine is always born with the keyring"
    settings: Settings | tuple[Problem, ...]
    try:
        settings = load_settings(source.path, os.environ, source.overrides, source.profile)
    except SettingsError as error:
        settings = error.problems
    control = open_control(context.data_dir, settings, context.keyring, clock, announce)
    _show_admin(context, control.first_admin)
    for problem in control.problems:
        context.log.error("the configuration cannot be used; the last good one stays", problem=str(problem))
    return control


def _show_admin(context: ServiceContext, token: str | None) -> None:
    if token:
        context.tell(f"show admin key      {token}   (shown this once)")


def _announcer(
    context: ServiceContext, spawn: Callable[[Coroutine[Any, Any, None]], None], take_back: Callable[[str], Plan | None]
) -> Callable[[Current], None]:
    """Tells the workers at once, through the supervisor. They would see it by themselves a little later, so a failure is only logged.

    A plan that a worker refuses is taken back, so that a worker that starts later does not meet it.
    """
    loop = asyncio.get_running_loop()

    async def announce(version: str) -> None:
        try:
            answer = await ask_async(context.data_dir, f"publish {version}")
        except SupervisorGoneError:
            return
        if answer["refused"] or answer["lagging"]:
            context.log.warning("a published plan did not reach every worker", version=version, **answer)
        if answer["refused"] and (plan := await asyncio.to_thread(take_back, version)):
            context.log.error("the plan was refused; what counted before counts again", refused=version, version=plan.version)

    def publish(current: Current) -> None:
        loop.call_soon_threadsafe(spawn, announce(f"{current.epoch}-{current.version}"))

    return publish


async def _settle(context: ServiceContext, publisher: Publisher) -> None:
    """A revocation that the disk refused must not wait for the next change of keys."""
    while True:
        await asyncio.sleep(SETTLE_S)
        if not publisher.behind:
            continue
        try:
            await asyncio.to_thread(publisher.settle)
        except (OSError, ControlStoreError) as error:
            context.log.error("keys are changed, but the workers do not know it yet; trying again", error=str(error))  # noqa: TRY400  the reason is one line


async def _reload(context: ServiceContext, control: Control, number: str) -> None:
    """Reads the configuration again, and says what came of it; one with mistakes changes nothing."""
    result = await asyncio.to_thread(control.reload, context.config)
    context.tell(f"reloaded {number} {json.dumps(outcome(result))}")
    if isinstance(result, Reloaded):
        _show_admin(context, result.first_admin)
        context.log.info("configuration read again", version=result.plan.version, restart_needed=list(result.restart_needed))
        return
    for problem in result:
        context.log.error("the new configuration cannot be used; the old one stays", problem=str(problem))
