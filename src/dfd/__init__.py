"""Deep Face Decoder: `dfd.Workspace()` opens a project's recognizers, decoders, faces and templates by name."""

import importlib


def __getattr__(name: str):
    if name == "Workspace":  # not before it is asked for: a stage that fetches photos needs none of its imports
        return importlib.import_module("dfd.workspace").Workspace
    raise AttributeError(f"module dfd has no attribute {name}")
