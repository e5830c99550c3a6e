"""The pipeline's stages: one Typer command per file, run from the repository root as `python -m stages.<name>`."""

import functools
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

# A queued or temporary experiment runs a copy of this checkout, while an editable install points to the original.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import typer

from dfd.core.errors import DfdError
from dfd.core.paths import (  # noqa: F401
    ARCHIVE,
    CLOSED_FORM,
    DECODER,
    EXPERIMENT,
    FACES,
    RECOGNIZER,
    TEMPLATES,
    TRANSFORMS,
)

log = logging.getLogger("stages")


def run(command: Callable) -> None:
    """Run a stage's command: log its time, and turn an error that its user can mend into one line and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

    @functools.wraps(command)  # the arguments are the command's own
    def timed(*arguments, **options) -> None:
        start = time.perf_counter()
        command(*arguments, **options)
        log.info("done in %.1f s", time.perf_counter() - start)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(timed)
    try:
        app()
    except DfdError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print("error: out of memory; lower the batch size, the sizes or memory_gb in params.yaml", file=sys.stderr)
        sys.exit(1)
