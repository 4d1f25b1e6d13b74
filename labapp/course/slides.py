"""``lab slides NN``: a lesson as slides, made from the notebook's own cells.

Which cells become slides is decided here, from what each cell is for; nothing needs a tag:

* a heading makes a slide, with the first paragraph below it and the list, table or diagram that
  belongs to it; text between two cells makes one without a heading of its own;
* a prediction is a question with its choices; what it was stands with the verdict;
* outputs are shown as they are stored: verdicts, tables, pictures with their text;
* the code of a cell, and the rest of a text, is the speaker's note of its slide: folded.

Cells that set up, cells to play in, and cells without an output make none.  An author who wants it
otherwise says so in the cell's metadata: ``"lab": {"slide": true}`` or ``false``.

Used by ``labapp.cli``; depends on the notebooks as files and on ``labapp.course.slides_page``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labapp.course import slides_page as page
from labapp.course.notebooks import CodeCell, Node, notebooks_in, read
from labapp.course.stored_outputs import PLACEHOLDER
from labapp.errors import LabError

CHOICE = "( ) "
"""How each choice of a prediction stands in its stored text."""
UNSAID = "You did not say. "
"""What a stored answer begins with: nobody had chosen."""
LONG = 12
"""Lines of text from which on an output gets a slide of its own."""
FOLDER = Path("build/slides")
"""Where the file goes, in the project's folder, if nobody says."""


@dataclass(slots=True)
class Slide:
    """One slide; every piece but ``heading`` and ``section`` is HTML.

    Args:
        kind: title, section, text, question or shown (outputs).
        section: heading of the part of the lesson that it belongs to; plain text.
        heading: its own, if it has one; plain text.
        body: what all see, in order.
        question: what was asked before these outputs; plain text.
        answer: what a prediction should have been; plain text.
        notes: for the speaker.
        holds_output: whether there is an output on it.
        takes_text: whether the text that comes next explains it, and goes on it.
    """

    kind: str
    section: str = ""
    heading: str = ""
    body: list[str] = field(default_factory=list)
    question: str = ""
    answer: str = ""
    notes: list[str] = field(default_factory=list)
    holds_output: bool = False
    takes_text: bool = False

    @property
    def name(self) -> str:
        """What a screen reader calls it."""
        return self.heading or self.section


def find(folder: Path, stage: str) -> Path:
    """The notebook of a stage, an appendix or a case: "02", "02a", "crash", "02_crash".

    Raises:
        LabError: there is none, with those that there are.
    """
    wanted = stage.strip().lower()
    known = {path.stem: path for path in notebooks_in(folder)}
    for stem, path in known.items():
        number, _, name = stem.partition("_")
        if wanted in (stem, name, number, number.removeprefix("0")):
            return path
    lessons = [stem.partition("_")[0] for stem in known if re.match(r"\d\d", stem)]
    raise LabError(
        f"there is no lesson {stage!r}", hint=f"lessons: {', '.join(lessons)}; or a case's name"
    )


def write(root: Path, stage: str, output: Path | None = None) -> Path:
    """Make the slides of a lesson; the file that was written.

    Args:
        root: the project's folder.
        stage: as ``find`` takes it.
        output: the file; by default one in ``build/slides``.

    Raises:
        LabError: there is no such lesson, its notebook cannot be read, or the file not written.
    """
    notebook = find(root / "notebooks", stage)
    text = page.document(slides_of(read(notebook)))
    file = output or root / FOLDER / f"{notebook.stem}.html"
    try:
        if output is None:
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{file} cannot be written: {error.strerror}", hint="name another file with --output"
        ) from None
    return file


def slides_of(notebook: Node) -> list[Slide]:
    """The slides of a notebook, in order.

    Raises:
        LabError: a cell says of ``slide`` something else than true or false.
    """
    deck = Deck()
    for cell in notebook.cells:
        wanted = wish(cell)
        if wanted is False:
            continue
        if cell.cell_type == "markdown":
            deck.read(str(cell.source), whole=bool(wanted))
        elif cell.cell_type == "code":
            deck.show(CodeCell(0, cell), forced=bool(wanted))
    return deck.slides


def wish(cell: Node) -> bool | None:
    """What the author says of this cell: a slide, none, or nothing.

    Raises:
        LabError: something else than true or false.
    """
    wanted = cell.metadata.get("lab", {}).get("slide")
    if wanted is None or isinstance(wanted, bool):
        return wanted
    raise LabError(
        f"cell {cell.get('id', '?')}: lab.slide is {wanted!r}",
        hint="write true for a slide, false for none, or leave it out",
    )


class Deck:
    """Slides in the making: cell by cell, in the order of the notebook."""

    def __init__(self) -> None:
        self.slides: list[Slide] = []
        self._section = ""
        self._asked = ""

    def read(self, source: str, *, whole: bool = False) -> None:
        """Take a text cell: a slide for each heading in it, one where there is none.

        Args:
            source: Markdown.
            whole: show all of it, and not just what comes first.
        """
        for heading, blocks in parts(page.blocks(source)):
            level, title = heading
            shown = len(blocks) if whole else first(blocks, paragraphs=2 if level == 1 else 1)
            if title:
                self._section = title
            slide = self._for_text(level, title)
            slide.body += [block.html for block in blocks[:shown]]
            slide.notes += [block.html for block in blocks[shown:]]
            slide.takes_text = False

    def _for_text(self, level: int, title: str) -> Slide:
        """The slide for a text: the one that it explains, or a new one."""
        if not level and self.slides and self.slides[-1].takes_text:
            return self.slides[-1]
        kind = {0: "text", 1: "title"}.get(level, "section")
        self.slides.append(Slide(kind, self._section, title))
        return self.slides[-1]

    def show(self, cell: CodeCell, *, forced: bool = False) -> None:
        """Take a code cell: its question, its answer or its outputs.

        Args:
            cell: the cell.
            forced: show it even if it sets up, is to play in, or has no output: its code, then.
        """
        passed_over = cell.lab.get("setup") or cell.lab.get("free")
        outputs = [] if passed_over and not forced else list(shown_outputs(cell))
        words = "\n".join(output.words for output in outputs)
        if CHOICE in words:
            self._ask(cell, words)
        elif words.startswith(UNSAID) and self.slides:
            self.slides[-1].answer = words.removeprefix(UNSAID).strip()
        elif outputs:
            self._display(cell, outputs)
        elif forced:
            self._place([page.code(cell.source)], len(cell.source.splitlines()))

    def _ask(self, cell: CodeCell, words: str) -> None:
        lines = words.splitlines()
        question = " ".join(line for line in lines if not line.startswith(CHOICE)).strip()
        choices = [line.removeprefix(CHOICE) for line in lines if line.startswith(CHOICE)]
        slide = Slide("question", self._section, question, [page.choices(choices)])
        self.slides.append(slide)
        self._asked = question

    def _display(self, cell: CodeCell, outputs: list[page.Output]) -> None:
        if "flip" in cell.lab:  # the run itself: its verdict stands alone
            slide = Slide("shown", self._section, question=self._asked, holds_output=True)
            self.slides.append(slide)
            slide.body += [output.html for output in outputs]
            self._asked = ""
        else:
            lines = sum(len(output.words.splitlines()) for output in outputs)
            self._place([output.html for output in outputs], lines)
            picture = any(output.is_picture for output in outputs)
            self.slides[-1].takes_text = not picture and lines <= LONG
        self.slides[-1].notes.append(page.code(cell.source))

    def _place(self, pieces: list[str], lines: int) -> None:
        """Put an output with the text before it, if there is one that waits for it."""
        last = self.slides[-1] if self.slides else None
        waits = last and last.kind in ("text", "section") and not last.holds_output
        if not last or not waits or lines > LONG:
            last = Slide("shown", self._section)
            self.slides.append(last)
        last.body += pieces
        last.holds_output = True


def parts(blocks: list[page.Block]) -> Iterator[tuple[tuple[int, str], list[page.Block]]]:
    """The blocks of a text by heading: its level (0 for none) and words, and what stands below."""
    heading, below = (0, ""), list[page.Block]()
    for block in blocks:
        if block.level:
            if below or heading[0]:
                yield heading, below
            heading, below = (block.level, block.words), []
        else:
            below.append(block)
    if below or heading[0]:
        yield heading, below


def first(blocks: list[page.Block], paragraphs: int) -> int:
    """How many of these blocks a slide shows: what comes first, with what belongs to it."""
    left = paragraphs
    listed = False
    for number, block in enumerate(blocks):
        if block.is_paragraph:
            if listed or not left:
                return number
            left -= 1
        else:
            listed = listed or not block.is_diagram
    return len(blocks)


def shown_outputs(cell: CodeCell) -> Iterator[page.Output]:
    """A cell's stored outputs that say something; those that differ from run to run do not."""
    for node in cell.node.outputs:
        output = page.output(node)
        if output.html and (output.is_picture or output.words.strip() != PLACEHOLDER):
            yield output
