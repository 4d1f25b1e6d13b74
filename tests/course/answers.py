"""The course's own answers, right and wrong, and copies of them in which nothing keeps its name."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

from labapp.course.stages import STAGES
from labapp.course.verify.context import Context
from labapp.course.verify.running import Told, told_of

ROOT = Path(__file__).parents[2]
WITH_EXERCISE = [stage for stage in STAGES.values() if stage.trials]
ANSWERS: list[Told] = list(told_of(Context(ROOT)))
"""Every solution, starter and wrong answer."""
NOT_PASSING = [told for told in ANSWERS if told.diagnosis]
STARTERS = {told.stage.number: told.diagnosis for told in ANSWERS if told.name == "starter"}


PYTHONS_OWN = {"__init__"}
"""Names of methods that Python itself calls."""


def copy_renamed(folder: Path, to: Path, keep: set[str]) -> Path:
    """A copy of an answer with its own names changed, without comments and docstrings."""
    for source in folder.glob("*.py"):
        (to / source.name).write_text(renamed(source.read_text(), keep))
    for other in folder.iterdir():
        if other.is_file() and other.suffix not in (".py", ".md", ".toml"):
            shutil.copy(other, to)
    return to


def renamed(source: str, keep: set[str]) -> str:
    """The program with every name that it gives itself changed, but for those to keep."""
    tree = ast.parse(source)
    names = {name: f"renamed_{n}" for n, name in enumerate(sorted(own_names(tree) - keep))}
    return ast.unparse(ast.fix_missing_locations(_Renamed(names).visit(tree))) + "\n"


def own_names(tree: ast.AST) -> set[str]:
    """Functions, classes, variables and arguments that the program defines.

    A function that takes ``**anything`` is called by keyword (a signal's handler): its arguments
    belong to the caller, and keep their names."""
    names: set[str] = set()
    taken: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, args=arguments):
                names.update({name} - PYTHONS_OWN)
                known = {a.arg for a in [*arguments.args, *arguments.kwonlyargs]}
                (taken if arguments.kwarg else names).update(known)
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.ExceptHandler(name=str(name)):
                names.add(name)
    return names - taken


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self.names.get(node.name or "", node.name)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """The names in a web framework's paths: ``"/orders/{order_id}"``."""
        if isinstance(node.value, str):
            node.value = re.sub(
                r"(?<=\{)\w+(?=\})", lambda m: self.names.get(m[0], m[0]), node.value
            )
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._definition(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._definition(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._undocumented(node)

    def _definition(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self._undocumented(node)

    def _undocumented(self, node: ast.Module | ast.FunctionDef | ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node
