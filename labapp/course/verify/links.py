"""Links lead somewhere, and pictures say something to those who do not see them.

Invariants of ``labapp.course.verify``; static, and without the network: of an address elsewhere
only the form is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labapp.course.documents import Document
from labapp.course.verify.context import Context, Problem

_ELSEWHERE = ("http", "https")


def links_resolve(context: Context) -> Iterator[Problem]:
    """A relative link leads to a file of the project, and an anchor to a heading of it."""
    for document in context.documents:
        pictures = [picture.source for picture in document.pictures]
        for target in dict.fromkeys([*document.links, *pictures]):
            yield from _wrong_with(context, document, target)


def _wrong_with(context: Context, document: Document, target: str) -> Iterator[Problem]:
    where, link = document.where, f"its link {target!r}"
    try:
        parts = urlsplit(target)
    except ValueError as error:
        yield Problem(where, f"{link} is no address: {error}", "mend it")
        return
    if parts.scheme == "mailto":
        return
    if parts.scheme or parts.netloc:
        host = parts.hostname or ""
        if parts.scheme not in _ELSEWHERE or "." not in host.strip(".") or " " in unquote(target):
            yield Problem(where, f"{link} is no address", "write https://HOST/PATH, or a file")
        return
    yield from _missing(context, document, unquote(parts.path), unquote(parts.fragment))


def _missing(context: Context, document: Document, path: str, anchor: str) -> Iterator[Problem]:
    found = (context.root / document.path).parent / path if path else context.root / document.path
    inside = found.resolve().is_relative_to(context.root.resolve())
    if not inside or path.startswith("/"):
        yield Problem(
            document.where,
            f"its link to {path!r} leads out of the project",
            "link relative to the document, to a file of the project",
        )
    elif not found.exists():
        yield Problem(
            document.where, f"its link to {path!r} leads nowhere", "name a file that is there"
        )
    elif anchor and (known := _anchors(context, found)) is not None and anchor not in known:
        yield Problem(
            document.where,
            f"its link to {path or 'itself'!r} has an anchor that is not there: #{anchor}",
            f"one of: {', '.join(sorted(known)) or 'there is no heading'}",
        )


def _anchors(context: Context, file: Path) -> set[str] | None:
    """What may stand after the ``#``; None for files that the context has not read."""
    path = context.root.joinpath(file).resolve().relative_to(context.root.resolve()).as_posix()
    if path in context.files:
        return set(context.files[path].anchors)
    if path in context.cells:
        return {anchor for cell in context.cells[path] for anchor in cell.notebook_anchors}
    return None


def pictures_have_a_text(context: Context) -> Iterator[Problem]:
    """Every picture, Markdown's and HTML's, has an alt text."""
    for document in context.documents:
        for picture in document.pictures:
            if not picture.alt.strip():
                yield Problem(
                    document.where,
                    f"the picture {picture.source!r} has no text",
                    "say what it shows: ![what it shows](FILE), or alt=",
                )


INVARIANTS = (links_resolve, pictures_have_a_text)
