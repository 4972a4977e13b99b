"""The colours that every picture and the page share."""

import colorsys
import hashlib

from epoch_gap.profiler.phases import Phase

MORE, LESS = "#d7301f", "#2171b5"
"""the colours of more and of less time on the slower side"""
INK, MUTED, GRID, PAPER = "#1b1f24", "#5d6670", "#e3e6ea", "#ffffff"
DARK = {INK: "#e8eaed", MUTED: "#a3acb6", GRID: "#343a41"}
"""the first three colours in the dark scheme, as in `templates/page.css`"""
ON_COLOUR = "#111111"
"""text on a light colour, in both schemes"""

# Data path in blues, the model's work in strong distinct hues, bookkeeping in greens and greys. Lightness differs
# too, for readers with a common form of colour blindness (after Okabe and Ito, and Tol). Labels never rely on colour
# alone.
PHASE_COLOURS: dict[Phase, str] = {
    Phase.EPOCH_START: "#0b3c6f",
    Phase.FETCH: "#1f77b4",
    Phase.COLLATE: "#56b4e9",
    Phase.TO_DEVICE: "#a6d8f5",
    Phase.ZERO_GRAD: "#6b6b6b",
    Phase.FORWARD: "#e69f00",
    Phase.MATERIALIZE: "#f0e442",
    Phase.BACKWARD: "#d55e00",
    Phase.STEP: "#8e4585",
    Phase.COMPILED: "#b07c3f",
    Phase.METRICS: "#66c2a5",
    Phase.LOGGING: "#a0a0a0",
    Phase.FLUSH: "#c8b400",
    Phase.EVALUATE: "#009e73",
    Phase.CHECKPOINT: "#004d40",
    Phase.SKIPPED: "#7a1f3d",
    Phase.OTHER: "#d9d9d9",
}


COMMUNICATION_COLOURS = {"wait": "#e377c2", "transfer": "#c51b7d", "communication": "#7b1fa2"}
"""of the phases in which a rank of a distributed training computes nothing"""


def phase_colour(phase: Phase) -> str:
    """The colour of a phase, `#rrggbb`. That of a custom loop's own phase follows from its name."""
    if not phase.is_own:
        return PHASE_COLOURS[phase]
    if phase in COMMUNICATION_COLOURS:
        return COMMUNICATION_COLOURS[phase]
    hue = hashlib.blake2b(phase.encode(), digest_size=1).digest()[0] / 256
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, 0.55, 0.5))


SUBJECT_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#8e4585", "#e69f00", "#56b4e9")


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on `colour` (#rrggbb)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return ON_COLOUR if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER
