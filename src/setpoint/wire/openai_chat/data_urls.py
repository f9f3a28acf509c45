"""Files inside `data:` URLs (RFC 2397)."""

from setpoint.domain.chat import Image


def data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 text of a `data:` URL; (None, None) for every other URL."""
    if not url.startswith("data:"):
        return None, None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None, None
    return head[:-7].partition(";")[0] or "text/plain", data


def data_url_of(image: Image) -> str | None:
    """The URL of an image; None when it is only known to the provider that stores it."""
    return image.url if image.data is None else f"data:{image.media_type or 'image/png'};base64,{image.data}"
