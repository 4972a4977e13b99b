from epoch_gap.profiler.drilldown.spans import Direction, Key, Spans
from tests.helpers.clocks import ScriptedClock

FORWARD = Direction.FORWARD


def test_nested_time_is_counted_once(clock: ScriptedClock) -> None:
    spans = Spans(clock)
    spans.open(FORWARD, "network")
    clock.advance(1)
    spans.open(FORWARD, "fc")
    clock.advance(10)
    spans.open(FORWARD, "fc", "matmul")
    assert spans.layer == "fc"
    clock.advance(100)
    spans.close()
    spans.close()
    clock.advance(2)
    spans.close()
    spans.end_step()
    assert spans.steps == [
        {Key(FORWARD, "fc", "matmul"): 100, Key(FORWARD, "fc", ""): 10, Key(FORWARD, "network", ""): 3}
    ]
    assert spans.layer == ""


def test_steps_are_separate_and_calls_of_a_layer_add_up(clock: ScriptedClock) -> None:
    spans = Spans(clock)
    for calls in (1, 2):
        for _ in range(calls):
            spans.open(FORWARD, "relu")
            clock.advance(5)
            spans.close()
        spans.end_step()
    assert spans.steps == [{Key(FORWARD, "relu", ""): 5}, {Key(FORWARD, "relu", ""): 10}]
