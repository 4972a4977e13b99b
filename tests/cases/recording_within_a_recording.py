"""A second recording in one process while the first one goes on, as in a notebook whose cell did not end it."""

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

sizes = {"batch_size": 10, "train_images": 100}
with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, **sizes):
    try:
        with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, **sizes):
            pass
    except UserError as refusal:
        error = refusal

REFUSED = (UserError, "this process records another run; end that recording first")
