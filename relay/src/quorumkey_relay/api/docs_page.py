"""``/docs``: the OpenAPI document as one page of plain HTML, with nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Any, Final, cast

from quorumkey.errors import ERRORS
from quorumkey_relay.api.openapi import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quorumkey_relay.api.openapi import Document, MediaType, Operation, Schema

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 .25rem; font-size: 1rem; }
code { font: .9em ui-monospace, monospace; background: var(--soft); padding: .1em .3em; }
h3 b { font: 700 .8em ui-monospace, monospace; display: inline-block; min-width: 4em; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th, td { padding: .25rem .75rem .25rem 0; }
p { margin: .25rem 0; }
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Nothing but this page's own style runs or loads.
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)

_REF_PREFIX: Final = "#/components/schemas/"


def render(document: Document) -> str:
    """Return the page."""
    title = f"{document.info.title} {document.info.version}"
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1><p>{escape(document.info.description)}</p>",
            '<p>For machines: <a href="/openapi.json">/openapi.json</a>.</p>',
            *_operations(document),
            *_types(document.components.schemas),
            *_errors(),
            "</body></html>",
        )
    )


def _operations(document: Document) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for path, operations in document.paths.items():
        for method, operation in operations.items():
            shown = "".join(_operation(method, path, operation))
            groups.setdefault(operation.tags[0], []).append(shown)
    for group, sections in groups.items():
        yield f"<h2>{escape(group)}</h2>"
        yield from sections


def _operation(method: str, path: str, operation: Operation) -> Iterator[str]:
    anchor = escape(operation.operation_id)
    yield f'<h3 id="{anchor}"><b>{method.upper()}</b> <code>{escape(path)}</code></h3>'
    yield f"<p>{escape(operation.summary)}</p>"
    for requirement in operation.security:
        yield f"<p>Bearer token: {escape(', '.join(requirement))}</p>"
    if operation.parameters:
        rows = (
            (f"<code>{escape(item.name)}</code> ({item.where})", item.schema, item.description)
            for item in operation.parameters
        )
        yield _table(
            ("Parameter", "Type", ""),
            ((name, _type(schema), escape(text)) for name, schema, text in rows),
        )
    if operation.request_body is not None:
        yield f"<p>Body: {_content(operation.request_body.content)}</p>"
    for status, response in operation.responses.items():
        is_error = status >= "4"
        shown = _codes(response.description) if is_error else _content(response.content)
        yield f"<p>{status} {shown or escape(response.description)}</p>"


def _codes(description: str) -> str:
    return " ".join(
        f'<a href="#{escape(code)}"><code>{escape(code)}</code></a>'
        for code in description.split(", ")
    )


def _content(content: dict[str, MediaType]) -> str:
    return ", ".join(
        _type(media.schema) if kind == JSON else f"<code>{escape(kind)}</code>"
        for kind, media in content.items()
    )


def _types(schemas: dict[str, Schema]) -> Iterator[str]:
    yield "<h2>Types</h2>"
    for name, schema in schemas.items():
        yield f'<h3 id="type-{escape(name)}">{escape(name)}</h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>"
        members = cast("dict[str, Schema]", schema.get("properties", {}))
        required = cast("list[str]", schema.get("required", []))
        yield _table(
            ("Member", "Type", ""),
            (
                (
                    f"<code>{escape(member)}</code>",
                    _type(kind),
                    "" if member in required else "optional",
                )
                for member, kind in members.items()
            ),
        )


def _errors() -> Iterator[str]:
    yield "<h2>Errors</h2>"
    yield _table(
        ("Code", "Status", "Message unless a closer one is given"),
        (
            (
                f'<code id="{escape(code)}">{escape(code)}</code>',
                str(spec.status),
                escape(spec.message),
            )
            for code, spec in ERRORS.items()
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{body}</table>"


def _type(schema: Schema) -> str:
    """Return a schema in a few words of HTML; named types link to their table."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = escape(reference.removeprefix(_REF_PREFIX))
        return f'<a href="#type-{name}">{name}</a>'
    alternatives = cast("list[Schema] | None", schema.get("anyOf"))
    if alternatives is not None:
        return " or ".join(_type(item) for item in alternatives)
    values = cast("list[Any] | None", schema.get("enum"))
    if values is not None:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
    kind = str(schema.get("type", "any JSON"))
    if kind == "array":
        return f"list of {_type(cast('Schema', schema.get('items', {})))}"
    bounds = [
        f"{text} {schema[name]}"
        for name, text in (("minimum", "from"), ("maximum", "to"), ("pattern", "matching"))
        if name in schema
    ]
    return escape(" ".join((kind, *bounds)))
