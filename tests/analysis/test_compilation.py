"""A first step that compiles is timed on its own and left out of every average."""

import pytest

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports.sentences.warm_up import describe_compilation, describe_start
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

COMPILES = {"compiles_in_first_step": True}


def test_what_a_first_step_took_more_is_its_compilation(make_run: MakeRun) -> None:
    run = make_run([12.5, *[1.0] * 11], framework=COMPILES)
    analysis = analyse_run(run)
    assert analysis.warm_up.compilation == pytest.approx(11.5)
    assert analysis.asrun.step.value == pytest.approx(1.0)
    assert describe_start(analysis.warm_up).endswith("which compiled, took 11.5 s more than a steady one")
    assert describe_compilation(Subject.from_runs([run])) == (
        "Fake 1 (cpu): the first step, which compiled, took 11.5 s more than a steady one; "
        "the estimated epoch does not include it."
    )
    view = build_view([run])
    assert view.compilation == (describe_compilation(view.subjects[0]),)
    assert view.summary["subjects"][0]["warm_up"][0]["compilation_seconds"] == pytest.approx(11.5)


def test_the_longest_compilation_of_several_processes_is_told(make_run: MakeRun) -> None:
    runs = [make_run([first, *[1.0] * 11], framework=COMPILES) for first in (4.0, 9.0, 6.0)]
    assert "took 8.00 s more" in (describe_compilation(Subject.from_runs(runs)) or "")


def test_a_first_step_that_took_no_longer_is_not_told(make_run: MakeRun) -> None:
    run = make_run([0.5, *[1.0] * 11], framework=COMPILES)
    assert analyse_run(run).warm_up.compilation == pytest.approx(-0.5)
    assert "compiled" not in describe_start(analyse_run(run).warm_up)
    assert describe_compilation(Subject.from_runs([run])) is None


def test_a_measured_epoch_includes_it(make_run: MakeRun) -> None:
    whole = make_run([9.0, *[1.0] * 9, 0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2], framework=COMPILES)
    assert (describe_compilation(Subject.from_runs([whole])) or "").endswith("the measured epoch includes it.")


def test_a_slow_first_step_of_a_framework_that_does_not_compile_is_no_compilation(make_run: MakeRun) -> None:
    for framework in ({}, {"compiles_in_first_step": False}):
        run = make_run([12.5, *[1.0] * 11], framework=framework)
        assert analyse_run(run).warm_up.compilation is None
        assert describe_compilation(Subject.from_runs([run])) is None
        assert build_view([run]).compilation == ()
