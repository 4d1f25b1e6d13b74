"""A prediction shows its question, keeps the guess, and tells it beside the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp import LabError, predict

if TYPE_CHECKING:
    from collections.abc import Iterable

QUESTION, OPTIONS = "Which orders are lost?", ["none", "order-3", "order-4"]
TEXTS = st.lists(st.text(min_size=1), min_size=2, unique=True)


@pytest.fixture(autouse=True)
def _a_new_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labapp.views.prediction._asked", {})


def test_a_cell_that_is_run_again_keeps_the_guess() -> None:
    """Choosing selects the cell, and Shift+Enter runs it again."""
    predict(QUESTION, OPTIONS).guess = "none"
    again = predict(QUESTION, OPTIONS)
    assert again.guess == "none"
    assert repr(again.was("order-4")) == "You said: none. It was: order-4."
    assert predict(QUESTION, [*OPTIONS, "all"]).guess is None, "another question"
    assert predict("And which twice?", OPTIONS).guess is None


def test_without_a_guess_it_says_so() -> None:
    assert repr(predict(QUESTION, OPTIONS).was("order-4")) == "You did not say. It was: order-4."


@pytest.mark.parametrize(
    ("guess", "told"),
    [
        ("order-4", "You said: order-4. You were right."),
        ("none", "You said: none. It was: order-4."),
    ],
)
def test_a_guess_is_told_beside_the_answer(guess: str, told: str) -> None:
    asked = predict(QUESTION, OPTIONS)
    asked.guess = guess
    assert asked.guess == guess
    assert repr(asked.was("order-4")) == told


@pytest.mark.parametrize(
    ("keys", "option"), [((), "none"), (("b",), "b"), (["a", "b"], "a, b"), ({"a": 1}, "a")]
)
def test_the_keys_of_a_verdict_are_an_option(keys: Iterable[str], option: str) -> None:
    outcome = predict("Which?", ["none", "a", "b", "a, b"]).was(keys)
    assert outcome.answer == option


def test_the_text_is_the_same_before_and_after_a_guess() -> None:
    asked = predict(QUESTION, OPTIONS)
    before = repr(asked)
    asked.guess = "none"
    assert repr(asked) == before == f"{QUESTION}\n( ) none\n( ) order-3\n( ) order-4"


@given(TEXTS, st.data())
def test_whoever_names_the_answer_is_right(options: list[str], data: st.DataObject) -> None:
    asked = predict(QUESTION, options)
    asked.guess = data.draw(st.sampled_from(options))
    answer = data.draw(st.sampled_from(options))
    assert asked.was(answer).right == (asked.guess == answer)


def test_in_jupyter_it_is_radio_buttons_with_the_same_text() -> None:
    asked = predict("<b>?", OPTIONS)
    bundle = asked._repr_mimebundle_()
    assert bundle["text/plain"] == repr(asked)
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"]
    heading, buttons = asked_box(view["model_id"])
    assert heading.value == "<b>&lt;b&gt;?</b>"
    assert buttons.options == tuple(OPTIONS)
    buttons.value = "order-3"  # a click
    assert asked.guess == "order-3"


def asked_box(model: str) -> list[object]:
    """What lies in the box that is shown."""
    from ipywidgets.widgets.widget import _instances

    return list(_instances[model].children)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["only"], "a prediction needs at least two options"),
        ("text", "a prediction needs at least two options"),
        (["one", "one"], "an option is named twice"),
    ],
)
def test_a_question_that_is_none(options: list[str], words: str) -> None:
    with pytest.raises(LabError, match=words):
        predict(QUESTION, options)


def test_an_answer_that_was_no_option() -> None:
    asked = predict(QUESTION, OPTIONS)
    with pytest.raises(LabError, match="'order-9', which was none of the options"):
        asked.was("order-9")
    with pytest.raises(LabError, match="'order-9' is none of the options"):
        asked.guess = "order-9"
