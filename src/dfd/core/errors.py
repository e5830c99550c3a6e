"""The one exception that a user is meant to read."""


class DfdError(Exception):
    """Input that cannot be used: the message names the file or the parameter, and says what to do."""
