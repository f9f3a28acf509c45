"""Pages for people: every error code, every path, the version. They need no key and load nothing from elsewhere."""

import html
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse

from setpoint import __version__
from setpoint.api.errors import ApiFault
from setpoint.domain.faults import FAULT_CLASSES, Fault, FaultKind

_BLAME = {
    "caller": "The request cannot be served as it is; change it.",
    "upstream": "The provider behind the gateway failed.",
    "gateway": "Setpoint itself cannot serve it now.",
}
_RETRY = {
    "never": "The same request fails again until its cause is gone.",
    "elsewhere": "The same upstream fails again; another one may work.",
    "again": "Trying again later may work.",
}


_STYLE = (
    "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem;color-scheme:light dark}"
    "td,th{padding:.3rem .8rem;text-align:left;vertical-align:top}"
)


def router(app: FastAPI) -> APIRouter:
    pages = APIRouter(include_in_schema=False)

    @pages.get("/docs/errors/{code}")
    async def error_page(code: int) -> HTMLResponse:
        if code not in _MEANING:
            raise ApiFault(Fault(FaultKind.not_found, f"There is no error {code}. /docs/errors lists them all."))
        return _page(f"Error {code}", _error_rows([FaultKind(code)]))

    @pages.get("/docs/errors")
    async def errors_page() -> HTMLResponse:
        return _page("Errors", _error_rows(list(FaultKind)))

    @pages.get("/docs")
    async def paths_page() -> HTMLResponse:
        return _page("Management interface", _path_rows(app.openapi()))

    @pages.get("/version")
    async def version() -> dict[str, str]:
        return {"version": __version__}

    return pages


def _error_rows(kinds: list[FaultKind]) -> str:
    rows = "".join(
        f"<tr id='{int(k)}'><td>{int(k)}</td><td>{k.name.upper()}</td><td>{FAULT_CLASSES[k].http_status}</td>"
        f"<td>{html.escape(_MEANING[int(k)])}</td><td>{_BLAME[FAULT_CLASSES[k].blame]} {_RETRY[FAULT_CLASSES[k].retry]}</td></tr>"
        for k in kinds
    )
    return f"<table><tr><th>code<th>name<th>HTTP<th>meaning<th>what to do</tr>{rows}</table>"


def _path_rows(schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{html.escape(path)}</code></td><td>{html.escape(about.get('summary', ''))}</td></tr>"
        for path, methods in schema["paths"].items()
        for method, about in methods.items()
    )
    return f"<p>Machine-readable: <a href='/openapi.json'>/openapi.json</a> · <a href='/docs/errors'>errors</a></p><table>{rows}</table>"


def _page(title: str, body: str) -> HTMLResponse:
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title} · Setpoint</title><style>{_STYLE}</style>"
    return HTMLResponse(f"{head}<h1>{title}</h1>{body}</html>")


_NUMBERS = frozenset(int(kind) for kind in FaultKind)


def _meanings(tree: str) -> dict[int, str]:
    """Reads the meanings from the tree that explains the faults to programmers, so that they are written once."""
    found = {}
    for line in tree.splitlines():
        words = line.strip(" │├└─").split()
        if len(words) > 2 and words[-1].isdigit() and int(words[-1]) in _NUMBERS:
            text = " ".join(words[1:-1])
            found[int(words[-1])] = text.removesuffix("(its own)").rstrip("0123456789 ")
    return found


def _all_meanings() -> dict[int, str]:
    from setpoint.domain import faults

    return _meanings(faults.__doc__ or "")


_MEANING = _all_meanings()
