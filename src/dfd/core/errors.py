"""The one exception that a user is meant to read, and what else becomes a line for them."""

# What is said where memory is out, of the processor or the graphics card, by errors that are no MemoryError (torch's).
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "Storage size")
OUT_OF_MEMORY += ("DataLoader worker (pid",)  # was killed, which the system does where memory is out


class DfdError(Exception):
    """Input that cannot be used: the message names the file or the parameter, and says what to do."""


def for_the_user(error: Exception) -> str | None:
    """The one line for an error that its user can mend; None for one that only a developer can."""
    if isinstance(error, DfdError):
        return " ".join(str(error).split())  # names may hold line ends
    said = isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    if said or isinstance(error, MemoryError):
        return "out of memory; lower the batch size, the sizes, the numbers of faces or memory_gb"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename}: no such file; run the stage that writes it (`dvc repro`)"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return None
