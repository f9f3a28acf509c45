"""What client, gateway and upstreams say to each other, as conversations."""

import asyncio
from collections.abc import Iterator

import pytest

from setpoint.testing.conversation import Conversation, Mismatch, chat, messages, talk
from setpoint.testing.replies import status, text
from setpoint.testing.stage import Stage, stage


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as running:
        yield running


def talking(on: Stage) -> Conversation:
    return talk(on.gateway, on.upstreams)


def test_a_failing_upstream_is_followed_by_the_next_one(on: Stage) -> None:
    async def conversation() -> None:
        await (
            talking(on)
            .client(chat("hi", model="spare"))
            .upstream("openai", sees=chat("hi"))
            .upstream("openai", says=status(503))
            .upstream("openai-2", sees=chat("hi"))
            .upstream("openai-2", says=text("hello"))
            .client_sees(text("hello"), attempts=2)
        )

    asyncio.run(conversation())


def test_a_request_of_the_callers_own_making_is_not_tried_elsewhere(on: Stage) -> None:
    talking(on).client(chat("hi", model="spare")).upstream("openai", says=status(400, "no such parameter")).client_sees(
        status(400), attempts=1
    ).hold()


def test_a_refused_credential_is_tried_elsewhere_but_not_again(on: Stage) -> None:
    both = talking(on).client(chat("hi", model="spare")).upstream("openai", says=status(401)).upstream("openai-2", says=text("hello"))
    both.client_sees(text("hello"), attempts=2).hold()
    talking(on).client(chat("hi")).upstream("openai", says=status(401)).client_sees(status(502), attempts=1).hold()


def test_a_rate_limit_with_a_far_retry_after_is_passed_on_at_once(on: Stage) -> None:
    limited = talking(on).client(chat("hi")).upstream("openai", says=status(429, retry_after="30"))
    limited.client_sees(status(429), attempts=1, retry_after="30").hold()


def test_an_anthropic_client_is_served_by_an_openai_upstream(on: Stage) -> None:
    talking(on).client(messages("guten Tag", stream=True)).upstream("openai", sees=chat("guten Tag"), says=text("hal", "lo")).client_sees(
        text("hal", "lo"), attempts=1
    ).hold()


def test_a_stream_falls_over_across_dialects(on: Stage) -> None:
    (
        talking(on)
        .client(messages("hi", model="claude-spare", stream=True))
        .upstream("anthropic", sees=messages("hi"), says=status(529, "overloaded"))
        .upstream("openai-2", sees=chat("hi"), says=text("hel", "lo"))
        .client_sees(text("hel", "lo"), attempts=2, x_setpoint_fallback="1")
        .hold()
    )


def test_a_conversation_that_goes_otherwise_is_told_as_it_went(on: Stage) -> None:
    with pytest.raises(Mismatch, match=r"called \['openai'\] instead of \['openai', 'openai-2'\]") as caught:
        talking(on).client(chat("hi")).upstream("openai").upstream("openai-2").client_sees(text("hello")).hold()
    assert "gateway   → openai: POST /v1/chat/completions" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (text("goodbye"), "'hello' instead of 'goodbye'"),
        (status(500), "status 200 instead of 500"),
    ],
)
def test_a_wrong_answer_is_a_mismatch(on: Stage, wrong: object, said: str) -> None:
    with pytest.raises(Mismatch, match=said):
        talking(on).client(chat("hi")).upstream("openai").client_sees(wrong).hold()  # type: ignore[arg-type]


def test_a_wrong_header_or_prompt_is_a_mismatch(on: Stage) -> None:
    with pytest.raises(Mismatch, match="x-setpoint-attempts is '1' instead of '2'"):
        talking(on).client(chat("hi")).upstream("openai").client_sees(text("hello"), attempts=2).hold()
    with pytest.raises(Mismatch, match="saw the prompt 'hi' instead of 'ho'"):
        talking(on).client(chat("hi")).upstream("openai", sees=chat("ho")).client_sees(text("hello")).hold()


def test_a_new_plan_is_served_from_the_moment_it_is_acknowledged() -> None:
    from setpoint.testing.fake_upstream import FakeUpstream
    from setpoint.testing.gateway import running_gateway
    from setpoint.testing.plans import fake, plan, route

    with FakeUpstream() as one, FakeUpstream() as two:
        upstreams = (fake(one, "one"), fake(two, "two"))
        with running_gateway(plan(upstreams, (route("fake-1", "one"),))) as gateway:
            names = {"one": one, "two": two}
            talk(gateway, names).client(chat("hi")).upstream("one").client_sees(text("hello")).hold()
            gateway.publish(plan(upstreams, (route("fake-1", "two"),), version=2))
            talk(gateway, names).client(chat("hi")).upstream("two").client_sees(text("hello")).hold()
