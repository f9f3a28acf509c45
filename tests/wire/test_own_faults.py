"""A provider's error body is passed on only where the client's SDK finds its message."""

import pytest

from setpoint.wire.own_faults import is_own_fault

OPENAI = b'{"error":{"message":"m","type":"t","param":null,"code":null}}'
ANTHROPIC = b'{"type":"error","error":{"type":"t","message":"m"}}'
GEMINI = b'{"error":{"code":400,"message":"m","status":"S"}}'
AMAZON = b'{"message":"m"}'
OLLAMA = b'{"error":"m"}'


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_chat", OPENAI),
        ("openai_responses", OPENAI),
        ("openai_embeddings", OPENAI),
        ("anthropic", ANTHROPIC),
        ("gemini", GEMINI),
        ("gemini_embeddings", GEMINI),
        ("vertex_embeddings", GEMINI),
        ("bedrock_converse", AMAZON),
        ("bedrock_converse", b'{"Message":"m"}'),
        ("cohere", AMAZON),
        ("cohere_embeddings", b'{"id":"1","message":"m"}'),
        ("ollama", OLLAMA),
        ("ollama_embeddings", OLLAMA),
    ],
)
def test_the_dialects_own_shape_is_known(dialect: str, body: bytes) -> None:
    assert is_own_fault(dialect, body)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_chat", OLLAMA),
        ("openai_chat", ANTHROPIC.replace(b'"message":"m"', b'"message":5')),
        ("anthropic", OPENAI),
        ("gemini", OPENAI),
        ("bedrock_converse", b"{}"),
        ("cohere", OPENAI),
        ("ollama", OPENAI),
        *[
            (dialect, body)
            for dialect in ("openai_chat", "anthropic", "gemini", "cohere")
            for body in (b"", b"<html>", b"[]", b"\xff", b"null")
        ],
    ],
)
def test_other_shapes_are_said_anew(dialect: str, body: bytes) -> None:
    assert not is_own_fault(dialect, body)
