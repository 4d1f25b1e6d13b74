"""Files of an exercise: the brief, the starter and its copy, the solution.

Invariants of ``labapp.course.verify``; static.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

from labapp.course.course import FILE
from labapp.course.places import STARTER
from labapp.course.verify.context import Context, Problem

TODO = "# TODO"


def exercises_are_complete(context: Context) -> Iterator[Problem]:
    """An exercise has its brief, and each file that the learner begins with, twice."""
    for one in context.exercised:
        folder = f"exercises/{one.lesson.folder}"
        if not (context.root / one.brief).is_file():
            yield Problem(one.brief, "it is not there", "say there what the answer must survive")
        for name in one.modules:
            if not (context.root / one.starter / name).is_file():
                yield Problem(
                    f"{one.starter}/{name}",
                    "it is not there",
                    "put there what the learner begins with, or `git checkout` it",
                )
            elif not (context.root / folder / name).is_file():
                yield Problem(
                    f"{folder}/{name}", "it is not there", f"`lab reset {one.lesson.number}`"
                )


def exercises_are_their_starters(context: Context) -> Iterator[Problem]:
    """The exercise's modules are those of its starter, byte for byte."""
    for one in context.exercised:
        kept = bytes_of(context.modules(one.starter))
        here = bytes_of(context.modules(f"exercises/{one.lesson.folder}"))
        for name in sorted(here.keys() | kept.keys()):
            where = f"exercises/{one.lesson.folder}/{name}"
            if name not in kept:
                yield Problem(
                    where,
                    f"it is not in {STARTER}/",
                    f"yours? move it away. Part of the exercise? copy it to {STARTER}/",
                )
            elif here.get(name, kept[name]) != kept[name]:
                yield Problem(
                    where,
                    f"it is not the one in {STARTER}/",
                    f"yours? `lab reset {one.lesson.number}` brings the starter back",
                )


def bytes_of(modules: dict[str, Path]) -> dict[str, bytes]:
    """What is in each of these files."""
    return {name: path.read_bytes() for name, path in modules.items()}


def starters_have_a_todo(context: Context) -> Iterator[Problem]:
    """The file that the learner edits mainly says what is to be done in it."""
    for one in context.exercised:
        path = f"{one.starter}/{one.exercise.files[0]}"
        if (text := context.text(path)) and TODO not in text:
            yield Problem(path, "it has no TODO", f"say in a comment ({TODO}: ...) what to do")


def starters_begin_where_the_stage_before_ended(context: Context) -> Iterator[Problem]:
    """Modules of a starter that the solution before has as well do the same as there.

    Where the stage's work has grown, its task is another one, and all else is still there."""
    lessons = {one.lesson.number: one for one in context.exercised}
    for before, after in pairwise(context.course.stage):
        if after.number not in lessons:
            continue
        solved, starter = f"solutions/{before.folder}", lessons[after.number].starter
        begun, ended = programs(context.modules(starter)), programs(context.modules(solved))
        both = sorted(begun.keys() & ended.keys())  # a stage may add a module, or leave one aside
        if not both:
            yield Problem(starter, f"nothing of {solved} is in it", "begin with a module of it")
        grows = lessons[after.number].exercise.grows
        tasks = lessons[after.number].stage.contract
        for name in both:
            kept = begun[name] == ended[name]
            if not kept and not (grows and is_part(ended[name], begun[name], tasks)):
                yield Problem(
                    f"{starter}/{name}",
                    f"it does not do what {solved}/{name} does",
                    "a stage begins where the one before has ended: make the code the same",
                )


def programs(modules: dict[str, Path]) -> dict[str, str]:
    """Each of these files as a program: without docstrings, comments and layout."""
    return {name: program(path.read_text(errors="replace")) for name, path in modules.items()}


def is_part(before: str, after: str, tasks: Collection[str]) -> bool:
    """Whether every statement of a program is in another one, but for these functions."""
    there = {ast.unparse(node) for node in ast.parse(after).body}
    kept = (
        node
        for node in ast.parse(before).body
        if not (isinstance(node, ast.FunctionDef) and node.name in tasks)
    )
    return all(ast.unparse(node) in there for node in kept)


def program(source: str) -> str:
    """What the source does; the source itself where it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.unparse(tree)


def solutions_are_complete(context: Context) -> Iterator[Problem]:
    """A solution has its reasons and its modules."""
    for one in context.exercised:
        for name in ("README.md", *one.modules):
            path = f"solutions/{one.lesson.folder}/{name}"
            if not (context.root / path).is_file():
                yield Problem(
                    path, "it is not there", f"add it, or take it out of `files` in {FILE}"
                )


INVARIANTS = (
    exercises_are_complete,
    exercises_are_their_starters,
    starters_have_a_todo,
    starters_begin_where_the_stage_before_ended,
    solutions_are_complete,
)
