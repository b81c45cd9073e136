"""YAML files and `key=value` overrides: to a config, and back. They only override its defaults."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scdnet.config import Config
from scdnet.errors import ScdnetError

# Values by dotted key.
Flat = dict[str, Any]

# In a wheel the configs lie inside the package, in a checkout beside it.
PACKAGED_CONFIGS = Path(__file__).with_name("configs")
CONFIGS = PACKAGED_CONFIGS if PACKAGED_CONFIGS.is_dir() else Path(__file__).parents[1] / "configs"


class ConfigError(ScdnetError):
    """A config file or override that cannot be used."""


def find_config(path: Path, *, group: str = "") -> Path:
    """Return `path` if it is a file, else the config of the package that has this name.

    `group` is a subdirectory of the configs, such as "sweeps". Raises ConfigError, with similar
    names, if there is neither.
    """
    if path.is_file():
        return path
    known = {file.stem: file for file in (CONFIGS / group).glob("*.yaml")}
    if str(path) in known:
        return known[str(path)]
    near = difflib.get_close_matches(path.stem, known, n=1)
    hint = (
        f"; did you mean {near[0]!r}?" if near else f"; configs by name: {', '.join(sorted(known))}"
    )
    raise ConfigError(f"{path}: no such config file{hint}")


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read YAML, apply `a.b=c` overrides and validate.

    `path` may also be the name of a config of the package. Raises ConfigError, which states the
    dotted key, what was found and where.
    """
    path = find_config(path)
    values, origin = _read_yaml(path, seen=())
    for override in overrides:
        key, separator, text = override.partition("=")
        if not (separator and key):
            raise ConfigError(f"{override}: expected an override of the form key=value")
        for dotted, value in _flatten(_parse_yaml(text, where=override), key).items():
            values[dotted], origin[dotted] = value, "on the command line"
    try:
        return Config.model_validate(_unflatten(values, path))
    except ValidationError as error:
        raise ConfigError(_explain(error, path, origin)) from None


def dump_config(config: Config) -> dict[str, Any]:
    """The resolved config as plain values, for YAML, JSON and checkpoints."""
    return config.model_dump(mode="json")


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which two dumped configs differ, with both values.

    A key that is younger than `old` had its default there.
    """
    before, after = _flatten(dump_config(Config())) | _flatten(old), _flatten(new)
    pairs = {key: (before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _read_yaml(path: Path, seen: tuple[Path, ...]) -> tuple[Flat, dict[str, str]]:
    """The values of a file and of the files it builds on, and where each stands."""
    path = path.resolve() if seen else path
    if path.resolve() in seen:
        raise ConfigError(f"{path}: its `base:` leads back to itself")
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    tree = _parse_yaml(path.read_bytes(), where=path)
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: expected a mapping of keys to values, found {type(tree).__name__}"
        )
    base = tree.pop("base", None)
    if not isinstance(base, str | None):
        raise ConfigError(f"{path}: base: expected the name of a file, found {base!r}")
    values, origin = _read_yaml(path.parent / base, (*seen, path.resolve())) if base else ({}, {})
    own = _flatten(tree)
    return {**values, **own}, {**origin, **dict.fromkeys(own, f"in {path}")}


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
                raise ConfigError(f"{dotted}: {section!r} in {path} is a value, not a section")
        node[leaf] = value
    return tree


def _explain(error: ValidationError, path: Path, origin: Mapping[str, str]) -> str:
    first = error.errors()[0]
    dotted = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    where = origin.get(dotted) or next(
        (place for key, place in origin.items() if key.startswith(dotted)), f"in {path}"
    )
    known = _flatten(dump_config(Config()))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(dotted, known, n=1)
        return f"{dotted}: unknown key {where}" + (f"; did you mean {near[0]!r}?" if near else "")
    if (
        first["type"] == "value_error" and dotted not in known
    ):  # a validator of a section names its keys itself
        return f"{first['ctx']['error']} ({path})"
    return (
        f"{dotted}: {first['msg'].removeprefix('Value error, ')}, found {first['input']!r} {where}"
    )
