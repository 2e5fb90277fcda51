"""The exception and the warning that are shown to users, and what damaged files raise."""

DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What is raised where a file that bamkit wrote has other content by now: no JSON, parts that lack, other types."""


class BamkitError(Exception):
    """A mistake a user can mend: what is wrong and where (`message`), and what to type next (`hint`), a command a line.

    The command line prints them and exits with status 3. Programming errors raise ordinary exceptions.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({'; '.join(self.hint.splitlines())})" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter show in place of a traceback."""
        return [f"BamkitError: {self.message}", *(f"  {line}" for line in self.hint.splitlines())]


class StaleWarning(UserWarning):
    """Something is used although what it was made from has changed since; the text names the command that renews it."""
