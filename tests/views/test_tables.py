"""Tables print aligned, escape what they are given, and put verdicts side by side."""

import pytest

from labapp.checker.verdict import Verdict
from labapp.views.tables import Table, comparison
from labapp.views.verdict import VerdictView

BROKER = Table(
    columns=("where", "messages", "keys"),
    rows=(
        ("queue celery", 4, "order-7 … order-10"),
        ("unacked", 12, "order-3, order-4"),
    ),
    caption="in the broker now",
)


def test_the_text_is_aligned_with_numbers_to_the_right() -> None:
    assert repr(BROKER) == (
        "in the broker now\n"
        "where         messages  keys\n"
        "queue celery         4  order-7 … order-10\n"
        "unacked             12  order-3, order-4"
    )


def test_an_empty_table_still_has_its_heading() -> None:
    assert repr(Table(("where", "messages"), ())) == "where  messages"


def test_a_cell_cannot_break_its_line() -> None:
    table = Table(("key",), (("two\nlines",), ("bell\a",)))
    assert repr(table) == "key\ntwo lines\n'bell\\x07'"


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Table(("a", "b"), (("only one",),))


def test_the_html_is_escaped() -> None:
    html = Table(("<b>",), (("<i>&",),), caption="<u>")._repr_html_()
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;&amp;" in html
    assert "&lt;u&gt;" in html
    assert not any(tag in html for tag in ("<b>", "<i>", "<u>"))


def test_a_collapsed_table_opens_by_its_caption() -> None:
    table = Table(("where",), (("unacked",),), caption="in the broker now", collapsed=True)
    html = table._repr_html_()
    assert html.startswith("<details><summary")
    assert html.count("in the broker now") == 1
    assert not Table(("where",), ())._repr_html_().startswith("<details>")


VERDICTS = {
    "early ack": Verdict(10, 9, 9, lost=("order-4",)),
    "late ack": Verdict(10, 10, 11, duplicated=("order-3",)),
    "idempotent": Verdict(10, 10, 10),
}


def test_verdicts_side_by_side() -> None:
    assert repr(comparison(VERDICTS)) == (
        "run         at least once  exactly once  lost     duplicated  stuck  failed\n"
        "early ack   NO             NO            order-4  -           -      -\n"
        "late ack    yes            NO            -        order-3     -      -\n"
        "idempotent  yes            yes           -        -           -      -"
    )


def test_what_is_rare_has_a_column_only_when_it_occurs() -> None:
    rare = Verdict(2, 1, 2, dead_lettered=("order-2",), unexpected=("order-99",))
    doubtful = Verdict(2, 2, 2, lost=("order-1",), unknown="the fault did not fire")
    assert repr(comparison({"a": rare, "b": doubtful})) == (
        "run  at least once  exactly once  lost  duplicated  stuck  failed"
        "  dead-lettered  unexpected  unknown because\n"
        "a    NO             NO            -     -           -      -"
        "       order-2        order-99    -\n"
        "b    unknown        unknown       ?     ?           ?      ?"
        "       ?              ?           the fault did not fire"
    )


def test_views_may_be_compared_as_well_as_verdicts() -> None:
    views = {name: VerdictView(verdict) for name, verdict in VERDICTS.items()}
    assert repr(comparison(views)) == repr(comparison(VERDICTS))


def test_the_answers_carry_symbols_in_html() -> None:
    html = comparison(VERDICTS, caption="three settings")._repr_html_()
    assert "✓ yes" in html
    assert "✗ NO" in html
    assert "three settings" in html


def test_nothing_to_compare_is_a_heading() -> None:
    assert repr(comparison({})).startswith("run  at least once")
