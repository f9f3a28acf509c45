"""Structured output for models that cannot be held to a schema: a tool that takes the answer as its arguments, and must be called.

Anthropic advises it itself for such models (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview, "JSON mode"). Its name
is reserved, so that a call of it can be told from the client's own calls when the answer comes: the arguments then are the text.
"""

ANSWER_TOOL = "setpoint_json_answer"
DESCRIPTION = "Give the whole answer by calling this tool once."
