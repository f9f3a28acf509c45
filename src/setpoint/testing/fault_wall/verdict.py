"""Whether a cell ended as its rule says."""

import msgspec

from setpoint.testing.fault_wall.cells import Cell
from setpoint.testing.fault_wall.judge import Got, Heard
from setpoint.testing.fault_wall.rules import CALLS_MAX, CANCEL_S_MAX, Billed
from setpoint.testing.fault_wall.surfaces import SurfaceName
from setpoint.testing.fault_wall.upstreams import SAID, SPARE, Order
from setpoint.testing.replies import Reply

VECTORS = "[[0.6,0.8,0.0]]"
"""What every provider answers to a request for embeddings."""


class Result(msgspec.Struct):
    """What came of a cell. `misses` say what was wrong, in words; none means the rule was met. `request_id` finds it in the gateway's
    own records, which know `attempts` and the number of the `fault`.
    """

    cell: Cell
    ending: str = ""
    status: int = 0
    broken_calls: int = 0
    spare_calls: int = 0
    took_s: float = 0.0
    misses: list[str] = []
    request_id: str = ""
    attempts: int = 0
    fault: int = 0


def texts(surface: SurfaceName) -> tuple[str, str]:
    """What the provider that breaks says, and what the spare one says."""
    return (VECTORS, VECTORS) if surface == "embeddings" else (SAID.text, SPARE.text)


def misses(cell: Cell, got: Got, heard: Heard, order: Order) -> list[str]:
    """What was not as it must be."""
    return [*_ending_misses(cell, got, heard, order), *_call_misses(cell, order), *_usage_misses(cell, heard, order)]


def moves(cell: Cell, order: Order) -> bool:
    """Whether the healthy provider must have answered."""
    again = cell.rule.again
    return cell.spared and (again in ("elsewhere", "again") or (again == "may" and bool(order.spare_calls)))


def _ending_misses(cell: Cell, got: Got, heard: Heard, order: Order) -> list[str]:
    rule, moved = cell.rule, moves(cell, order)
    said = texts(cell.surface)[moved]
    ends = ("whole",) if moved else rule.ends
    if heard.ending not in ends:
        return [f"it ended as {heard.ending}, not as {' or '.join(ends)}: {heard.why or got.status}"]
    if heard.ending == "whole":
        wrong = [] if heard.text == said else [f"it says {heard.text!r}, not {said!r}"]
        return wrong if heard.terminal or not (rule.terminal or moved) else [*wrong, "the surface's own end is missing"]
    return _status_misses(cell, got) if heard.ending == "status" else []


def _status_misses(cell: Cell, got: Got) -> list[str]:
    rule, wrong = cell.rule, []
    first, last = rule.statuses
    if not first <= got.status <= last:
        wrong.append(f"status {got.status}, not {first}" + (f"-{last}" if last > first else ""))
    if rule.same_status and got.status != cell.mode.status:
        wrong.append(f"status {got.status}, not the provider's {cell.mode.status}")
    if rule.wait_told and not {"retry-after", "retry-after-ms"} & got.headers.keys():
        wrong.append("the client is not told when to come back")
    return wrong


def _call_misses(cell: Cell, order: Order) -> list[str]:
    broken, spare = len(order.broken_calls), len(order.spare_calls)
    again = cell.rule.again
    if broken + spare > CALLS_MAX:
        return [f"{broken + spare} calls for one request"]
    if not broken:
        return ["the provider was never called"]
    if cell.spared:
        if moves(cell, order):
            return [] if spare == 1 else [f"{spare} calls of the healthy provider, not 1"]
        return [f"{spare} calls of the healthy provider after content or for a refused request"] if spare else []
    if again == "again":
        return [] if broken > 1 else ["it was not tried again"]
    return [] if broken == 1 or again == "may" else [f"{broken} calls where another one cannot help"]


def _usage_misses(cell: Cell, heard: Heard, order: Order) -> list[str]:
    """What a whole answer says of its tokens must be what the provider said."""
    if heard.ending != "whole" or heard.usage is None or cell.surface == "embeddings":
        return []
    true = _tokens(SPARE if moves(cell, order) else SAID)
    # Where the very end is missing, so may be the figures in it.
    return [] if heard.usage == true or not cell.rule.terminal else [f"it states {heard.usage} tokens, not {true}"]


def _tokens(reply: Reply) -> tuple[int, int]:
    return reply.input_tokens, reply.output_tokens


def billing_misses(cell: Cell, ending: str, charged: tuple[int, int], *, moved: bool) -> list[str]:
    """Whether the tokens a gateway's record charges are those of the rule."""
    billed: Billed = "reported" if moved else cell.rule.billed
    if cell.surface == "embeddings":
        return [] if (charged[0] > 0) == (ending == "whole") else [f"embeddings are charged {charged}"]
    match billed:
        case "reported":
            true = _tokens(SPARE if moved else SAID)
            return [] if charged == true else [f"{charged} tokens are charged, not {true}"]
        case "nothing":
            return [] if charged == (0, 0) else [f"{charged} tokens are charged for an answer that never came"]
        case "what came":
            return [] if ending == "status" or charged[0] > 0 else [f"{charged} tokens are charged although content came"]
        case "any":
            return []


def leaving_misses(left_ns: int, order: Order) -> list[str]:
    """Whether every provider was let go of in time after the client had left."""
    if not left_ns:
        return ["the client never came to the point where it leaves"]
    wrong = [] if len(order.calls) == 1 else [f"{len(order.calls)} calls for a client that left"]
    late = [call for call in order.calls if not call.hung_up_ns or (call.hung_up_ns - left_ns) / 1e9 > CANCEL_S_MAX]
    return [*wrong, f"the provider was not let go of within {CANCEL_S_MAX:g} s"] if late else wrong
