"""Neutral parts of a conversation as parts of a Gemini content."""

import base64

import msgspec

from setpoint.domain.chat import Audio, Document, Foreign, Image, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from setpoint.wire.bodies import as_object, unsupported
from setpoint.wire.gemini.losses import Losses
from setpoint.wire.gemini.media import lies_at_google, media_type_of
from setpoint.wire.gemini.model_facts import is_generation_3
from setpoint.wire.gemini.signed import NAME
from setpoint.wire.signatures import own

Json = dict[str, object]
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_LEVELS = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "ultra_high": "ULTRA_HIGH"}


class PartWriter:
    """Writes parts for one model, and notes what is lost."""

    __slots__ = ("losses", "model", "moved")

    def __init__(self, model: str, losses: Losses) -> None:
        self.model = model
        self.losses = losses
        self.moved: list[Json | msgspec.Raw] = []
        """Files of results that the model takes only beside them."""

    def part(self, part: Part) -> Json | msgspec.Raw | None:
        if isinstance(part, Text):
            return self.text(part)
        if isinstance(part, Image):
            return self.image(part)
        if isinstance(part, Document):
            return self.document(part)
        if isinstance(part, Audio):
            return _inline(_AUDIO_TYPES.get(part.format, f"audio/{part.format}"), part.data)
        if isinstance(part, Thinking):
            return self.thought(part)
        if isinstance(part, Refusal):
            return {"text": part.text} if part.text else None
        if isinstance(part, Foreign):
            return self.foreign(part)
        return None

    def text(self, text: Text) -> Json | None:
        if text.cache is not None:
            self.losses.lose("cache_control")
        signature = own(NAME, text.signature)
        if not text.text and not signature:
            return None
        return _signed({"text": text.text}, signature)

    def thought(self, part: Thinking) -> Json | None:
        if part.redacted:
            self.losses.lose("thinking (of another provider, encrypted)")
            return None
        signature = own(NAME, part.signature)
        if part.signature and not signature:
            self.losses.lose("thinking.signature (of another provider)")
        return _signed({"text": part.text, "thought": True}, signature) if part.text or signature else None

    def foreign(self, part: Foreign) -> msgspec.Raw | None:
        if part.dialect == NAME and part.raw:
            return msgspec.Raw(part.raw)
        self.losses.lose(part.kind)
        return None

    # ---------------------------------------------------------------- files

    def image(self, image: Image) -> Json | None:
        if image.cache is not None:
            self.losses.lose("cache_control")
        if image.data is not None:
            made: Json | None = _inline(image.media_type or "image/png", image.data)
        elif image.file_id is not None:
            made = self.stored(image.file_id, image.media_type or media_type_of(image.file_id) or "image/jpeg")
        else:
            made = self.linked(image.url or "", image.media_type, "image/jpeg", "image_url")
        if made is not None and image.detail not in {None, "auto"}:
            if is_generation_3(self.model) and image.detail in _LEVELS:
                made["mediaResolution"] = {"level": f"MEDIA_RESOLUTION_{_LEVELS[image.detail]}"}
            else:
                self.losses.lose("image_url.detail")
        return made

    def document(self, document: Document) -> Json | None:
        if document.cache is not None:
            self.losses.lose("cache_control")
        if document.name is not None:
            self.losses.lose("document.name")
        if document.text is not None:
            data = base64.b64encode(document.text.encode("utf-8", "replace")).decode()
            return _inline(document.media_type or "text/plain", data)
        if document.data is not None:
            return _inline(document.media_type or "application/pdf", document.data)
        if document.file_id is not None:
            return self.stored(document.file_id, document.media_type or media_type_of(document.file_id) or "application/pdf")
        return self.linked(document.url or "", document.media_type, "application/pdf", "document.url")

    def stored(self, file_id: str, media_type: str) -> Json | None:
        if lies_at_google(file_id):
            return _linked(media_type, file_id)
        self.losses.refuse(unsupported("messages.content.source", "a file stored at another provider cannot be sent here; send base64."))
        return None

    def linked(self, url: str, media_type: str | None, guess: str, member: str) -> Json:
        """Gemini wants to know the type of what it fetches; a URL tells it by its extension at best."""
        known = media_type or media_type_of(url)
        if known is None:
            self.losses.lose(f"{member} (its type is unknown; sent as {guess})")
        return _linked(known or guess, url)

    # ---------------------------------------------------------------- calls and results

    def call(self, call: ToolCall) -> Json:
        if call.cache is not None:
            self.losses.lose("cache_control")
        written: Json = {"functionCall": {"id": call.id, "name": call.name, "args": as_object(call.arguments)}}
        return _signed(written, own(NAME, call.signature))

    def result(self, result: ToolResult, name: str) -> Json:
        if result.cache is not None:
            self.losses.lose("cache_control")
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        files = [made for part in result.parts if not isinstance(part, Text) and (made := self.part(part)) is not None]
        written: Json = {"id": result.call_id, "name": name, "response": _response("\n".join(texts), result.is_error)}
        if files and is_generation_3(self.model):
            written["parts"] = files
        elif files:
            self.losses.lose("tool_result (files moved behind the results)")
            self.moved += files
        return {"functionResponse": written}


def _response(text: str, is_error: bool) -> Json | msgspec.Raw:
    """The object of a result: itself when it is one that cannot be mistaken, otherwise under `output` or `error`."""
    members = _object_members(text)
    if (
        members is not None
        and ("error" in members) is is_error
        and (is_error is False or len(members) > 1)
        and members.keys() != {"output"}
    ):
        return msgspec.Raw(text.encode("utf-8", "replace"))
    value = msgspec.Raw(text.encode("utf-8", "replace")) if members is not None else text
    return {"error" if is_error else "output": value}


def _object_members(text: str) -> dict[str, msgspec.Raw] | None:
    try:
        return _members(text) if text.lstrip().startswith("{") else None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _signed(part: Json, signature: str) -> Json:
    if signature:
        part["thoughtSignature"] = signature
    return part


def _inline(media_type: str, data: str) -> Json:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _linked(media_type: str, url: str) -> Json:
    return {"fileData": {"mimeType": media_type, "fileUri": url}}
