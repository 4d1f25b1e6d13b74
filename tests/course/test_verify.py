"""`lab verify` without a lab: the course keeps its rules, and a breach is told with its mending."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from verify_bench import (
    ROOT,
    Breakage,
    a_folder,
    added,
    all_of,
    copy_course,
    diagnosis_with,
    edited,
    in_cell,
    in_latin_1,
    one_kind_only,
    removed,
    stages_with,
    with_count,
    with_source,
)

from labapp.cli import main
from labapp.course.documents import document
from labapp.course.verify import (
    answers,
    files,
    hints,
    links,
    numbering,
    outputs,
    prose,
    trials,
)
from labapp.course.verify.command import AS_IT_SHOULD_BE, PROBLEMS
from labapp.course.verify.context import Context, Invariant, Problem
from labapp.course.verify.invariants import INVARIANTS

CRASH = "notebooks/02_crash.ipynb"
SHOP = "exercises/02_crash/.starter/shop.py"
LATE_ONLY = "solutions/02_crash/wrong_answers/late_only"
HINT = "A worker is a main process and a pool of children. They can die separately. For each of"
PICTURE = "the picture 'x.svg' has no text"
edited_course = partial(edited, "course.toml")
crash = partial(in_cell, CRASH)


class Breach(NamedTuple):
    """A breach of an invariant, and what must be said of it."""

    invariant: Invariant
    breakage: Breakage
    where: str
    what: str
    fix: str


BREACHES = [
    # numbering
    Breach(
        numbering.numbers_have_no_gaps,
        edited_course('number = "03"', 'number = "04"'),
        "course.toml, stage 04",
        "stage 03 is due",
        "without gaps",
    ),
    Breach(
        numbering.names_are_unique,
        edited_course('title = "Crash"', 'title = "First queue"'),
        "course.toml",
        "two stages have the title 'First queue'",
        "rename one",
    ),
    Breach(
        numbering.questions_are_questions,
        edited_course("its worker dies?", "its worker dies."),
        "course.toml, stage 02",
        "is no question",
        "question mark",
    ),
    Breach(
        numbering.stages_are_those_of_the_code,
        stages_with("03", lambda _: None),
        "course.toml, stage 03",
        "the code does not know it",
        "add it to STAGES in labapp/course/stages.py",
    ),
    Breach(
        numbering.stages_are_those_of_the_code,
        edited_course('number = "03"', 'number = "04"'),
        "course.toml",
        "lacks stage 03",
        "add its [[stage]]",
    ),
    Breach(
        numbering.stages_are_those_of_the_code,
        edited_course('name = "crash"', 'name = "crashes"'),
        "course.toml, stage 02",
        "it is 02_crash in the code",
        "one name",
    ),
    Breach(
        numbering.stages_are_those_of_the_code,
        stages_with("02", lambda stage: replace(stage, trials=())),
        "course.toml, stage 02",
        "it has an exercise, and the code knows nothing of",
        "trials in its module, or neither",
    ),
    Breach(
        numbering.notebooks_are_listed,
        removed("notebooks/02a_shutdown.ipynb"),
        "notebooks/02a_shutdown.ipynb",
        "it is not there",
        "write it",
    ),
    Breach(
        numbering.notebooks_are_listed,
        edited_course("kombu_worker_exit = 30\n", ""),
        "notebooks/cases/kombu_worker_exit.ipynb",
        "does not list it",
        "to the [cases]",
    ),
    Breach(
        numbering.notebooks_are_listed,
        edited_course(', "02a_shutdown" = 55', ""),
        "notebooks/02a_shutdown.ipynb",
        "does not list it",
        "to the notebooks of its stage",
    ),
    Breach(
        numbering.notebooks_are_listed,
        added(CRASH, "}"),
        CRASH,
        "is not a notebook that can be read",
        "git checkout",
    ),
    Breach(
        numbering.notebooks_are_named_as_their_stage,
        edited_course('"02_crash" = 55, "02a_shutdown" = 55', '"02a_shutdown" = 55'),
        "course.toml, stage 02",
        "its lesson is called 02a_shutdown",
        "list 02_crash first",
    ),
    Breach(
        numbering.notebooks_are_named_as_their_stage,
        edited_course('"02a_shutdown"', '"03a_shutdown"'),
        "course.toml, stage 02",
        "its appendix is called 03a_shutdown",
        "call it 02a_",
    ),
    # trials
    Breach(
        trials.faults_are_the_trials,
        edited_course('    "cold shutdown",\n', ""),
        "course.toml, stage 02",
        "not what the check tries",
        '"child killed", "cold shutdown", "poison order"]',
    ),
    Breach(
        trials.trials_begin_without_a_fault,
        stages_with("02", lambda stage: replace(stage, trials=stage.trials[::-1])),
        "labapp/course/stage_02.py",
        "'poison order' comes first",
        "put a trial without a fault first",
    ),
    Breach(
        trials.trials_begin_without_a_fault,
        stages_with("02", lambda stage: replace(stage, trials=stage.trials[:1] * 2)),
        "labapp/course/stage_02.py",
        "'no fault' has no fault",
        "give every other trial one",
    ),
    Breach(
        trials.trials_begin_without_a_fault,
        stages_with(
            "02",
            lambda stage: replace(stage, trials=[replace(stage.trials[0], exactly_once=False)]),
        ),
        "labapp/course/stage_02.py",
        "'no fault' allows duplicates",
        "demand exactly once",
    ),
    Breach(
        trials.trials_and_codes_are_unique,
        stages_with("02", lambda stage: replace(stage, trials=[*stage.trials, stage.trials[-1]])),
        "labapp/course/stage_02.py",
        "two trials are called 'poison order'",
        "rename one",
    ),
    Breach(
        trials.trials_and_codes_are_unique,
        diagnosis_with(code="no-bound"),
        "labapp/course/stage_02.py",
        "two diagnoses are called 'no-bound'",
        "rename one",
    ),
    Breach(
        trials.diagnoses_are_short_sentences,
        diagnosis_with(code="wordy", says="so " * 120 + "on."),
        "labapp/course/stage_02.py, wordy",
        "it has 363 characters",
        "shorten it to 340",
    ),
    Breach(
        trials.diagnoses_are_short_sentences,
        diagnosis_with(code="open", says="It was lost"),
        "labapp/course/stage_02.py, open",
        "no sentence",
        "end it with a full stop",
    ),
    Breach(
        trials.diagnoses_are_short_sentences,
        diagnosis_with(code="closed", look="the table."),
        "labapp/course/stage_02.py, closed",
        "ends with a full stop",
        "drop it",
    ),
    Breach(
        trials.diagnoses_send_to_places_that_exist,
        diagnosis_with(code="lost-way", look=f"{CRASH}, 'No such section'"),
        "labapp/course/stage_02.py, lost-way",
        "has no section 'No such section'",
        "name one of its headings",
    ),
    Breach(
        trials.diagnoses_send_to_places_that_exist,
        diagnosis_with(code="lost-way", look="notebooks/09_gone.ipynb"),
        "labapp/course/stage_02.py, lost-way",
        "notebooks/09_gone.ipynb, which is not there",
        "name one that is",
    ),
    # files
    Breach(
        files.exercises_are_complete,
        removed("exercises/02_crash/README.md"),
        "exercises/02_crash/README.md",
        "not there",
        "what the answer must survive",
    ),
    Breach(files.exercises_are_complete, removed(SHOP), SHOP, "not there", "git checkout"),
    Breach(
        files.exercises_are_complete,
        removed("exercises/02_crash/shop.py"),
        "exercises/02_crash/shop.py",
        "not there",
        "`lab reset 02`",
    ),
    Breach(files.exercises_are_complete, a_folder(SHOP), SHOP, "not there", "git checkout"),
    Breach(
        files.exercises_are_their_starters,
        added("exercises/02_crash/shop.py", "\n# mine\n"),
        "exercises/02_crash/shop.py",
        "not the one in .starter/",
        "yours? `lab reset 02` brings the starter back",
    ),
    Breach(
        files.exercises_are_their_starters,
        added("exercises/02_crash/helper.py", ""),
        "exercises/02_crash/helper.py",
        "not in .starter/",
        "yours? move it away",
    ),
    Breach(files.starters_have_a_todo, edited(SHOP, "TODO", "NB"), SHOP, "no TODO", "# TODO: ..."),
    Breach(
        files.starters_begin_where_the_stage_before_ended,
        edited("exercises/03_duplicates/.starter/shop.py", "max_retries=2", "max_retries=3"),
        "exercises/03_duplicates/.starter/shop.py",
        "does not do what solutions/02_crash/shop.py does",
        "make the code the same",
    ),
    Breach(
        files.starters_begin_where_the_stage_before_ended,
        edited("exercises/04_idempotency/.starter/shop.py", "task_acks_late=True,", ""),
        "exercises/04_idempotency/.starter/shop.py",
        "does not do what solutions/03_duplicates/shop.py does",
        "make the code the same",
    ),
    Breach(
        files.starters_begin_where_the_stage_before_ended,
        removed("solutions/02_crash/shop.py"),
        "exercises/03_duplicates/.starter",
        "nothing of solutions/02_crash is in it",
        "begin with a module of it",
    ),
    Breach(
        files.solutions_are_complete,
        removed("solutions/01_first_queue/api.py"),
        "solutions/01_first_queue/api.py",
        "not there",
        "add it",
    ),
    # hints and briefs
    Breach(
        hints.there_are_enough_hints,
        edited_course('""",\n    """\n`task_acks_late` and', "\n`task_acks_late` and"),
        "course.toml, stage 02",
        "it has 2 hints",
        "write 3 at least",
    ),
    Breach(
        hints.hints_are_short,
        edited_course(HINT, f"{HINT} {'so ' * 300}"),
        "course.toml, stage 02, hint 1",
        "characters",
        "cut it to 900",
    ),
    Breach(
        hints.hints_are_not_in_the_brief,
        added(
            "exercises/02_crash/README.md",
            f"\n{HINT}\nthe two deaths ask: who still knows about the order, and when was the "
            "broker told to forget it?\n",
        ),
        "course.toml, stage 02, hint 1",
        "it stands in exercises/02_crash/README.md",
        "take it out",
    ),
    Breach(
        hints.briefs_name_every_fault,
        edited("exercises/02_crash/README.md", "| poison order |", "| poison |"),
        "exercises/02_crash/README.md",
        "does not name 'poison order'",
        "add a row `| poison order |",
    ),
    Breach(
        hints.briefs_say_how_to_check,
        edited("exercises/02_crash/README.md", "lab check 02", "lab check"),
        "exercises/02_crash/README.md",
        "how to check",
        "`lab check 02`",
    ),
    # answers
    Breach(
        answers.starters_are_told_a_diagnosis_of_their_stage,
        edited_course('starter = "acknowledged-early"', 'starter = "acknowledged-soon"'),
        "course.toml, stage 02",
        "'acknowledged-soon' is no diagnosis",
        "acknowledged-early",
    ),
    Breach(
        answers.wrong_answers_are_listed,
        added("solutions/02_crash/wrong_answers/prays/shop.py", '"""Prays."""\n'),
        "solutions/02_crash/wrong_answers/prays",
        "does not list it",
        "add `prays = {",
    ),
    Breach(
        answers.wrong_answers_are_listed,
        removed(LATE_ONLY),
        LATE_ONLY,
        "lists it, and it is not there",
        "take it off the list",
    ),
    Breach(
        answers.wrong_answers_fail_as_the_stage_can_tell,
        edited_course('late_only = { fault = "child killed"', 'late_only = { fault = "child dead"'),
        "course.toml, stage 02, late_only",
        "'child dead' is no trial",
        "child killed",
    ),
    Breach(
        answers.wrong_answers_fail_as_the_stage_can_tell,
        edited_course('diagnosis = "gives-up-in-silence"', 'diagnosis = "gives-up"'),
        "course.toml, stage 02, ignores_results",
        "'gives-up' is no diagnosis",
        "gives-up-in-silence",
    ),
    Breach(
        answers.wrong_answers_are_of_several_kinds,
        one_kind_only,
        "course.toml, stage 03",
        "of 1 kind",
        "until there are 4",
    ),
    Breach(
        answers.wrong_answers_say_what_they_believe,
        edited(f"{LATE_ONLY}/shop.py", '"""Acknowledges late', '_ = """Acknowledges late'),
        f"{LATE_ONLY}/shop.py",
        "no docstring",
        "what its author believes",
    ),
    Breach(
        answers.wrong_answers_say_what_they_believe,
        removed(f"{LATE_ONLY}/shop.py"),
        f"{LATE_ONLY}/shop.py",
        "not there",
        "needs the module",
    ),
    Breach(
        answers.wrong_answers_say_what_they_believe,
        added(f"{LATE_ONLY}/shop.py", "def ("),
        f"{LATE_ONLY}/shop.py",
        "no Python",
        "mend line",
    ),
    Breach(
        answers.tables_of_wrong_answers_agree,
        edited("solutions/02_crash/README.md", "| child killed | `returns-too-late`", "| a | `b`"),
        "solutions/02_crash/README.md",
        "of 'default_retry_delay'",
        "| `default_retry_delay` | what it believes | child killed | `returns-too-late` |",
    ),
    Breach(
        answers.tables_of_wrong_answers_agree,
        edited("solutions/02_crash/README.md", "| `late_only` |", "| `late` |"),
        "solutions/02_crash/README.md",
        "no wrong answer 'late'",
        "remove its row",
    ),
    # links and pictures
    Breach(
        links.links_resolve,
        edited("README.md", "(docs/compose.md)", "(docs/composed.md)"),
        "README.md",
        "'docs/composed.md' leads nowhere",
        "a file that is there",
    ),
    Breach(
        links.links_resolve,
        edited("README.md", "(docs/compose.md)", "(docs/compose.md#nowhere)"),
        "README.md",
        "an anchor that is not there: #nowhere",
        "one of: ",
    ),
    Breach(
        links.links_resolve,
        added("docs/compose.md", "\n[below](#below-all)\n"),
        "docs/compose.md",
        "'itself' has an anchor that is not there: #below-all",
        "one of: ",
    ),
    Breach(
        links.links_resolve,
        added("README.md", "\n[out](../elsewhere.md)\n"),
        "README.md",
        "leads out of the project",
        "relative to the document",
    ),
    Breach(
        links.links_resolve,
        added("exercises/02_crash/README.md", "\n<a href='https://nohost'>here</a>\n"),
        "exercises/02_crash/README.md",
        "'https://nohost' is no address",
        "https://HOST/PATH",
    ),
    Breach(
        links.links_resolve,
        added("README.md", "\n<a href='http://[::1'>bad</a>\n"),
        "README.md",
        "is no address",
        "mend it",
    ),
    Breach(
        links.links_resolve,
        crash("text-01", with_source("[gone](../docs/gone.md)")),
        f"{CRASH}, cell text-01",
        "'../docs/gone.md' leads nowhere",
        "a file that is there",
    ),
    Breach(
        links.links_resolve,
        crash("text-01", with_source("[x](02a_shutdown.ipynb#No-such-heading)")),
        f"{CRASH}, cell text-01",
        "not there: #No-such-heading",
        "Warm:-SIGTERM",
    ),
    Breach(
        links.pictures_have_a_text,
        crash("text-01", with_source("![](x.svg)")),
        f"{CRASH}, cell text-01",
        PICTURE,
        "![what it shows](FILE)",
    ),
    Breach(
        links.pictures_have_a_text,
        added("docs/compose.md", '\n<p align="center"><img src="x.svg" alt=" "></p>\n'),
        "docs/compose.md",
        PICTURE,
        "say what it shows",
    ),
    # prose
    Breach(
        prose.numbers_have_a_cell,
        crash("text-12", with_source("It happens in 37 of 100 runs.")),
        f"{CRASH}, cell text-12",
        "shows '37'",
        "<!-- cited: SOURCE -->",
    ),
    Breach(
        prose.numbers_have_a_cell,
        crash("text-12", with_source("| order | charges |\n| --- | --- |\n| order-77 | *2.75* |")),
        f"{CRASH}, cell text-12",
        "shows 'order-77'",
        "let one print it",
    ),
    # outputs
    Breach(
        outputs.lessons_show_and_check_their_exercise,
        crash("code-41", with_source("check('02')")),
        CRASH,
        'no compared cell is check("02")',
        "add one at 'Your turn'",
    ),
    Breach(
        outputs.lessons_show_and_check_their_exercise,
        crash("exercise", with_source("print()")),
        CRASH,
        'no compared cell is lab.exercise("02")',
        "add one at 'Your turn'",
    ),
    Breach(
        outputs.notebooks_keep_the_rules,
        crash("code-05", with_source("# NBVAL_SKIP")),
        CRASH,
        "NBVAL_SKIP",
        "mend the cell, then run `make outputs`",
    ),
    Breach(
        outputs.outputs_are_stored_in_order,
        crash("code-05", with_count(17)),
        CRASH,
        "stored as number 17",
        "run `make outputs`",
    ),
    Breach(
        outputs.cells_that_show_something_have_it_stored,
        crash("code-06", lambda cell: cell.update(outputs=[])),
        CRASH,
        "nothing is stored of it",
        "run `make outputs`",
    ),
    Breach(
        outputs.pictures_are_of_their_code,
        crash("code-02", with_source("changed = True")),
        CRASH,
        "of other code",
        "run `make outputs`",
    ),
]


@pytest.fixture(name="course", scope="module")
def _course() -> Context:
    """The real course, read once for all tests."""
    return Context(ROOT)


def shown(found: Iterable[Problem]) -> str:
    """Problems as the command shows them."""
    return "\n".join(map(str, found))


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_the_course_keeps_the_invariant(invariant: Invariant, course: Context) -> None:
    assert shown(invariant(course)) == ""


@pytest.mark.parametrize(
    "breach", BREACHES, ids=lambda breach: f"{breach.invariant.__name__}: {breach.what}"
)
def test_a_breach_is_told_with_its_mending(breach: Breach, tmp_path: Path) -> None:
    root = copy_course(tmp_path)
    stages = breach.breakage(root)

    found = list(breach.invariant(Context(root, stages) if stages else Context(root)))

    told = [one for one in found if breach.where in one.where and breach.what in one.what]
    assert told, shown(found) or "it was not noticed"
    assert breach.fix in told[0].fix


def test_every_invariant_has_a_breach_here_and_says_in_a_line_what_must_hold() -> None:
    assert {breach.invariant for breach in BREACHES} == set(INVARIANTS)
    for invariant in INVARIANTS:
        assert (invariant.__doc__ or "").splitlines()[0].endswith((".", ".)")), invariant.__name__


# --- numbers in prose

NUMBERS = st.one_of(st.integers(0, 10**6), st.decimals(0, 1000, places=2)).map(str)


def told_missing(text: str, source: str = "", printed: str = "") -> list[str]:
    """The numbers in a Markdown cell that a code cell with this source and output lacks."""
    code = new_code_cell(
        source, execution_count=1, outputs=[new_output("stream", name="stdout", text=printed)]
    )
    context = Context(Path())
    context.__dict__["_read"] = {"n.ipynb": new_notebook(cells=[new_markdown_cell(text), code])}
    return [
        one.what.removeprefix("no cell of the notebook shows ").strip("'")
        for one in prose.numbers_have_a_cell(context)
    ]


@given(told=st.lists(NUMBERS, unique=True), printed=st.lists(NUMBERS, unique=True))
def test_a_number_is_missed_exactly_where_no_cell_shows_it(
    told: list[str], printed: list[str]
) -> None:
    values = {float(number) for number in printed}

    missing = told_missing("It is " + ", then ".join(told) + ".", printed="\n".join(printed))

    assert missing == [number for number in told if float(number) not in values]


@pytest.mark.parametrize(
    ("text", "source", "printed"),
    [
        ("Order-3's charge, in 90 minutes.", "slow('order-3', minutes=90)", ""),
        ("All 1,000 of them, in 5 s.", "", "sent 1000 in 5.0s"),
        ("Answers `202`; [10 others](x.md).", "", ""),
        ("## Ten of 10\n\n```\n4711\n```", "", ""),
        ("Stage 04 and appendix 02a, stages 00 to 03 and stage 05.", "", ""),
        ("Celery 5.7, kombu 5.3.2 and Redis 7; celery#4984.", "", ""),
        ("Measured in 2019: 168. <!-- cited: celery#2481 -->", "", ""),
        ("| a |\n| - |\n| 4711 <!-- cited: the manual --> |", "", ""),
    ],
)
def test_what_has_a_cell_a_citation_or_needs_none_is_not_missed(
    text: str, source: str, printed: str
) -> None:
    assert told_missing(text, source, printed) == []


@pytest.mark.parametrize(
    ("text", "source", "missing"),
    [
        ("3 orders", "charge('order-3')", "3"),
        ("order-3 is lost", "left = 3", "order-3"),
        ("**2.5** hours", "hours = 25", "2.5"),
        ("- a list: 17", "", "17"),
        ("<p>17</p>", "", "17"),
        ("One cited. <!-- cited: x -->\n\nNot this: 17", "", "17"),
        ("> quoted 17", "", "17"),
        ("an empty citation: 17 <!-- cited: -->", "", "17"),
        ("99%", "x = 0.99", "99"),
        ("a 5-minute break", "minutes = 6", "5"),
    ],
)
def test_what_only_looks_like_it_has_a_cell_is_missed(text: str, source: str, missing: str) -> None:
    assert told_missing(text, source) == [missing]


# --- documents


def test_anchors_are_those_of_github() -> None:
    found = document("", "", "# What `delay()` does, and why\n\n## Why?\n\n## Why?\n<a id='x'></a>")

    assert found.anchors == {"what-delay-does-and-why", "why", "why-1", "x"}


def test_links_and_pictures_are_found_in_markdown_and_in_html() -> None:
    found = document(
        "", "", "[a](b.md) ![c](d.png) <img src=e alt=f> [g]\n\n| [h](i) |\n| - |\n\n[g]: j.md"
    )

    assert found.links == ("b.md", "j.md", "i")
    assert [(one.source, one.alt) for one in found.pictures] == [("d.png", "c"), ("e", "f")]


def test_code_is_no_link() -> None:
    assert document("", "", "`[a](b)`\n\n```\n[c](d)\n```\n").links == ()


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/a?b=c#d",
        "mailto:a@example.org",
        "compose.md",
        "../notebooks/02_crash.ipynb#Early-acknowledgement",
        "../exercises/02_crash",
        "%63ompose.md",
    ],
)
def test_a_link_that_leads_somewhere_is_no_problem(link: str, tmp_path: Path) -> None:
    root = copy_course(tmp_path)
    (root / "docs" / "new.md").write_text(f"[to]({link})\n")

    assert shown(links.links_resolve(Context(root))) == ""


# --- the command


def test_the_command_says_what_it_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["verify"])

    assert done.exit_code == AS_IT_SHOULD_BE, done.output
    assert done.output == (
        f"{len(INVARIANTS)} invariants, no problem. "
        "Not run: answers and notebooks (`lab verify --run`, with a lab running).\n"
    )


def test_the_command_tells_every_problem_in_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_course(tmp_path))
    all_of(edited(SHOP, "TODO", "NB"), edited("README.md", "(docs/compose.md)", "(docs/gone.md)"))(
        tmp_path
    )

    done = CliRunner().invoke(main, ["verify"])

    assert done.exit_code == PROBLEMS
    *told, last = done.output.splitlines()
    assert [line.startswith("    ") for line in told] == [False, True] * 3  # the copy differs, too
    assert f"{SHOP}: it has no TODO" in told
    assert "README.md: its link to 'docs/gone.md' leads nowhere" in told
    assert last.startswith(f"{len(INVARIANTS)} invariants, 3 problems.")


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (edited_course("[[stage]]", "[[stage"), "course.toml is not TOML"),
        (edited_course('title = "Crash"\n', ""), "course.toml: stage.2.title: Field required"),
        (edited_course("title =", "titel ="), "course.toml: stage.0.title: Field required"),
        (
            edited_course('title = "Crash"', 'title = "Crash"\ncolour = "red"'),
            "course.toml: stage.2.colour: Extra inputs are not permitted",
        ),
        (edited_course("minutes = 30", 'minutes = "30"'), "course.toml: stage.2.minutes"),
        (edited_course('number = "02"', 'number = "2"'), "course.toml: stage.2.number"),
        (
            edited_course("hints = [", 'hints = [\n" ",'),
            "course.toml: stage.1.exercise.hints.0: String should match",
        ),
        (edited_course('starter = "acknowledged-early"\n', ""), "stage.2.exercise.starter"),
        (edited_course('fault = "queued", ', ""), "wrong_answers.counts_from_the_order.fault"),
        (removed("course.toml"), "there is no course.toml"),
        (in_latin_1("course.toml"), "course.toml is not UTF-8: "),
        (in_latin_1("docs/compose.md"), "docs/compose.md is not UTF-8: "),
    ],
)
def test_a_course_that_cannot_be_read_is_told_in_one_line(
    breakage: Breakage, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_course(tmp_path))
    breakage(tmp_path)

    done = CliRunner().invoke(main, ["verify"])

    assert done.exit_code == 2
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()
    assert said.startswith("lab: ")
    assert message in said
    assert hint.startswith("     ")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["02"], "stages are named for what is run", "`lab verify --run 02`"),
        (["--run", "99"], "there is no stage '99'", "02_crash"),
        (["--run", "02"], "no lab", ""),
    ],
)
def test_what_cannot_run_is_told_in_one_line(
    arguments: list[str],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith("LAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "nothing"))
    done = CliRunner().invoke(main, ["verify", *arguments])

    assert done.exit_code == 2
    said, *hints_given = done.stderr.splitlines()
    assert message in said
    assert hint in "\n".join(hints_given)
