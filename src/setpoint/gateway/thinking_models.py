"""Models that think before they answer, by their names: facts of the vendors' documents, as data.

The deadlines of a chat would cut them off. A model that is not known here only needs `timeouts: long` at its route.
"""

import re

_START = r"(?:^|[/.:@])"
_THINKING_NAMES = re.compile(
    "|".join(
        (
            # OpenAI: https://platform.openai.com/docs/guides/reasoning; gpt-5-chat and its successors do not think
            rf"{_START}o[1345](?:$|-)",
            rf"{_START}gpt-(?:[5-9]|\d\d)(?!.*chat)",
            rf"{_START}(?:gpt-oss|codex-mini|computer-use-preview)",
            # Gemini: https://ai.google.dev/gemini-api/docs/thinking (2.5 Flash-Lite does not unless it is asked to)
            rf"{_START}gemini-(?:2\.5-pro|2\.5-flash(?!-lite|-image)|[3-9](?!.*image))",
            # DeepSeek: https://api-docs.deepseek.com/guides/reasoning_model
            r"deepseek[-.](?:reasoner|r\d)",
            # xAI: https://docs.x.ai/docs/guides/reasoning
            r"grok-3-mini|grok-4(?!.*non-reasoning)|grok-code",
            # Mistral: https://docs.mistral.ai/capabilities/reasoning/
            r"magistral",
            # Alibaba: https://www.alibabacloud.com/help/en/model-studio/deep-thinking
            r"\bqwq|\bqvq",
            # Perplexity: https://docs.perplexity.ai/getting-started/models
            r"sonar-(?:reasoning|deep-research)",
            # Moonshot, MiniMax, Z.ai
            r"kimi-k2-thinking|minimax-m[1-9]|glm-(?:4\.[5-9]|[5-9])(?!.*flash)",
            # whoever says so in the name itself
            r"[-:](?:thinking|reasoning|reasoner|deep-research)(?:$|[-:@])",
        )
    ),
    re.IGNORECASE,
)
_DENIALS = re.compile(r"non-(?:thinking|reasoning)", re.IGNORECASE)


def thinks(model: str) -> bool:
    """Whether a model of this name thinks without being asked to."""
    return _THINKING_NAMES.search(model) is not None and _DENIALS.search(model) is None
