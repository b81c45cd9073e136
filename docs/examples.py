"""Let the API page show the examples of docstrings as code.

griffe, which reads the docstrings for mkdocstrings, takes a section `Examples:` as code, but
`Example:` as a note.
"""

import re

import griffe


class Examples(griffe.Extension):
    """Rename the sections `Example:`."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of an object that was just read."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = text
