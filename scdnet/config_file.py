"""YAML files and `key=value` overrides: to a config, and back. They only override its defaults."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scdnet.config import Config
from scdnet.errors import ScdnetError

# The configs lie inside the package in a wheel, and beside it in a checkout.
PACKAGED_CONFIGS = Path(__file__).with_name("configs")
CONFIGS = PACKAGED_CONFIGS if PACKAGED_CONFIGS.is_dir() else Path(__file__).parents[1] / "configs"
COMMAND_LINE = "command line"
# Two ways to state the length of the training: one replaces the other that a base has.
LENGTHS = ("optim.epochs", "optim.steps")

# The beginnings of pydantic's messages and our replacements.
MESSAGES = {
    "Value error, ": "",
    "Input should be ": "expected ",
    "String should match pattern ": "expected text that matches the pattern ",
}

# Values by dotted key.
Flat = dict[str, Any]


class ConfigError(ScdnetError):
    """A config file or override that cannot be used."""


def find_config(path: Path, *, group: str = "") -> Path:
    """Return `path` if it is a file, else the config of the package that has this name.

    `group` is a subdirectory of the configs, such as "sweeps". Raises ConfigError if there is
    neither; it states which names there are.
    """
    if path.is_file():
        return path
    known = {file.stem: file for file in (CONFIGS / group).glob("*.yaml")}
    if str(path) in known:
        return known[str(path)]
    raise ConfigError(f"{path}: no such config file; {suggest_name(path.stem, known)}")


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return the hint at the known name that resembles `name`, or at all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known names: {', '.join(names)}"


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read YAML, apply `a.b=c` overrides and validate.

    `path` may also be the name of a config of the package. Raises ConfigError, which states the
    file, the dotted key, what was expected and what was found.
    """
    path = find_config(path)
    values, origin = _read_yaml(path, seen=())
    return _validate(values, origin, overrides, path)


def restore_config(dumped: Mapping[str, Any], overrides: Sequence[str], *, path: Path) -> Config:
    """Apply overrides to a dumped config, that of the checkpoint at `path`, and validate.

    Raises ConfigError.
    """
    return _validate(_flatten(dumped), {}, overrides, path)


def _validate(values: Flat, origin: dict[str, str], overrides: Sequence[str], path: Path) -> Config:
    own = _parse_overrides(overrides)
    values = _override(values, own, where=COMMAND_LINE)
    origin |= dict.fromkeys(own, COMMAND_LINE)
    try:
        return Config.model_validate(_unflatten(values, path))
    except ValidationError as error:
        raise ConfigError(_explain(error.errors()[0], path, origin)) from None


def dump_config(config: Config) -> dict[str, Any]:
    """Return the resolved config as plain values, for YAML, JSON and checkpoints."""
    return config.model_dump(mode="json")


def merge_layers(*layers: Sequence[str]) -> list[str]:
    """Return the overrides of all layers as one list.

    A length of the training in a layer replaces that of the layers before it, in whichever unit.
    """
    merged: list[str] = []
    for layer in layers:
        own = _parse_overrides(layer)
        if any(own.get(key) is not None for key in LENGTHS):
            merged = [kept for override in merged for kept in _without_length(override)]
        merged += layer
    return merged


def _without_length(override: str) -> list[str]:
    values = _parse_overrides([override])
    if values.keys().isdisjoint(LENGTHS):
        return [override]
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in LENGTHS]


def with_defaults(dumped: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dumped config with the defaults of keys that it lacks."""
    return _flatten(dump_config(Config())) | _flatten(dumped)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys in which two dumped configs differ, with both values."""
    before = _flatten(old)
    after = _flatten(new)
    keys = sorted(before.keys() | after.keys())
    pairs = {key: (before.get(key), after.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _parse_overrides(overrides: Sequence[str]) -> Flat:
    own: Flat = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not (separator and key):
            raise ConfigError(f"{override}: expected an override of the form key=value")
        own |= _flatten(_parse_yaml(text, where=override), key)
    return own


def _override(values: Flat, own: Flat, *, where: object) -> Flat:
    """Return `values`, with those of `own`, which stand in the one place `where`, instead.

    Raises ConfigError if `own` states the length of the training twice.
    """
    stated = [key for key in LENGTHS if own.get(key) is not None]
    if len(stated) == len(LENGTHS):
        raise ConfigError(f"{where}: expected {' or '.join(LENGTHS)}, found both")
    replaced = {key: None for key in LENGTHS if stated and key in values}
    return values | replaced | own


def _read_yaml(path: Path, seen: tuple[Path, ...]) -> tuple[Flat, dict[str, str]]:
    """Return the values of a file and of those that it builds on, and the file of each value."""
    path = path.resolve() if seen else path
    if path.resolve() in seen:
        raise ConfigError(f"{path}: its `base:` leads back to itself")
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    tree = _parse_yaml(path.read_bytes(), where=path)
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys with values, found {type(tree).__name__}")
    base = tree.pop("base", None)
    if not isinstance(base, str | None):
        raise ConfigError(f"{path}: base: expected the name of a file, found {base!r}")
    own = _flatten(tree)
    origin = dict.fromkeys(own, str(path))
    values: Flat = {}
    if base:
        values, base_origin = _read_yaml(path.parent / base, (*seen, path.resolve()))
        origin = base_origin | origin
    return _override(values, own, where=path), origin


def _parse_yaml(text: str | bytes, where: object) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML ({error})") from None


def _flatten(tree: Any, prefix: str = "") -> Flat:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    flat: Flat = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _unflatten(values: Flat, path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for dotted, value in values.items():
        *sections, leaf = dotted.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{path}: {dotted}: {section!r} is a value, not a section")
        node[leaf] = value
    return tree


def _explain(error: ErrorDetails, path: Path, origin: Mapping[str, str]) -> str:
    """Return one line for what pydantic has found wrong: where, what was expected and found."""
    known = _flatten(dump_config(Config()))
    parts = [part for part in error["loc"] if isinstance(part, str)]
    # A value of several types: the name of one of them comes after the key.
    if ".".join(parts[:-1]) in known:
        parts.pop()
    dotted = ".".join(parts)
    inside = (place for key, place in origin.items() if key.startswith(dotted))
    where = origin.get(dotted) or next(inside, str(path))
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(dotted, known, n=1)
        return f"{where}: {dotted}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
    # The validator of a section names the keys itself.
    if error["type"] == "value_error" and dotted not in known:
        return f"{path}: {error['ctx']['error']}"
    message = error["msg"]
    for theirs, ours in MESSAGES.items():
        message = message.replace(theirs, ours)
    return f"{where}: {dotted}: {message}, found {error['input']!r}"
