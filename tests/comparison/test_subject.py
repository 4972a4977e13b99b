import pytest

from epoch_gap.profiler.comparison.identity import check_comparable
from epoch_gap.profiler.comparison.subject import Subject, group_runs, shorten_titles
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from tests.helpers.runs import MakeRun


def test_runs_of_one_configuration_are_repeats(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 6, config={"label": label}) for label in ("a", "b", "a")]
    subjects = group_runs(runs)
    assert [subject.runs for subject in subjects] == [(runs[0], runs[2]), (runs[1],)]
    assert subjects[0].first is runs[0]
    assert len({subject.id for subject in subjects}) == 2


@pytest.mark.parametrize("changed", [{"version": "2"}, {"device": "gpu"}, {"name": "other"}])
def test_another_version_device_or_framework_is_another_subject(make_run: MakeRun, changed: dict[str, str]) -> None:
    assert len(group_runs([make_run([1.0] * 6), make_run([1.0] * 6, framework=changed)])) == 2


def test_a_title_has_the_label_or_name_the_version_and_the_device(make_run: MakeRun) -> None:
    plain, labelled = group_runs([make_run([1.0] * 6), make_run([1.0] * 6, config={"label": "tuned"})])
    assert plain.title == "Fake 1 (cpu)"
    assert labelled.title == "tuned 1 (cpu)"


def test_another_batch_size_is_refused_with_both_named(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 6), make_run([1.0] * 6, images=[20] * 6, config={"batch_size": 20})]
    with pytest.raises(UserError, match="batch sizes 10 and 20") as error:
        group_runs(runs)
    assert all(run.id in str(error.value) for run in runs)
    assert "\n" not in str(error.value)


def test_other_data_is_refused_with_both_named(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 6), make_run([1.0] * 6, data={"source": "other.npz", "sha256": "1" * 64})]
    with pytest.raises(UserError, match=r"data test\.npz \(0{8}\) and other\.npz \(1{8}\) differ") as error:
        check_comparable(runs)
    assert all(run.id in str(error.value) for run in runs)


def test_over_processes_the_interval_is_between_processes(make_run: MakeRun) -> None:
    """Steps of 1, 2 and 3 s, all constant: within a process there is no spread, between them there is."""
    subject = group_runs([make_run([seconds] * 6) for seconds in (1.0, 2.0, 3.0)])[0]
    assert subject.epoch.total.value == pytest.approx(10.4 * 2 + 0.5)
    assert subject.epoch.total.variance == pytest.approx(10.4**2 * 1.0 / 3)
    assert subject.epoch.total.dof == 2
    assert [e.total.value for e in subject.any_epoch] == [pytest.approx(10.4 * s + 0.5) for s in (1, 2, 3)]


def test_phases_sum_to_the_epoch_when_one_process_was_not_evaluated(make_run: MakeRun) -> None:
    subject = group_runs([make_run([1.0] * 6, evaluation=[0.2, 0.2]), make_run([1.0] * 6, status="interrupted")])[0]
    assert subject.epoch.phases[Phase.EVALUATE] is None
    parts = [part.value for part in subject.epoch.phases.values() if part is not None]
    assert sum(parts) == pytest.approx(subject.epoch.total.value, rel=1e-12)


def test_a_subject_is_measured_only_if_all_its_runs_are(make_run: MakeRun) -> None:
    whole = make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2])
    part = make_run([1.0] * 6, evaluation=[0.2])
    assert group_runs([whole])[0].epoch.measured
    assert not group_runs([whole, part])[0].epoch.measured


def test_the_build_tag_stays_if_only_it_distinguishes_two_sides(make_run: MakeRun) -> None:
    def titles(*versions: str) -> list[str]:
        runs = [make_run([1.0] * 5, framework={"version": version}) for version in versions]
        sides = [Subject.from_runs([run], side=side) for run, side in zip(runs, "AB", strict=True)]
        return [subject.title for subject in shorten_titles(sides)]

    assert titles("2.14.1+cu128", "2.14.1+cu130") == ["Fake 2.14.1+cu128 (cpu) [A]", "Fake 2.14.1+cu130 (cpu) [B]"]
    assert titles("2.14.1+cpu", "2.14.1+cpu") == ["Fake 2.14.1 (cpu) [A]", "Fake 2.14.1 (cpu) [B]"]


def test_two_commits_of_one_version_are_two_subjects_that_their_titles_distinguish(make_run: MakeRun) -> None:
    """As base and head of a pull request are installed: both call themselves by the last release."""
    commits = ("v1-3-g0123456789", "v1-4-gabcdef0123")
    runs = [make_run([1.0] * 5, framework={"installed_commit": commit}) for commit in commits]
    base, head = shorten_titles(group_runs(runs))
    assert base.id != head.id
    assert (base.title, head.title) == ("Fake 1+v1-3-g0123456789 (cpu)", "Fake 1+v1-4-gabcdef0123 (cpu)")
    (alone,) = shorten_titles(group_runs(runs[:1]))
    assert alone.title == "Fake 1 (cpu)"


def test_a_commit_follows_the_build_tag_of_a_version(make_run: MakeRun) -> None:
    run = make_run([1.0] * 5, framework={"version": "2.14.1+cu130", "installed_commit": "0123456789"})
    assert run.framework.exact_version == "2.14.1+cu130.0123456789"
    assert run.framework.version == "2.14.1+cu130"
