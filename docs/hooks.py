"""Fill the docs with what the code defines: tables of config keys and options, and notebooks.

mkdocs calls `on_page_markdown` for each page. A page asks for a table by a comment of its own,
such as `<!-- config-keys -->`, so a key or an option has its text in one place, the code. Likewise
`<!-- notebook NAME -->` asks for the text, code and pictures of a notebook of examples/.
"""

import argparse
import ast
import inspect
import json
import re
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple
from unittest import mock

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scdnet import config
from scdnet.__main__ import COMMANDS

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
BOUNDS = {
    Ge: ("ge", "≥ {:,}"),
    Gt: ("gt", "> {:,}"),
    Le: ("le", "≤ {:,}"),
    Lt: ("lt", "< {:,}"),
    MultipleOf: ("multiple_of", "multiple of {}"),
}
TYPE_NAMES = {bool: "true, false", int: "integer", float: "number", str: "text", Path: "path"}
LONG_BOUND = 10**6


class ConfigKey(NamedTuple):
    """A row of the table of config keys."""

    key: str
    default: str
    values: str
    meaning: str


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the comments that ask for a table."""
    for comment, make_table in TABLES.items():
        if comment in markdown:
            markdown = markdown.replace(comment, make_table())
    return re.sub(r"<!-- notebook (\w+) -->", lambda found: notebook_page(found[1]), markdown)


def notebook_page(name: str) -> str:
    """Return a notebook of examples/ as a page of docs/notebooks/.

    What a cell shows is docs/images/notebook_<id of the cell>.png, if there is one.
    """
    text = (EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8")
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            linked = source.replace("](../docs/", "](../")
            parts.append(re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", linked))
            continue
        parts.append(f"```python\n{source}\n```")
        picture = f"images/notebook_{cell['id']}.png"
        if (DOCS / picture).exists():
            parts.append(f"![What the cell shows](../{picture})")
    return "\n\n".join(parts)


def config_tables() -> str:
    """Return a table of config keys for each section of the config."""
    parts = []
    for name, section in sections():
        title = f"## `{name}`" if name else "## Top level"
        prefix = f"{name}." if name else ""
        rows = [[f"`{prefix}{row.key}`", *row[1:]] for row in keys_of(section)]
        table = markdown_table(["key", "default", "values", "meaning"], rows)
        parts += [title, link_pages(inspect.cleandoc(section.__doc__ or "")), table]
    return "\n\n".join(parts)


def link_pages(text: str) -> str:
    """Turn pages that a docstring cites, such as `docs/method.md 2`, into links."""
    return re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", text)


def sections(
    section: type[BaseModel] = config.Config, prefix: str = ""
) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the sections of the config with their dotted names, the top level first."""
    yield prefix, section
    for name, field in section.model_fields.items():
        if is_section(field):
            inner: Any = field.annotation
            yield from sections(inner, f"{prefix}.{name}" if prefix else name)


def keys_of(section: type[BaseModel]) -> list[ConfigKey]:
    """Return the keys of one section, without those of the sections in it."""
    comments = field_comments(section)
    rows = []
    for name, field in section.model_fields.items():
        if not is_section(field):
            default = format_default(field.get_default())
            rows.append(ConfigKey(name, default, describe_values(field), comments.get(name, "")))
    return rows


def is_section(field: FieldInfo) -> bool:
    """Check whether a field is a section of its own."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def field_comments(section: type[BaseModel]) -> dict[str, str]:
    """Return the comment above each field of a section and of the sections it extends."""
    comments: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        source = inspect.getsource(base)
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = comment_above(lines, node.lineno - 1)
                if text:
                    comments[node.target.id] = text
    return comments


def comment_above(lines: list[str], end: int) -> str:
    """Return the comment lines that end before line `end`, counted from 0, as one text."""
    start = end
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[start:end])


def format_default(value: object) -> str:
    """Return a default as it is written in YAML."""
    if isinstance(value, tuple):
        return f"`[{', '.join(format_default(part).strip('`') for part in value)}]`"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text and value is not None else ""


def describe_values(field: FieldInfo) -> str:
    """Return the values that a field accepts, in words."""
    types = alternatives(field.annotation)
    return " or ".join(describe_type(annotation, field.metadata) for annotation in types)


def alternatives(annotation: Any) -> list[Any]:
    """Return the types of a union, without None, or the only type."""
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return [part for part in typing.get_args(annotation) if part is not NoneType]
    return [annotation]


def describe_type(annotation: Any, metadata: list[Any]) -> str:
    """Return the values that a type accepts within the bounds of `metadata`, in words."""
    choices = literals(annotation)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, field = typing.get_args(annotation)
        metadata = field.metadata
    bounds = []
    for kind, (attribute, text) in BOUNDS.items():
        limits = [getattr(item, attribute) for item in metadata if isinstance(item, kind)]
        bounds += [text.format(limit) for limit in limits if limit < LONG_BOUND]
    name = "list" if typing.get_origin(annotation) is tuple else TYPE_NAMES[annotation]
    return ", ".join([name, *bounds])


def literals(annotation: Any) -> list[object]:
    """Return the choices of a Literal, also of one inside a tuple or Annotated."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    parts = [part for part in typing.get_args(annotation) if part is not Ellipsis]
    found = [choice for part in parts for choice in literals(part)]
    return list(dict.fromkeys(found))


def command_tables() -> str:
    """Return a table of options for each command that has a parser."""
    parts = []
    for verb in COMMANDS:
        parser = find_parser(verb)
        description = inspect.cleandoc(parser.description or "")
        parts += [f"### scdnet {verb}", description, option_table(parser)]
    return "\n\n".join(parts)


def option_table(parser: argparse.ArgumentParser) -> str:
    """Return the options of a parser as a table, without those that every command has."""
    rows = []
    for action in parser._actions:
        if action.dest not in ("help", "debug"):
            rows.append([f"`{format_option(action)}`", describe_option(action)])
    return markdown_table(["option", "meaning"], rows) if rows else "No options."


def format_option(action: argparse.Action) -> str:
    """Return an option with its values, as in a usage line."""
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    if action.choices:
        value: object = " | ".join(str(choice) for choice in action.choices)
    else:
        value = action.metavar or action.dest.upper()
    values = " ".join(value) if isinstance(value, tuple) else str(value)
    return f"{names} {values}".strip()


def describe_option(action: argparse.Action) -> str:
    """Return the help text of an option, with its default where the text has none."""
    text = (action.help or "") % {**vars(action), "prog": "scdnet"}
    notes = ["required"] if action.option_strings and action.required else []
    notes += ["may be repeated"] if isinstance(action, argparse._AppendAction) else []
    notes = [note for note in notes if note not in text]
    return f"{text} ({', '.join(notes)})" if text and notes else text or ", ".join(notes)


class _Parsed(Exception):  # noqa: N818 - not an error: it carries the parser out of a command
    """The parser of a command, at the moment at which it would read the arguments."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def find_parser(verb: str) -> argparse.ArgumentParser:
    """Return the parser of a command of `scdnet`."""

    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Parsed(parser)

    command = import_module(f"scdnet.commands.{verb.replace(' ', '_')}")
    parsing: dict[str, Any] = dict.fromkeys(("parse_args", "parse_intermixed_args"), stop)
    with mock.patch.multiple(argparse.ArgumentParser, **parsing):
        try:
            command.main([])
        except _Parsed as found:
            return found.parser
    raise RuntimeError(f"scdnet {verb}: its main function parses no arguments")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return rows of cells as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    # Within backticks a bar divides no cells.
    cells = [
        [cell if cell.startswith("`") else cell.replace("|", "\\|") for cell in line]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |".replace("\n", " ") for line in cells)


TABLES = {
    "<!-- config-keys -->": config_tables,
    "<!-- command-options -->": command_tables,
}
