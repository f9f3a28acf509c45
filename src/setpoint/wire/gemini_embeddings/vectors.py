"""What the two forms of embeddings share: reading errors, encodings, and the tasks of a batch."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsRequest, EmbeddingTask
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import loss_names, unsupported
from setpoint.wire.gemini_embeddings.tasks import task_of

Json = dict[str, object]


class Asked(msgspec.Struct, frozen=True):
    """One text of a batch and how its vector is wanted."""

    text: str
    task: str | None = None
    title: str | None = None
    dimensions: int | None = None


def request_of(asked: list[Asked], extras: dict[str, bytes]) -> EmbeddingsRequest | Fault:
    """One request for a batch. The texts of a batch may differ in everything; here they have one task, title and size in common."""
    first = asked[0]
    if any((one.task, one.title, one.dimensions) != (first.task, first.title, first.dimensions) for one in asked):
        return unsupported("requests", "all requests of a batch must have the same taskType, title and outputDimensionality.")
    task: EmbeddingTask | None = task_of(first.task)
    if first.task and task is None and not first.task.upper().endswith("UNSPECIFIED"):
        extras = {**extras, "taskType": msgspec.json.encode(first.task)}
    return EmbeddingsRequest("", tuple(one.text for one in asked), first.dimensions, "float", task, first.title, None, extras)


def texts_of(request: EmbeddingsRequest) -> list[str] | Fault:
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        return unsupported("input", "this provider takes texts, not token numbers.")
    return texts


def losses_of(request: EmbeddingsRequest) -> tuple[str, ...]:
    lost = ("user",) if request.user is not None else ()
    return lost + loss_names({name: raw for name, raw in request.extras.items() if name != "taskType"})
