"""The proof that a lesson checks something: flip the one setting of an experiment, see it red.

Cuts a lesson into small notebooks, one per experiment: the lesson's setup cells, the experiment's
own, flipped, and these once more as they stand; outputs as stored. Depends on
`labapp.course.notebooks`; runs nothing.
"""

from __future__ import annotations

import copy
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


def cut_out(notebook: Node, experiment: Experiment, *, control: bool = True) -> Node:
    """A notebook of the lesson's setup cells, this experiment's with the setting flipped, and the
    same as they stand: the control, in the same kernel.

    Stored outputs are kept, so that nbval compares against what the lesson says.

    Args:
        notebook: the lesson.
        experiment: one of its.
        control: whether the cells follow as they stand.
    """
    mini = copy.deepcopy(notebook)
    own = {cell.number for cell in experiment.cells}
    kept = [c for c in code_cells(mini) if c.number in own or c.lab.get("setup")]
    own_nodes = [cell.node for cell in kept if cell.number in own]
    as_they_stand = [copy.deepcopy(node) for node in own_nodes] if control else []
    for cell in kept:
        if cell.number in own:
            cell.node.source = experiment.flipped(cell)
    for node in as_they_stand:
        node.id += CONTROL
    mini.cells = [cell.node for cell in kept] + as_they_stand
    return mini


def stray_runs(notebook: Node) -> list[int]:
    """Numbers of the code cells that run an experiment which no flip proves."""
    return [
        cell.number
        for cell in code_cells(notebook)
        if RUN_CALL in cell.source and "experiment" not in cell.lab and not cell.lab.get("free")
    ]
