"""The dialects this gateway speaks, by the name a plan gives them."""

from setpoint.domain.plan import DialectName
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, Metered
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS

DIALECTS: dict[DialectName, Dialect] = {"openai_chat": OPENAI_CHAT, "anthropic": ANTHROPIC}
EMBEDDINGS_DIALECT: Metered = OPENAI_EMBEDDINGS
