"""The folded metrics: exact, bounded, and readable by Prometheus."""

import msgspec

from setpoint.analytics import fold
from setpoint.analytics.fold import Fold
from setpoint.domain.trace import RecordTail


def end(**more: int) -> fold.Head:
    n = {"outcome": 0, "surface": 1, "cache": 1, "duration_ns": 15_000_000, "ttft_ns": 0, "cost": 250, "input": 10, "output": 4} | more
    return (
        2, n["outcome"], n["surface"], n["cache"], 200, 1, bytes(16), bytes(16), 0, n["duration_ns"], n["ttft_ns"], 0, n["cost"],
        n["input"], 0, 0, n["output"], 0, 1, 1, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip


TAIL = RecordTail(route="chat", provider="openai", model="gpt")
OWN = 'route="chat",provider="openai",model="gpt",surface="openai_chat"'
GEN_AI = 'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt"'


def test_an_exchange_is_in_every_family_once() -> None:
    folded = Fold()
    folded.add(end(ttft_ns=3_000_000), TAIL)
    text = folded.render({"setpoint_trace_unsealed": 3, "setpoint_trace_seals_total": 1})
    for line in (
        f'setpoint_exchanges_total{{{OWN},outcome="ok",cache="miss"}} 1',
        f'setpoint_tokens_total{{{OWN},class="input"}} 10',
        f"setpoint_cost_usd_total{{{OWN}}} 0.00000025",
        f'gen_ai_client_operation_duration_seconds_bucket{{{GEN_AI},le="0.01"}} 0',
        f'gen_ai_client_operation_duration_seconds_bucket{{{GEN_AI},le="0.02"}} 1',
        f'gen_ai_client_operation_duration_seconds_bucket{{{GEN_AI},le="+Inf"}} 1',
        f"gen_ai_client_operation_duration_seconds_sum{{{GEN_AI}}} 0.015",
        f"gen_ai_server_time_to_first_token_seconds_count{{{GEN_AI}}} 1",
        f'gen_ai_client_token_usage_sum{{{GEN_AI},gen_ai_token_type="input"}} 10',
        f'gen_ai_client_token_usage_bucket{{{GEN_AI},gen_ai_token_type="output",le="4"}} 1',
        "# TYPE setpoint_trace_unsealed gauge",
        "# TYPE setpoint_trace_seals_total counter",
    ):
        assert line in text.splitlines()


def test_no_series_comes_twice_when_a_model_is_asked_through_two_surfaces() -> None:
    folded = Fold()
    folded.add(end(surface=1), TAIL)
    folded.add(end(surface=2), TAIL)
    series = [line.rpartition(" ")[0] for line in folded.render(dict.fromkeys(fold.GAUGES, 1)).splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_every_family_has_help_and_type_before_its_first_sample() -> None:
    folded = Fold()
    folded.add(end(), TAIL)
    lines = folded.render(dict.fromkeys(fold.GAUGES, 1)).splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert helped == [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(helped) == len(set(helped))


def test_the_saved_state_goes_on_where_it_was() -> None:
    first = Fold()
    first.add(end(), TAIL)
    again = Fold(first.saved())
    assert again.render({}) == first.render({})
    again.add(end(cost=-1), TAIL)
    assert f"setpoint_unpriced_total{{{OWN}}} 1" in again.render({})
    assert f"setpoint_cost_usd_total{{{OWN}}} 0.00000025" in again.render({})


def test_labels_are_bounded_and_the_rest_is_counted_as_other() -> None:
    folded = Fold()
    for no in range(fold.CELLS_MAX + 50):
        folded.add(end(), RecordTail(route="chat", provider="openai", model=f"m{no}"))
    lines = [line for line in folded.render({}).splitlines() if line.startswith("setpoint_exchanges_total{")]
    assert len(lines) == fold.CELLS_MAX + 1
    assert 'setpoint_exchanges_total{route="other",provider="other",model="other",surface="other",outcome="ok",cache="miss"} 50' in lines


def test_a_model_name_no_provider_was_asked_for_is_no_label() -> None:
    folded = Fold()
    folded.add(end(outcome=1), RecordTail(model='made "up"'))
    assert "made" not in folded.render({})


def test_label_values_are_escaped() -> None:
    folded = Fold()
    folded.add(end(), RecordTail(route='a"b\\c\nd', provider="p", model="m"))
    assert r'route="a\"b\\c\nd"' in folded.render({})


def test_each_family_is_declared_once_and_before_its_samples() -> None:
    folded = Fold()
    folded.add(end(), TAIL)
    declared: set[str] = set()
    for line in folded.render({}).splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in declared
            declared.add(name)
        elif not line.startswith("#"):
            name = line.split("{")[0]
            assert {name, name.rsplit("_", 1)[0]} & declared, line


def test_choices_are_counted_by_strategy_and_the_first_upstream() -> None:
    folded = Fold()
    for decision in (
        '{"strategy":"cost","reason":"cheapest","order":[["a/m",0.5],["b/m"]]}',
        '{"strategy":"cost","reason":"cheapest","order":[["a/other/m",0.1]]}',
        '{"strategy":"cost","order":[["b/m"]]}',
        "no json",
        "",
    ):
        folded.add(end(), msgspec.structs.replace(TAIL, decision=decision))
    counted = [line for line in folded.render({}).splitlines() if line.startswith("setpoint_route_decisions_total")]
    assert counted == [
        'setpoint_route_decisions_total{route="chat",strategy="cost",target="a"} 2',
        'setpoint_route_decisions_total{route="chat",strategy="cost",target="b"} 1',
        'setpoint_route_decisions_total{route="chat",strategy="other",target="other"} 1',
    ]
    assert Fold(folded.saved()).render({}) == folded.render({})


def test_a_state_of_before_choices_were_counted_is_read() -> None:
    folded = Fold()
    folded.add(end(), TAIL)
    cells = [cell[:-1] for cell in msgspec.msgpack.decode(folded.saved())]
    assert Fold(msgspec.msgpack.encode(cells)).render({}) == folded.render({})
