"""The error that a user can put right."""


class ScdnetError(Exception):
    """Bad data, file, config or argument: the message, one line, says what, where and what was expected.

    The commands print it as one line and end with status 2; every named error of the project derives from it.
    """

    def __str__(self) -> str:
        return " ".join(
            super().__str__().split()
        )  # messages of libraries, quoted in ours, may have several lines
