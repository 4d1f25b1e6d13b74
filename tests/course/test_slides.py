"""`lab slides`: every lesson as one file that loads nothing, with every verdict as it is stored."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from labapp.course import slides_page as page
from labapp.course.notebooks import CodeCell, code_cells, notebooks_in, read
from labapp.course.slides import CHOICE, Slide, find, slides_of, write
from labapp.errors import LabError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = notebooks_in(NOTEBOOKS)
LOADING = ("src", "href", "poster", "data", "srcset", "action", "background")
"""Attributes by which a page loads something."""
IN_IT = "data:"

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


@cache
def soup_of(lesson: Path) -> BeautifulSoup:
    """The page of a lesson."""
    return BeautifulSoup(page.document(slides_of(read(lesson))), "html.parser")


def squeezed(text: str) -> str:
    """A text without what only lays it out: spaces, and the symbols beside yes and no."""
    return re.sub(r"[\s✓✗?·]", "", text)


def on_slides(soup: BeautifulSoup) -> list[str]:
    """What a room sees of each slide, squeezed."""
    return [squeezed(found.get_text()) for found in soup.select(".content")]


def cells_of(lesson: Path, kind: str) -> list[CodeCell]:
    """The cells of experiments that hold their run (flip) or their prediction (predict)."""
    cells = [cell for cell in code_cells(read(lesson)) if "experiment" in cell.lab]
    if kind == "flip":
        return [cell for cell in cells if "flip" in cell.lab]
    return [cell for cell in cells if "predict(" in cell.source]


def words(cell: CodeCell) -> list[str]:
    """The lines of a cell's stored outputs."""
    return [
        line for node in cell.node.outputs for line in page.output(node).words.splitlines() if line
    ]


# --- every lesson


@every_lesson
def test_a_page_loads_nothing(lesson: Path) -> None:
    soup = soup_of(lesson)
    loaded = [tag[name] for tag in soup.find_all(True) for name in LOADING if tag.has_attr(name)]
    assert all(str(target).startswith(IN_IT) for target in loaded), loaded
    styles = "".join(tag.get_text() for tag in soup.find_all("style"))
    assert "@import" not in styles
    assert "url(" not in styles
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert isinstance(policy, Tag)
    assert str(policy["content"]).startswith("default-src 'none'")


@every_lesson
def test_every_experiments_outcome_is_on_a_slide_as_it_is_stored(lesson: Path) -> None:
    shown = on_slides(soup_of(lesson))
    experiments = cells_of(lesson, "flip")
    assert experiments
    for cell in experiments:
        wanted = [squeezed(line) for line in words(cell)]
        assert any(all(line in slide for line in wanted) for slide in shown), words(cell)


@every_lesson
def test_every_prediction_is_a_question_with_its_choices(lesson: Path) -> None:
    asked = [slide for slide in slides_of(read(lesson)) if slide.kind == "question"]
    predictions = cells_of(lesson, "predict")
    assert len(asked) == len(predictions)
    for slide, cell in zip(asked, predictions, strict=True):
        question, *choices = words(cell)
        assert slide.heading == question
        listed = BeautifulSoup(slide.body[0], "html.parser").find_all("li")
        assert [CHOICE + one.get_text() for one in listed] == choices


@every_lesson
def test_no_answer_comes_before_its_question(lesson: Path) -> None:
    answers = [slide.answer for slide in slides_of(read(lesson)) if slide.answer]
    assert len(answers) == len(cells_of(lesson, "predict"))
    waiting = 0
    for slide in slides_of(read(lesson)):
        waiting += (slide.kind == "question") - bool(slide.answer)
        assert waiting in (0, 1), slide.heading


@every_lesson
def test_every_stored_picture_is_there_with_its_text(lesson: Path) -> None:
    cells = [cell for cell in code_cells(read(lesson)) if not cell.lab.get("free")]
    stored = [page.output(node) for cell in cells for node in cell.node.outputs]
    pictures = [output.words for output in stored if output.is_picture]
    figures = soup_of(lesson).find_all("figure")
    assert [figure.figcaption.get_text() for figure in figures] == pictures
    assert [figure.img["alt"] for figure in figures] == pictures


@every_lesson
def test_the_code_of_each_run_is_folded_below_its_slide(lesson: Path) -> None:
    folded = [squeezed(found.get_text()) for found in soup_of(lesson).select("details.notes")]
    for cell in cells_of(lesson, "flip"):
        assert any(squeezed(cell.source) in note for note in folded)
    assert not soup_of(lesson).select("details[open]")


@every_lesson
def test_every_heading_is_on_a_slide_and_every_slide_has_a_name(lesson: Path) -> None:
    slides = slides_of(read(lesson))
    texts = [cell.source for cell in read(lesson).cells if cell.cell_type == "markdown"]
    headings = [block.words for text in texts for block in page.blocks(text) if block.level]
    assert [slide.heading for slide in slides if slide.kind in ("title", "section")] == headings
    assert all(slide.name for slide in slides)
    assert all(slide.heading or slide.body for slide in slides)


# --- what becomes a slide


def made(*cells: Any) -> list[Slide]:
    """The slides of a notebook with these cells."""
    return slides_of(v4.new_notebook(cells=list(cells)))


def text(source: str, **lab: Any) -> Any:
    """A cell of text."""
    return v4.new_markdown_cell(source, metadata={"lab": lab} if lab else {})


def ran(source: str, said: str = "", **lab: Any) -> Any:
    """A code cell that printed this."""
    outputs = [v4.new_output("stream", name="stdout", text=said)] if said else []
    return v4.new_code_cell(source, outputs=outputs, metadata={"lab": lab} if lab else {})


def test_a_heading_brings_its_first_paragraph_and_folds_the_rest() -> None:
    [slide] = made(text("## One\n\nfirst\n\nsecond\n\n- third"))
    assert (slide.heading, slide.body) == ("One", ["<p>first</p>"])
    assert "second" in "".join(slide.notes)
    assert "third" in "".join(slide.notes)


def test_a_list_or_table_belongs_to_the_paragraph_before_it() -> None:
    [slide] = made(text("## One\n\nthese:\n\n- a\n- b\n\nlater"))
    assert [piece[:3] for piece in slide.body] == ["<p>", "<ul"]
    assert "later" in slide.notes[0]


def test_what_a_cell_printed_goes_with_the_text_before_it() -> None:
    [slide] = made(text("## One\n\nlook"), ran("print(3)", "3\n"))
    assert "3" in slide.body[1]
    assert "print" in slide.notes[0]


def test_a_long_output_has_a_slide_of_its_own() -> None:
    assert len(made(text("## One\n\nlook"), ran("x", "line\n" * 30))) == 2


def test_setup_cells_play_cells_and_silent_cells_make_none() -> None:
    cells = (ran("a", "out", setup=True), ran("b", "out", free=True), ran("c"))
    assert made(*cells) == []


def test_an_author_can_have_any_cell_shown_or_left_out() -> None:
    assert made(text("## One", slide=False), ran("x", "3", slide=False)) == []
    [slide] = made(ran("def tour(): ...", setup=True, slide=True))
    assert "tour" in slide.body[0]
    [whole] = made(text("## One\n\nfirst\n\nsecond", slide=True))
    assert len(whole.body) == 2


@pytest.mark.parametrize("wish", ["yes", 1, {}])
def test_a_wish_that_is_neither_true_nor_false_is_told(wish: Any) -> None:
    with pytest.raises(LabError, match=r"lab\.slide is") as caught:
        made(text("## One", slide=wish))
    assert "true" in caught.value.hint


def test_printed_markup_stays_text() -> None:
    [slide] = made(ran("x", "<script>alert(1)</script>"))
    assert "<script>" not in page.document([slide]).replace("<script>\n", "", 1)


def test_links_lose_their_targets_and_keep_their_words() -> None:
    [block] = page.blocks("see [the appendix](02a_shutdown.ipynb) and <https://example.org>")
    assert block.html == "<p>see the appendix and https://example.org</p>"


# --- diagrams


def test_a_flowchart_is_a_list_of_its_arrows() -> None:
    source = 'flowchart LR\n  A["API"] -->|"sends, it"| B[("Redis<br>queue")]\n  B -.-> A'
    [first, second] = BeautifulSoup(page.diagram(source), "html.parser").find_all("li")
    assert first.get_text(" ", strip=True) == "API sends, it → Redis queue"
    assert second.get_text(" ", strip=True) == "Redis queue → API"


def test_a_question_in_a_flowchart_is_a_node_like_any_other() -> None:
    source = 'flowchart TD\n  Q{"may it<br/>go well?"} -->|no| D["aside"]'
    arrow = BeautifulSoup(page.diagram(source), "html.parser").li
    assert arrow is not None
    assert arrow.get_text(" ", strip=True) == "may it go well? no → aside"


@given(st.text(alphabet='AB -->|.[]()"\n<br>&x', max_size=60))
def test_a_diagram_of_another_kind_is_shown_as_it_is_written(source: str) -> None:
    shown = BeautifulSoup(page.diagram(source), "html.parser")
    assert [tag.name for tag in shown.children if isinstance(tag, Tag)] in (["ul"], ["pre"])


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_no_diagram_of_a_lesson_is_left_as_source(lesson: Path) -> None:
    assert "flowchart" not in soup_of(lesson).get_text()


# --- the command


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command, in the project's folder."""
    return subprocess.run(
        [sys.executable, "-m", "labapp", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("name", ["02", "2", "crash", "02_crash", " 02 "])
def test_a_lesson_is_known_by_number_and_by_name(name: str) -> None:
    assert find(NOTEBOOKS, name).stem == "02_crash"


def test_an_appendix_and_a_case_are_known_too() -> None:
    assert find(NOTEBOOKS, "02a").stem == "02a_shutdown"
    assert find(NOTEBOOKS, "kombu_lost_between").parent.name == "cases"


def test_the_command_writes_one_file_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "talk.html"
    done = lab("slides", "02", "--output", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}\n"), done.stderr
    assert file.read_text().startswith("<!doctype html>")


def test_without_an_output_the_file_goes_to_build(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "02_crash.ipynb").write_bytes((NOTEBOOKS / "02_crash.ipynb").read_bytes())
    assert write(tmp_path, "02") == tmp_path / "build" / "slides" / "02_crash.html"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99"], "there is no lesson '99'"),
        (["02", "--output", "/proc/slides.html"], "/proc/slides.html cannot be written"),
        (["02", "--output", "notebooks"], "notebooks cannot be written: Is a directory"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments: list[str], message: str) -> None:
    done = lab("slides", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    first, hint = done.stderr.splitlines()
    assert message in first
    assert hint.strip()


def test_a_notebook_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_crash.ipynb").write_text("{")
    with pytest.raises(LabError, match="is not a notebook"):
        write(tmp_path, "02")
