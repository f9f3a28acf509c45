"""A service for tests of the process tree: it is ready, answers pings, and ends when told."""

import asyncio

from setpoint.app.service_context import Conversation, ServiceContext


def run(context: ServiceContext) -> None:
    asyncio.run(_serve(context))


async def _serve(context: ServiceContext) -> None:
    conversation = Conversation(context)
    following = asyncio.get_running_loop().create_task(conversation.follow())
    context.tell("ready")
    await conversation.stop.wait()
    following.cancel()
