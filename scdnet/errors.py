"""The error that a user can fix."""


class ScdnetError(Exception):
    """Bad data, file, config or argument: what is wrong, where, what was expected, what to do.

    The commands print it as one line and end with status 2; every named error of the project is
    derived from it.
    """

    def __str__(self) -> str:
        # Messages of libraries, quoted in ours, may have several lines.
        return " ".join(super().__str__().split())
