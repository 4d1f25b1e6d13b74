"""The proof that a lesson checks something: flip the one setting of an experiment, see it red.

Cuts a small notebook out of a lesson: its setup cells, the cells of its experiments, flipped, and
these once more as they stand; outputs as stored. Depends on `labapp.course.notebooks`; runs
nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from labapp.course.notebooks import CodeCell, Node, code_cells
from labapp.errors import LabError

# A lesson may run an experiment only where a flip is proven, or where the reader may play.
RUN_CALL = "lab.run("
CONTROL = "-as-it-stands"
"""End of the id of a cell that runs once more, not flipped."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment of a lesson: its name, its cells, and the setting it is about."""

    name: str
    cells: tuple[CodeCell, ...]
    old: str
    new: str

    def flipped(self, cell: CodeCell) -> str:
        """The cell's source with the setting changed, where the cell is the one that has it."""
        return cell.source.replace(self.old, self.new) if "flip" in cell.lab else cell.source


def experiments(notebook: Node) -> list[Experiment]:
    """The experiments of a lesson, in order of appearance.

    Raises:
        LabError: an experiment without exactly one flip, or whose flip does not match exactly
            once, or changes nothing.
    """
    named: dict[str, list[CodeCell]] = {}
    for cell in code_cells(notebook):
        if "experiment" in cell.lab:
            named.setdefault(str(cell.lab["experiment"]), []).append(cell)
    return [_experiment(name, tuple(cells)) for name, cells in named.items()]


def _experiment(name: str, cells: tuple[CodeCell, ...]) -> Experiment:
    holders = [cell for cell in cells if "flip" in cell.lab]
    if len(holders) != 1:
        raise LabError(
            f"experiment {name!r} has {len(holders)} cells with a flip, not one",
            hint='give one of its cells the metadata {"lab": {"flip": [OLD, NEW]}}',
        )
    old, new = _flip_of(name, holders[0])
    found = holders[0].source.count(old)
    if found != 1:
        raise LabError(
            f"experiment {name!r}: {old!r} stands {found} times in cell {holders[0].number}",
            hint="the text to flip must match exactly once",
        )
    return Experiment(name, cells, old, new)


def _flip_of(name: str, cell: CodeCell) -> tuple[str, str]:
    flip = cell.lab["flip"]
    is_pair = isinstance(flip, list) and len(flip) == 2 and all(isinstance(p, str) for p in flip)
    if not is_pair or flip[0] == flip[1] or not flip[0]:
        raise LabError(
            f"experiment {name!r}: the flip {flip!r} is not two different texts",
            hint='write it as "flip": [OLD, NEW]',
        )
    return flip[0], flip[1]


def cut_out(notebook: Node, chosen: Sequence[Experiment], *, control: bool = True) -> Node:
    """A notebook of the lesson's setup cells and of these experiments, the last one first: of each
    its cells with the setting flipped, then the same as they stand, the control.

    The last one first, so that none can lean on what the lesson ran before it.  Stored outputs are
    kept, so that nbval compares against what the lesson says.

    Args:
        notebook: the lesson.
        chosen: experiments of its, in order of appearance.
        control: whether the cells follow as they stand.
    """
    mini = copy.deepcopy(notebook)
    mini.cells = [cell.node for cell in code_cells(mini) if cell.lab.get("setup")]
    for experiment in reversed(chosen):
        mini.cells += _flipped(experiment)
        if control:
            mini.cells += _as_it_stands(experiment)
    return mini


def _flipped(experiment: Experiment) -> list[Node]:
    nodes = [copy.deepcopy(cell.node) for cell in experiment.cells]
    for node, cell in zip(nodes, experiment.cells, strict=True):
        node.source = experiment.flipped(cell)
    return nodes


def _as_it_stands(experiment: Experiment) -> list[Node]:
    nodes = [copy.deepcopy(cell.node) for cell in experiment.cells]
    for node in nodes:
        node.id += CONTROL
    return nodes


def stray_runs(notebook: Node) -> list[int]:
    """Numbers of the code cells that run an experiment which no flip proves."""
    return [
        cell.number
        for cell in code_cells(notebook)
        if RUN_CALL in cell.source and "experiment" not in cell.lab and not cell.lab.get("free")
    ]
