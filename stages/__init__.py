"""The pipeline's stages: one Typer command per file, run from the repository root as `python -m stages.<name>`."""

import contextlib
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# A queued or temporary experiment runs a copy of this checkout, while an editable install points to the original.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import typer

from dfd.core.errors import for_the_user
from dfd.core.sources import READ, changed, note, states
from dfd.params import load_params

log = logging.getLogger("stages")


@contextlib.contextmanager
def _watching(stage: str, names: list[str]) -> Iterator[None]:
    """Note how the files outside the project are that a stage reads, and tell of those of its data set or recognizer that have
    changed since an earlier stage read them."""
    before = states(stage, load_params().entry(READ[stage][0], names[0]).model_dump()) if stage in READ else None
    yield
    if before is not None:
        note(stage, names[0], before)
    for line in changed(names):
        log.warning("warning: %s", line)


def run(command: Callable) -> None:
    """Run a stage's command: log its time, and turn an error that its user can mend into one line and exit code 1."""
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a sign that its encoding lacks is no traceback
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

    @functools.wraps(command)  # the arguments are the command's own
    def timed(*arguments, **options) -> None:
        start = time.perf_counter()
        with _watching(Path(command.__code__.co_filename).stem, list(options.values())):
            command(*arguments, **options)
        log.info("done in %.1f s", time.perf_counter() - start)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(timed)
    try:
        app()
    except Exception as error:
        if (line := for_the_user(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
