"""Token classes never overlap."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.usage import Usage

tokens = st.integers(0, 10**7)
usages = st.builds(Usage, *[tokens] * 8, estimated=st.booleans())


@given(usages)
def test_the_total_is_the_plain_sum_of_the_classes(usage: Usage) -> None:
    classes = (
        usage.input, usage.cached_read, usage.cache_write, usage.output, usage.reasoning,
        usage.audio_input, usage.audio_output, usage.image_input,
    )  # fmt: skip
    assert usage.total == sum(classes) == usage.prompt_total + usage.completion_total


def test_nothing_used_is_zero_everywhere() -> None:
    assert (Usage().prompt_total, Usage().completion_total, Usage().total) == (0, 0, 0)
