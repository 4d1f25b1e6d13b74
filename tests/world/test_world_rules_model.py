"""`first_match` against a model: a list of counters and the words of the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from labapp.world.kinds import Kind
from labapp.world.rules import Do, Point, Rule, first_match, pieces, stops

KEYS = st.sampled_from(["order-1", "order-2", "order-3"])
RULES = st.builds(
    Rule,
    point=st.sampled_from(Point),
    do=st.sampled_from(Do),
    key=st.just("") | KEYS,
    nth=st.integers(0, 3),
    times=st.integers(0, 3),
    kind=st.sampled_from(Kind),
    after_bytes=st.integers(0, 2),
)
REQUESTS = st.tuples(
    st.sampled_from(Point), KEYS, st.integers(1, 4), st.sampled_from(Kind), st.integers(0, 2)
)
Request = tuple[Point, str, int, Kind, int]


@dataclass
class Model:
    """What a rule has left: for ever, or a number of times."""

    rule: Rule
    left: float

    def wants(self, request: Request) -> bool:
        point, key, number, kind, written = request
        if kind != self.rule.kind or (point is Point.DURING and written != self.rule.after_bytes):
            return False
        keys = {self.rule.key} if self.rule.key else {"order-1", "order-2", "order-3"}
        numbers = {self.rule.nth} if self.rule.nth else {1, 2, 3, 4}
        return self.left > 0 and point == self.rule.point and key in keys and number in numbers


@given(st.lists(RULES, max_size=5), st.lists(REQUESTS, max_size=20))
def test_the_first_rule_that_wants_the_request_and_has_uses_left_takes_it(
    rules: list[Rule], requests: list[Request]
) -> None:
    models = [Model(rule, rule.times or float("inf")) for rule in rules]
    for request in requests:
        chosen = next((model for model in models if model.wants(request)), None)
        if chosen is not None:
            chosen.left -= 1
        found = first_match(rules, *request)
        assert found is (chosen.rule if chosen else None)
    used = [(model.rule.times or float("inf")) - model.left for model in models]
    assert [rule.fired for rule in rules if rule.times] == [
        count for model, count in zip(models, used, strict=True) if model.rule.times
    ]


@given(RULES)
def test_a_rule_survives_its_journey_as_json(rule: Rule) -> None:
    assert Rule.from_json(rule.to_json()) == rule


@given(st.lists(RULES, max_size=5), KEYS, st.sampled_from(Kind))
def test_a_stream_stops_wherever_a_rule_wants_a_look(
    rules: list[Rule], key: str, kind: Kind
) -> None:
    at = stops(rules, kind, key)
    assert at == sorted(set(at))
    for written in range(3):
        wanted = any(r.matches(Point.DURING, key, r.nth or 1, kind, written) for r in rules)
        assert written in at or not wanted


@given(st.binary(min_size=1, max_size=30), st.integers(0, 20), st.lists(st.integers(0, 60)))
def test_pieces_are_the_chunk_cut_at_each_stop_in_it(
    chunk: bytes, written: int, at: list[int]
) -> None:
    found = pieces(chunk, written, sorted(set(at)))
    assert b"".join(found) == chunk
    assert all(found)
    ends = {written + sum(map(len, found[: n + 1])) for n in range(len(found))}
    inside = {stop for stop in at if written < stop <= written + len(chunk)}
    assert ends == inside | {written + len(chunk)}


@given(
    st.floats(0.1, 60),
    st.lists(st.floats(0, 100), min_size=1, max_size=20).map(sorted),
    st.floats(0, 1e6),
)
def test_a_rule_that_lasts_applies_from_its_first_request_on_and_no_longer(
    lasts: float, times: list[float], epoch: float
) -> None:
    rule = Rule(Point.BEFORE, Do.ANSWER, times=0, status=503, lasts=lasts)
    first = epoch + times[0]
    for at in (epoch + time for time in times):
        found = first_match([rule], Point.BEFORE, "order-1", 1, now=at)
        assert (found is rule) == (at - first < lasts)
