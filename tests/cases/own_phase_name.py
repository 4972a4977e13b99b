"""A clock for a name that is no phase: its time would be in no phase."""

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import recording

try:
    with recording(RUNS, "mine", "1", {"forward": "", "clip_grad": ""}, batch_size=10, train_images=100):
        pass
except UserError as refusal:
    error = refusal

REFUSED = (UserError, "clip_grad")
