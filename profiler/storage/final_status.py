"""The final status of a run: complete, interrupted (by Ctrl-C or SIGTERM, for two), or failed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from epoch_gap.profiler.machine.canary import peak_rss_bytes
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.tolerant_writer import TolerantWriter
from epoch_gap.profiler.storage.writer import RunWriter


@contextmanager
def store_final_status(writer: RunWriter | TolerantWriter) -> Iterator[None]:
    """On exit, store the run's final status (complete, interrupted, or failed) and close the run.

    Ctrl-C, `sys.exit()` without an error, and a generator that is closed before its end interrupt a run.
    An exception passes through unchanged, even if the status cannot be stored.
    """
    try:
        yield
    except BaseException as error:
        with suppress(Exception):
            if isinstance(error, Exception):
                writer.event("error", _describe(error))
        with suppress(Exception):
            _finish(writer, RunStatus.INTERRUPTED if _is_interruption(error) else RunStatus.FAILED)
        raise
    _finish(writer, RunStatus.COMPLETE)


def _is_interruption(error: BaseException) -> bool:
    is_success = isinstance(error, SystemExit) and error.code in (None, 0)
    return is_success or isinstance(error, KeyboardInterrupt | GeneratorExit)


def _describe(error: Exception) -> str:
    """The kind and the text of an error; its text may hold anything, such as a file name that is not UTF-8."""
    return f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()


def _finish(writer: RunWriter | TolerantWriter, status: RunStatus) -> None:
    try:
        writer.update({"peak_rss_bytes": peak_rss_bytes()})
    finally:
        writer.finish(status)
