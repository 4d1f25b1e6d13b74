"""Markdown as its reader sees it: links, pictures, anchors, and the prose of each paragraph.

Parsed with mistune, as nbconvert does it; pure.  Used by ``labapp.course.verify``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, TypeAlias

import mistune

Token: TypeAlias = dict[str, Any]
"""A node of mistune's syntax tree; those in it are its ``children``."""

PARAGRAPHS = frozenset({"paragraph", "block_text", "table_head", "table_row", "block_html"})
"""What a reader takes for one statement; a citation in it is about all of it."""
_NO_PROSE = frozenset({"codespan", "link", "image"})
_CITED = re.compile(r"<!--\s*cited:\s*(\S.*?)\s*-->", re.DOTALL)
_parse = mistune.create_markdown(renderer=None, plugins=["table"])


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its address, and what is said to those who do not see it."""

    source: str
    alt: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph, an item of a list or a row of a table.

    Args:
        prose: its text without code, links and pictures.
        citations: what its comments ``<!-- cited: SOURCE -->`` name.
    """

    prose: str
    citations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file, or a Markdown cell of a notebook.

    Args:
        where: how a problem names it.
        path: of its file, from the project's folder.
        headings: as plain text, in order.
        names: which HTML in it gives to places.
        links: targets, as they are written.
        pictures: Markdown's and HTML's.
        paragraphs: all but headings and blocks of code.
    """

    where: str
    path: str
    headings: tuple[str, ...]
    names: frozenset[str]
    links: tuple[str, ...]
    pictures: tuple[Picture, ...]
    paragraphs: tuple[Paragraph, ...]

    @property
    def anchors(self) -> frozenset[str]:
        """What may stand after a ``#`` to lead into it, on GitHub."""
        seen: dict[str, int] = {}
        found = set(self.names)
        for heading in self.headings:
            slug = github_slug(heading)
            count = seen.get(slug, 0)
            found.add(f"{slug}-{count}" if count else slug)
            seen[slug] = count + 1
        return frozenset(found)

    @property
    def notebook_anchors(self) -> frozenset[str]:
        """The same in a notebook: JupyterLab and nbconvert only replace spaces."""
        return self.names | {heading.replace(" ", "-") for heading in self.headings}


def github_slug(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def document(where: str, path: str, text: str) -> Document:
    """A Markdown text as its reader sees it.

    Args:
        where: how a problem names it.
        path: of its file, from the project's folder.
        text: the Markdown.
    """
    parsed = _parse(text)
    tokens = list(_all(parsed if isinstance(parsed, list) else []))  # without a renderer: a list
    html = _Html()
    for token in tokens:
        if token["type"] in ("block_html", "inline_html"):
            html.feed(token["raw"])
    links = [str(t["attrs"]["url"]) for t in tokens if t["type"] == "link"]
    pictures = [
        Picture(t["attrs"]["url"], _plain(t["children"])) for t in tokens if t["type"] == "image"
    ]
    return Document(
        where,
        path,
        headings=tuple(_plain(t["children"]) for t in tokens if t["type"] == "heading"),
        names=frozenset(html.names),
        links=(*links, *html.links),
        pictures=(*pictures, *html.pictures),
        paragraphs=tuple(_paragraph(token) for token in tokens if token["type"] in PARAGRAPHS),
    )


def _all(tokens: list[Token]) -> Iterator[Token]:
    """Each token, then those in it."""
    for token in tokens:
        yield token
        yield from _all(token.get("children", []))


def _plain(tokens: list[Token]) -> str:
    """The text of a heading or of a picture, its code included."""
    return "".join(str(t["raw"]) for t in _all(tokens) if t["type"] in ("text", "codespan"))


def _paragraph(token: Token) -> Paragraph:
    raw = "".join(str(t.get("raw", "")) for t in _all([token]) if t["type"].endswith("_html"))
    if token["type"] == "block_html":
        html = _Html()
        html.feed(raw)
        prose = " ".join(html.text)
    else:
        prose = "".join(_prose(token.get("children", [])))
    return Paragraph(prose, tuple(_CITED.findall(raw)))


def _prose(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token["type"] == "text":
            yield str(token["raw"])
        elif token["type"] in _NO_PROSE or token["type"] in ("softbreak", "linebreak"):
            yield " "
        else:
            yield from _prose(token.get("children", []))
            if token["type"] == "table_cell":
                yield " | "


class _Html(HTMLParser):
    """Links, pictures, names and text of the HTML in a document."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[Picture] = []
        self.names: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {key: value or "" for key, value in attrs}
        if "href" in told:
            self.links.append(told["href"])
        if tag == "img":
            self.pictures.append(Picture(told.get("src", ""), told.get("alt", "")))
        self.names += [told[key] for key in ("id", "name") if told.get(key)]

    def handle_data(self, data: str) -> None:
        self.text.append(data)
