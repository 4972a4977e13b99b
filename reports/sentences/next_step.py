"""The next step: the most harmful caveat to remove first, then the next level of detail, then more certainty."""

from collections.abc import Mapping, Sequence

from epoch_gap.profiler.analysis.flags import ADVICE, CUSTOM_LOOP_ADVICE, FlagKind
from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.comparison.gap import Gap, IntervalScope, Verdict
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK

DEFAULT_BATCH = 128
ARTICLE_EPOCHS = 20


def suggest_next_step(subjects: Sequence[Subject], gaps: Sequence[Gap], has_layers: bool, has_stacks: bool) -> str:
    """The most useful next step. `has_layers`, `has_stacks`: whether those drill-downs exist or are impossible."""
    if any(subject.is_custom for subject in subjects):
        return _suggest_for_custom_loops(subjects, gaps)
    settings = _make_settings(gaps[0].slow if gaps else subjects[0])
    if not gaps:
        return f"make profile-torch, profile-lucid or profile-mlx{settings}, to compare with another framework."
    if advice := _most_harmful(ADVICE, subjects):
        return advice
    gap = gaps[0]
    both = " ".join(s.config.framework for s in (gap.fast, gap.slow))
    if gap.verdict is Verdict.SLOWER and not has_layers:
        return f'make layers FRAMEWORKS="{both}"{settings}, for the layers and operators behind the gap.'
    if gap.verdict is Verdict.SLOWER and not has_stacks:
        slow = gap.slow.config.framework
        command = f"{command_name()} flame --framework {slow}{_options(gap.slow)}"
        return f"{command}, then the same with lines, for the stacks and lines of the slower side."
    if gap.scope is not IntervalScope.BETWEEN_PROCESSES:
        command = f"{command_name()} profile --frameworks {both.replace(' ', ',')}{_options(gap.slow)}"
        return f"{command}, whose rounds include the variation from process to process."
    if not all(subject.has_whole_epoch for subject in subjects):
        return f"make profile PRESET=epoch{settings}, for whole epochs and the accuracy after them."
    if min(len(s.first.epochs) for s in subjects) < ARTICLE_EPOCHS:
        return f"make profile PRESET=article{settings}, for the article's 20 epochs."
    return _show()


def _suggest_for_custom_loops(subjects: Sequence[Subject], gaps: Sequence[Gap]) -> str:
    """There are no presets and no drill-downs for custom training loops."""
    if not gaps:
        return "record another loop with the same batch_size and data, to compare the two."
    if advice := _most_harmful(CUSTOM_LOOP_ADVICE, subjects):
        return advice
    if gaps[0].scope is not IntervalScope.BETWEEN_PROCESSES:
        return (
            "record both loops again, alternately, and report all runs, "
            "for an interval that includes process-to-process variation."
        )
    if not all(subject.has_whole_epoch or subject.size.is_stream for subject in subjects):
        return "record whole epochs with their evaluation, for the accuracy after them."
    return _show()


def _show() -> str:
    return f"{command_name()} show RUN, for the conditions of one run."


def _make_settings(subject: Subject) -> str:
    """The variables that `make` needs for a comparable run."""
    return _assignments(subject, " MODEL={}", " IMAGE_SIZE={}", " BATCH={}", " ALLOCATOR=keep")


def _options(subject: Subject) -> str:
    """The same as options of the command."""
    return _assignments(subject, " --model {}", " --image-size {}", " --batch-size {}", " --allocator keep")


def _assignments(subject: Subject, model: str, image_size: str, batch_size: str, keep: str) -> str:
    """Those of the texts whose setting is not the default, with its value."""
    network, size = subject.config.network, subject.first.batch_size
    return "".join(
        [
            model.format(network.model) if network.model != DEFAULT_NETWORK.model else "",
            image_size.format(network.image_size) if network.image_size != DEFAULT_NETWORK.image_size else "",
            batch_size.format(size) if size != DEFAULT_BATCH else "",
            keep if subject.manifest.keeps_memory else "",
        ]
    )


def _most_harmful(advice: Mapping[FlagKind, str], subjects: Sequence[Subject]) -> str | None:
    """The advice on the most harmful flag; None without one."""
    kinds = {flag.kind for subject in subjects for analysis in subject.analyses for flag in analysis.flags}
    return next((text for kind, text in advice.items() if kind in kinds), None)
