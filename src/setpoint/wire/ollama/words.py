"""Finish reasons of this dialect (https://docs.ollama.com/api/chat); it has two, and none for calls of tools."""

from setpoint.domain.chat import Finish

_READ: dict[str, Finish] = {"stop": "stop", "length": "length"}

WRITTEN: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "stop",
    "refusal": "stop",
    "pause": "stop",
    "unknown": "stop",
}


def finish_of(word: str | None, called_tools: bool) -> Finish:
    """`load` and `unload` say that no question was answered; old servers give no reason."""
    finish = _READ.get(word or "", "unknown")
    return "tool_calls" if called_tools and finish in {"stop", "unknown"} else finish
