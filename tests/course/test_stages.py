"""How stages are named on a command line.  What each must have: test_verify.py."""

from __future__ import annotations

import pytest

from labapp.course.stage import Stage
from labapp.course.stages import STAGES, stage_named
from labapp.errors import LabError


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.number)
def test_a_stage_is_known_by_its_number_and_by_its_names(stage: Stage) -> None:
    for name in (stage.number, str(int(stage.number)), stage.name, stage.folder, f" {stage.name} "):
        assert stage_named(name) is stage
    assert STAGES[stage.number] is stage, f"list {stage.folder} under {stage.number!r} in STAGES"


@pytest.mark.parametrize("name", ["", "99", "02_", "crash.ipynb", "-1", "٢"])
def test_an_unknown_stage_is_answered_with_those_that_there_are(name: str) -> None:
    with pytest.raises(LabError) as caught:
        stage_named(name)
    assert "there is no stage" in caught.value.message
    assert "02_crash" in caught.value.hint
