"""The dialect as one object; see `wire.dialect.Metered` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_embeddings import facts
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault


class OpenAIEmbeddings:
    name = "openai_embeddings"

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_openai_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_fault(fault, request_id)


OPENAI_EMBEDDINGS = OpenAIEmbeddings()
