"""Folded keys can be unfolded again: folding shortens and hides nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.views.keys import fold, one_line, printable


def unfold(text: str) -> list[str]:
    """Read a folded line back by counting, for keys like stem-number and plain words."""
    keys: list[str] = []
    for piece in text.split(", ") if text else []:
        first, _, last = piece.partition(" … ")
        keys.append(first)
        while last and keys[-1] != last:
            stem, _, digits = keys[-1].rpartition("-")
            keys.append(f"{stem}-{int(digits) + 1:0{len(digits)}}")
    return keys


numbered = st.builds(
    lambda stem, number, width: f"{stem}-{number:0{width}}",
    st.sampled_from(["order", "mail", "a-b"]),
    st.integers(0, 120),
    st.sampled_from([1, 1, 1, 3]),
)
runs = st.builds(
    lambda first, length: [f"order-{first + n}" for n in range(length)],
    st.integers(0, 120),
    st.integers(1, 20),
)
keys = st.lists(runs | numbered.map(lambda key: [key]) | st.just(["word"])).map(
    lambda lists: [key for some in lists for key in some]
)


@given(keys)
def test_unfolding_gives_back_the_keys(given_keys: list[str]) -> None:
    assert unfold(fold(given_keys, limit=None)) == given_keys


@given(keys)
def test_no_three_neighbours_are_left_unfolded(given_keys: list[str]) -> None:
    pieces = fold(given_keys, limit=None).split(", ")
    for trio in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if not any("…" in piece or piece == "word" for piece in trio):
            assert fold(trio, limit=None) == ", ".join(trio)


@given(keys, st.integers(1, 5))
def test_what_the_limit_hides_is_counted(given_keys: list[str], limit: int) -> None:
    shown, _, more = fold(given_keys, limit).partition(" and ")
    hidden = int(more.removesuffix(" more")) if more else 0
    assert unfold(shown) + given_keys[len(given_keys) - hidden :] == given_keys
    assert len(shown.split(", ")) <= limit


@pytest.mark.parametrize(
    ("given_keys", "expected"),
    [
        ([], ""),
        (["order-3"], "order-3"),
        (["order-3", "order-4"], "order-3, order-4"),
        (["order-8", "order-9", "order-10"], "order-8 … order-10"),
        (["order-08", "order-09", "order-10"], "order-08 … order-10"),
        (["order-8", "order-09", "order-10"], "order-8, order-09, order-10"),
        (["order-3", "order-2", "order-1"], "order-3, order-2, order-1"),
        (["order-1", "order-1", "order-1"], "order-1, order-1, order-1"),
        (["a", "b", "c"], "a, b, c"),
        (["1", "2", "3"], "1 … 3"),
        (["\u0663", "\u0664", "\u0665"], "\u0663, \u0664, \u0665"),
        (["\u0663", "4", "5"], "\u0663, 4, 5"),
        ([""], "''"),
        (["two\nlines"], r"'two\nlines'"),
        (["9" * 5000, "a"], "9" * 5000 + ", a"),
    ],
)
def test_examples(given_keys: list[str], expected: str) -> None:
    assert fold(given_keys) == expected


def test_a_line_with_many_scattered_keys_stays_a_line() -> None:
    scattered = [f"order-{number}" for number in range(0, 400, 2)]
    assert fold(scattered).endswith("order-20, order-22 and 188 more")


@given(st.text())
def test_nothing_breaks_the_line(text: str) -> None:
    assert printable(text).isprintable()
    assert one_line(text).isprintable()
