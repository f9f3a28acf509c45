"""Tokens of one answer, in classes that never overlap."""

import msgspec

BYTES_PER_TOKEN = 4
"""How long a token is, in English and in code, where nobody counts: for estimates, which are marked as such."""


class Usage(msgspec.Struct, frozen=True):
    """Token counts in disjoint classes: the total is their plain sum.

    Providers count differently: OpenAI's prompt_tokens includes cached ones, Anthropic's input_tokens does not;
    reasoning is inside completion_tokens at OpenAI. Each dialect converts to this form once, so nothing downstream
    ever bills a token twice. `output` excludes `reasoning`; `input` excludes the two cache classes, audio and image.
    `estimated` is true when the provider gave no figure and we counted by ourselves.
    """

    input: int = 0
    cached_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    estimated: bool = False

    @property
    def credible(self) -> bool:
        """Whether every count is in [0, 2^32), which is what records hold. Providers have sent negative figures."""
        prompt = self.input | self.cached_read | self.cache_write | self.audio_input | self.image_input
        return (prompt | self.output | self.reasoning | self.audio_output) >> 32 == 0

    @property
    def prompt_total(self) -> int:
        return self.input + self.cached_read + self.cache_write + self.audio_input + self.image_input

    @property
    def completion_total(self) -> int:
        return self.output + self.reasoning + self.audio_output

    @property
    def total(self) -> int:
        return self.prompt_total + self.completion_total
