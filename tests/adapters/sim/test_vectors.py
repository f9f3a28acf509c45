"""Embeddings without a model."""

import base64
import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from setpoint.adapters.sim.vectors import as_base64, embed


@given(text=st.text(max_size=80), dimensions=st.integers(1, 600))
def test_every_text_has_a_vector_of_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.sqrt(sum(x * x for x in vector)), 1.0, rel_tol=1e-9)
    assert vector == embed(text, dimensions)


def test_base64_is_little_endian_float32() -> None:
    assert struct.unpack("<2f", base64.b64decode(as_base64([1.0, -0.5]))) == (1.0, -0.5)
