"""The final status of a run: complete, interrupted by Ctrl-C or SIGTERM, or failed."""

from collections.abc import Iterator
from contextlib import contextmanager

from epoch_gap.profiler.machine.canary import peak_rss_bytes
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.writer import RunWriter


@contextmanager
def store_final_status(writer: RunWriter) -> Iterator[None]:
    """On exit, store the run's final status (complete, interrupted by Ctrl-C, or failed) and close the run."""
    status = RunStatus.FAILED
    try:
        yield
        status = RunStatus.COMPLETE
    except KeyboardInterrupt:
        status = RunStatus.INTERRUPTED
        raise
    except Exception as error:
        writer.event("error", f"{type(error).__name__}: {error}")
        raise
    finally:
        writer.update({"peak_rss_bytes": peak_rss_bytes()})
        writer.finish(status)
