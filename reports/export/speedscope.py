"""Sampled stacks in speedscope's file format."""

from typing import Any

from epoch_gap.profiler.drilldown.stacks import Frame, Stacks

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def stacks_to_speedscope(stacks: Stacks, name: str) -> dict[str, Any]:
    """One sampled profile, weights in seconds, as JSON values."""
    index: dict[Frame, int] = {}
    samples = [[index.setdefault(frame, len(index)) for frame in stack] for stack in stacks.samples]
    weights = [count / stacks.rate for count in stacks.samples.values()]
    frames = [{"name": f.function, **({"file": f.file, "line": f.line} if f.file else {})} for f in index]
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    return {"$schema": SCHEMA, "name": name, "shared": {"frames": frames}, "profiles": [profile]}
