"""What an answer says, in no vendor's words: the one form that answers of all dialects are compared in."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Call = tuple[str, str, Any]
"""Id, name and arguments of a tool call; arguments as the object they are, see `arguments_of`."""


@dataclass(frozen=True)
class Said:
    """`stop` is a word of `domain.chat.Finish`. Tokens are whole sums: cached ones are in the prompt's, reasoning in the completion's.

    None stands for tokens nobody counted. `thinking` has no white space, because vendors cut thoughts into parts differently.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = "unknown"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    refusal: str = ""
    thinking: str = ""


@dataclass
class Gathered:
    """A Said while it is put together."""

    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def said(self, stop: str, prompt_tokens: int | None, completion_tokens: int | None) -> Said:
        called = bool(self.calls) and stop in {"stop", "unknown"}
        return Said(
            "".join(self.texts),
            tuple(self.calls),
            "tool_calls" if called else stop,
            prompt_tokens,
            completion_tokens,
            "".join(self.refusals),
            squeezed(self.thoughts),
        )


def squeezed(texts: Iterable[str]) -> str:
    return "".join("".join(texts).split())


def arguments_of(given: Any) -> Any:
    """Arguments of a call as an object; text that is none is wrapped, as the dialects of objects have to."""
    if isinstance(given, dict):
        return given
    try:
        parsed = json.loads(given or "{}")
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"INVALID_JSON": given}


def refusal_as_text(said: Said) -> Said:
    """For dialects without a place for a refusal: it is the text, and the answer ends as one refused."""
    stop = "refusal" if said.refusal and said.stop in {"stop", "unknown"} else said.stop
    return replace(said, text=said.text + said.refusal, refusal="", stop=stop)
