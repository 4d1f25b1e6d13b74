"""Slides as one HTML file: pieces of a notebook as HTML, and the page around them.

Text and code are turned into HTML by nbconvert's own filters, pictures are kept as they are stored.
The page loads nothing: style, script and pictures are in it, and its content security policy
forbids the rest.  Links lose their targets, for there is nothing beside the file to go to.

Used by ``labapp.course.slides``; depends on nbconvert (which comes with JupyterLab), Beautiful Soup
and Jinja (which come with nbconvert), and on the files in ``labapp/course/templates``.
"""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from labapp.course.notebooks import PICTURES, Node

if TYPE_CHECKING:
    from labapp.course.slides import Slide

SVG = "image/svg+xml"
DIAGRAM = "diagram"
"""Class of a diagram, in words."""
_EDGE = re.compile(r"^(?P<one>.+?)\s*(?:-->|-\.->)(?:\|(?P<says>[^|]*)\|)?\s*(?P<other>.+)$")
_NODE = re.compile(r"^(?P<name>\w+)(?:[\[{]\(?\"?(?P<label>.*?)\"?\)?[\]}])?$")
_BREAK = re.compile(r"<br\s*/?>")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table, diagram or heading of a text.

    Args:
        html: ready to be shown.
        words: plain text.
        level: of a heading; 0 for what is none.
        tag: name of its element.
    """

    html: str
    words: str
    level: int
    tag: str

    @property
    def is_paragraph(self) -> bool:
        """Whether it is plain running text."""
        return self.tag == "p"

    @property
    def is_diagram(self) -> bool:
        """Whether it is a diagram."""
        return self.tag == DIAGRAM


@dataclass(frozen=True, slots=True)
class Output:
    """A stored output of a cell.

    Args:
        html: ready to be shown; "" for nothing.
        words: the same as plain text, as it is stored.
        is_picture: whether there is a picture in it.
    """

    html: str
    words: str
    is_picture: bool = False


def blocks(source: str) -> list[Block]:
    """The blocks of a Markdown text, in order."""
    from bs4 import BeautifulSoup, Tag
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    soup = BeautifulSoup(MarkdownWithMath(renderer=renderer).render(source), "html.parser")
    for link in soup.find_all("a"):
        link.unwrap()
    return [_block(tag) for tag in soup.children if isinstance(tag, Tag)]


def _block(tag: Any) -> Block:
    if tag.find("pre", class_="mermaid"):
        for line in tag.find_all("br"):  # in a label; a parser of HTML cannot know that
            line.replace_with("<br>")
        words = tag.get_text().strip()
        return Block(diagram(words), words, 0, DIAGRAM)
    words = tag.get_text().strip()
    heading = re.fullmatch(r"h(\d)", tag.name)
    return Block(str(tag), words, int(heading[1]) if heading else 0, tag.name)


def diagram(source: str) -> str:
    """A Mermaid flowchart as a list of its arrows; what is none, as it is written.

    Mermaid itself is a library of 3 MB that draws in the browser; a list of arrows can be read by
    everybody, printed and searched.
    """
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    labels: dict[str, str] = {}
    arrows = []
    for line in lines[1:]:
        edge = _EDGE.match(line)
        ends = [_NODE.match(edge[name].strip()) for name in ("one", "other")] if edge else [None]
        if edge is None or None in ends:
            return f'<pre class="said">{escape(source)}</pre>'
        names = [end["name"] for end in ends if end]
        labels |= {end["name"]: end["label"] for end in ends if end and end["label"]}
        arrows.append((names[0], (edge["says"] or "").strip().strip('"'), names[1]))
    return _arrows([(labels.get(a, a), says, labels.get(b, b)) for a, says, b in arrows])


def _arrows(arrows: Iterable[tuple[str, str, str]]) -> str:
    rows = (
        f'<li><span class="node">{_label(one)}</span>'
        f'<span class="arrow">{escape(says)} <span aria-label="to">→</span></span>'
        f'<span class="node">{_label(other)}</span></li>'
        for one, says, other in arrows
    )
    return f'<ul class="{DIAGRAM}">{"".join(rows)}</ul>'


def _label(words: str) -> str:
    """Its first line as it is, the others smaller."""
    head, *rest = _BREAK.split(words)
    small = "".join(f" <small>{escape(line)}</small>" for line in rest)
    return f"{escape(head)}{small}"


def choices(options: Sequence[str]) -> str:
    """The choices of a prediction."""
    return f'<ul class="choices">{"".join(f"<li>{escape(one)}</li>" for one in options)}</ul>'


def code(source: str) -> str:
    """Python, coloured."""
    from nbconvert.filters import Highlight2HTML

    highlight: Any = Highlight2HTML  # nbconvert is not typed here
    return str(highlight(pygments_lexer="ipython3")(source))


def output(node: Node) -> Output:
    """One stored output."""
    if node.output_type == "stream":
        return Output(_said(str(node.text)), str(node.text))
    if node.output_type == "error":
        words = f"{node.ename}: {node.evalue}"
        return Output(_said(words), words)
    data = {mime: _joined(value) for mime, value in node.get("data", {}).items()}
    words = data.get("text/plain", "")
    picture = next((mime for mime in PICTURES if mime in data), None)
    if picture:
        return Output(_figure(picture, data[picture], words), words, is_picture=True)
    if "text/html" in data:
        return Output(f'<div class="stored">{data["text/html"]}</div>', words)
    return Output(_said(words), words)


def _joined(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _said(words: str) -> str:
    """Printed text; a program in its colours."""
    if not words.strip():
        return ""
    return code(words) if _is_python(words) else f'<pre class="said">{escape(words.rstrip())}</pre>'


def _is_python(words: str) -> bool:
    if len(words.splitlines()) < 4:
        return False
    try:
        tree = ast.parse(words)
    except (SyntaxError, ValueError):
        return False
    return any(not isinstance(node, ast.Expr) for node in tree.body)


def _figure(mime: str, picture: str, words: str) -> str:
    """A picture in a world of its own (no style or id of it meets the page's), with its text."""
    raw = base64.b64encode(picture.encode()).decode() if mime == SVG else "".join(picture.split())
    alt = escape(words or "picture", quote=True)
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f'<figure><img alt="{alt}" src="data:{mime};base64,{raw}">{caption}</figure>'


@lru_cache
def template(name: str) -> str:
    """A file of ours that the page is made of."""
    return (files("labapp.course") / "templates" / name).read_text(encoding="utf-8")


def document(slides: Sequence[Slide]) -> str:
    """The whole page."""
    from jinja2 import Environment

    title = next((slide.heading for slide in slides if slide.heading), "slides")
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template("slides.html"))
        .render(
            title=title,
            slides=slides,
            style=template("slides.css") + colours(),
            script=template("slides.js"),
        )
    )


def colours() -> str:
    """Style of coloured code: dark on white, legible on a pale projector."""
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    style: str = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    return style
