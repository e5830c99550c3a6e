"""Where this folder is on PYTHONPATH, stages write what they read into the folder that RECORDS names, as JSON."""

import atexit
import json
import os
import sys
from pathlib import Path

if "-m" in sys.orig_argv and sys.orig_argv[-1] != "-m":
    command = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    if command[0].startswith("stages.") and os.environ.get("RECORDS"):
        here = Path(__file__).resolve().parent
        sys.path[:0] = [str(Path.cwd() / "src"), str(here.parent)]  # a copy's own library, as stages/__init__.py has it
        from recorder import Recorder

        recorder = Recorder(Path.cwd()).start()

        def write() -> None:
            path = Path(os.environ["RECORDS"], "-".join(command).replace("/", "_") + ".json")
            path.write_text(json.dumps(recorder.record(" ".join(command))), encoding="utf-8")

        atexit.register(write)
