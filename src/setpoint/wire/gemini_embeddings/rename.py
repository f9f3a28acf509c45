"""The model's name in a body that is relayed: Google refuses a batch whose requests name another model than the path."""

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode


def with_model(body: bytes, model: str) -> bytes:
    """`body` with every mention of the model as `model`; where it named none, it still does not.

    Raises msgspec.DecodeError when `body` is not of either form.
    """
    named = msgspec.Raw(_encode(f"models/{model}"))
    members = _members(body)
    if "model" in members:
        members["model"] = named
    if "requests" in members:
        requests = _list(members["requests"])
        for each in requests:
            if "model" in each:
                each["model"] = named
        members["requests"] = msgspec.Raw(_encode(requests))
    return _encode(members)
