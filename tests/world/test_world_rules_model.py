"""`first_match` against a model: a list of counters and the words of the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from labapp.world.rules import Do, Point, Rule, first_match

KEYS = st.sampled_from(["order-1", "order-2", "order-3"])
RULES = st.builds(
    Rule,
    point=st.sampled_from(Point),
    do=st.sampled_from(Do),
    key=st.just("") | KEYS,
    nth=st.integers(0, 3),
    times=st.integers(0, 3),
)
REQUESTS = st.tuples(st.sampled_from(Point), KEYS, st.integers(1, 4))


@dataclass
class Model:
    """What a rule has left: for ever, or a number of times."""

    rule: Rule
    left: float

    def wants(self, request: tuple[Point, str, int]) -> bool:
        point, key, number = request
        keys = {self.rule.key} if self.rule.key else {"order-1", "order-2", "order-3"}
        numbers = {self.rule.nth} if self.rule.nth else {1, 2, 3, 4}
        return self.left > 0 and point == self.rule.point and key in keys and number in numbers


@given(st.lists(RULES, max_size=5), st.lists(REQUESTS, max_size=20))
def test_the_first_rule_that_wants_the_request_and_has_uses_left_takes_it(
    rules: list[Rule], requests: list[tuple[Point, str, int]]
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
