"""What a reader sees of a verdict: golden text, safe HTML, nothing that changes between runs."""

import copy
import pickle
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.checker.history import Effect, FaultFired, Remaining, Result, Sent
from labapp.checker.verdict import Verdict, judge
from labapp.views.verdict import VerdictView, verdict_html, verdict_text


def orders(*numbers: int) -> tuple[str, ...]:
    return tuple(f"order-{number}" for number in numbers)


MIXED = Verdict(
    sent=10,
    happened=9,
    effects=10,
    lost=orders(4),
    duplicated=orders(3),
    recovered=orders(5, 6, 7, 8, 9, 10),
    reasons={"order-4": "PENDING"},
)

GOLDEN = {
    "all well": (
        Verdict(sent=10, happened=10, effects=10),
        """\
at least once  yes      10 of 10 happened
exactly once   yes      nothing happened twice
sent 10 · happened 10 · lost 0 · duplicated 0 · recovered 0 · failed 0 · stuck 0""",
    ),
    "lost and duplicated": (
        MIXED,
        """\
at least once  NO       lost: order-4 (PENDING)
exactly once   NO       duplicated: order-3
sent 10 · happened 9 · lost 1 · duplicated 1 · recovered 6 · failed 0 · stuck 0""",
    ),
    "lost only": (
        Verdict(sent=2, happened=1, effects=1, lost=orders(2)),
        """\
at least once  NO       lost: order-2
exactly once   NO       for the same reason
sent 2 · happened 1 · lost 1 · duplicated 0 · recovered 0 · failed 0 · stuck 0""",
    ),
    "failed as declared": (
        Verdict(
            sent=10,
            happened=9,
            effects=9,
            failed=orders(5),
            reasons={"order-5": "FAILURE: WorkerLostError"},
        ),
        """\
at least once  yes      9 of 10 happened, the rest failed as declared
exactly once   yes      nothing happened twice
allowed                 failed as declared: order-5 (FAILURE: WorkerLostError)
sent 10 · happened 9 · lost 0 · duplicated 0 · recovered 0 · failed 1 · stuck 0""",
    ),
    "everything at once": (
        Verdict(
            sent=10,
            happened=4,
            effects=6,
            lost=orders(2, 3, 4, 6),
            duplicated=orders(1),
            stuck=orders(7, 8),
            dead_lettered=orders(9),
            unexpected=orders(99),
            reasons={
                "order-2": "PENDING",
                "order-3": "PENDING",
                "order-4": "PENDING",
                "order-6": "FAILURE: WorkerLostError",
                "order-7": "unacked",
                "order-8": "queue",
            },
        ),
        """\
at least once  NO       lost: order-2 … order-4 (PENDING); order-6 (FAILURE: WorkerLostError)
                        stuck: order-7 (unacked); order-8 (queue)
                        dead-lettered: order-9
exactly once   NO       duplicated: order-1
                        unexpected: order-99
sent 10 · happened 4 · lost 4 · duplicated 1 · recovered 0 · failed 0 · stuck 2 \
· dead-lettered 1 · unexpected 1""",
    ),
    "unknown": (
        Verdict(sent=10, happened=3, effects=3, lost=orders(4), unknown="the fault did not\nfire"),
        """\
unknown                 the fault did not fire
at least once  unknown  not judged
exactly once   unknown  not judged""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_this_to_the_letter(name: str) -> None:
    verdict, expected = GOLDEN[name]
    assert verdict_text(verdict) == expected


# --- the same on every run -------------------------------------------------------------------


def run(second: float, ids: str) -> Verdict:
    """One and the same course of events, at another speed and with other task ids."""
    return judge(
        [
            *(Sent(n * second, key, f"{ids}-{n}") for n, key in enumerate(orders(1, 2, 3, 4))),
            Effect(10 * second, "order-1"),
            FaultFired(11 * second, f"kill worker {ids}", ("order-1", "order-2")),
            Effect(20 * second, "order-1"),
            Effect(21 * second, "order-3"),
            Result(30 * second, "order-2", "FAILURE", "WorkerLostError"),
            Remaining(31 * second, "order-4", "queue"),
        ]
    )


@given(st.floats(1e-3, 1e3), st.sampled_from(["4711", "e2a9"]))
def test_times_and_ids_leave_no_trace(second: float, ids: str) -> None:
    assert verdict_text(run(second, ids)) == verdict_text(run(1.0, "id"))
    assert verdict_html(run(second, ids)) == verdict_html(run(1.0, "id"))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_digit_belongs_to_a_key_or_a_count(name: str) -> None:
    verdict, _ = GOLDEN[name]
    counted = {verdict.sent, verdict.happened, *map(len, every_bucket(verdict))}
    without_keys = re.sub(r"order-\d+", "", verdict_text(verdict))
    assert {int(digits) for digits in re.findall(r"\d+", without_keys)} <= counted


def every_bucket(verdict: Verdict) -> list[tuple[str, ...]]:
    fields = (getattr(verdict, name) for name in Verdict.__dataclass_fields__)
    return [field for field in fields if isinstance(field, tuple)]


# --- HTML ------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects what a browser would show, and insists on balanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("name", GOLDEN)
def test_the_html_says_all_that_the_text_says(name: str) -> None:
    verdict, text = GOLDEN[name]
    shown = " ".join(" ".join(read(verdict_html(verdict)).words).split())
    for part in re.split(r"\s{2,}|\n", text):
        assert part in shown


def test_the_answers_carry_word_and_symbol() -> None:
    assert "✗ NO" in verdict_html(MIXED)
    assert "✓ yes" in verdict_html(GOLDEN["all well"][0])
    assert "? unknown" in verdict_html(GOLDEN["unknown"][0])


def test_the_html_adds_who_was_recovered() -> None:
    assert "order-5 … order-10" in read(verdict_html(MIXED)).words


hostile = st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a&b", "'", "</td>"]
)


@given(hostile, hostile)
def test_keys_and_reasons_are_escaped(key: str, reason: str) -> None:
    verdict = Verdict(1, 0, 0, lost=(key,), reasons={key: reason})
    for html in (verdict_html(verdict), verdict_html(Verdict(1, 0, 0, unknown=reason))):
        assert read(html).tags <= {"table", "tbody", "tr", "th", "td", "strong", "div", "br"}


def test_the_html_needs_no_script_and_nothing_from_elsewhere() -> None:
    html = verdict_html(MIXED)
    assert not re.search(r"<script|<link|<style|https?:|url\(|\sclass=|\sid=", html)


# --- the view --------------------------------------------------------------------------------


def test_the_view_shows_itself_and_answers_like_the_verdict() -> None:
    view = VerdictView(MIXED)
    assert repr(view) == str(view) == verdict_text(MIXED)
    assert view._repr_html_() == verdict_html(MIXED)
    assert view.lost == orders(4)
    assert view.at_least_once is False
    assert {"lost", "exactly_once", "verdict"} <= set(dir(view))


def test_the_view_has_nothing_that_the_verdict_lacks() -> None:
    view = VerdictView(MIXED)
    with pytest.raises(AttributeError, match="found"):
        view.found  # noqa: B018  the access is what is tested
    assert not hasattr(view, "_ipython_display_")


def test_the_view_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        VerdictView(MIXED).verdict = GOLDEN["all well"][0]  # type: ignore[misc]


def test_views_of_equal_verdicts_are_equal_and_survive_copying() -> None:
    view = VerdictView(MIXED)
    assert copy.deepcopy(view) == view
    assert pickle.loads(pickle.dumps(view)) == view  # noqa: S301  our own bytes
    assert len({view, VerdictView(copy.deepcopy(MIXED))}) == 1
