"""What every driver of a client shares: it is told what to do a line at a time, does it with its client, and says what it gave back.

A line in is `{"do": "chat", "with": {...}}`, a line out `{"gave": ...}` or `{"raised": {...}}`. A driver offers, of what its client can do:

    chat(model, prompt, limit)      {"text", "input", "output"}: the answer and its tokens, of which it wants no more than the limit
    stream(model, prompt, limit)    {"pieces", "input", "output"}
    call(model, prompt, stream)     {"calls": [[id, name, arguments]], "text"}: one turn with the tool `get_weather`
    loop(model, prompt)             {"text", "ran"}: turns until the model stops calling; `ran` are the cities asked for
    structure(model, prompt)        {"name", "population"}: an answer in this form
    look(model, prompt, image)      {"text"}: with a PNG, base64
    embed(model, texts)             the vectors
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

URL = os.environ.get("SETPOINT_URL", "")
KEY = os.environ.get("SETPOINT_KEY", "")
DEADLINE_S = 20.0
DEGREES = {"Oslo": "12 degrees", "Zürich": "19 degrees"}
CITY_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["name", "population"],
    "additionalProperties": False,
}

Deed = Callable[..., Any]


def serve(*deeds: Deed) -> None:
    """Until the end of standard input. What the client prints goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = {deed.__name__: deed for deed in deeds}
    print(json.dumps({"gave": sorted(known)}), file=out, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_done(known[order["do"]], order["with"])), file=out, flush=True)


def _done(deed: Deed, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"gave": deed(**given)}
    except Exception as error:  # noqa: BLE001  whatever the client raises is what the test is about
        told = {"kind": type(error).__name__, "status": _status(error), "message": str(error)}
        return {"raised": told | {"code": str(getattr(error, "code", None))}}


def _status(error: BaseException) -> int | None:
    """As clients tell it, or as the error tells it that they wrapped."""
    response = getattr(error, "response", None)
    told = [getattr(error, "status_code", None), getattr(error, "code", None), getattr(response, "status_code", None)]
    if isinstance(response, dict):
        told.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    found = next((status for status in told if isinstance(status, int)), None)
    return found if found is not None or error.__cause__ is None else _status(error.__cause__)
