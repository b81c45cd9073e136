"""Find an encoder by what a user calls it: a path, an address of the hub, or a name that ships."""

from pathlib import Path

from scdnet.config_file import suggest_name
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.hub import download_encoder, find_hub_name
from scdnet.files import file_sha256

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# The directory of the weights that ship with the package, each in a directory of its name.
SHIPPED = Path(__file__).parents[1] / "pretrained"


def shipped_names() -> list[str]:
    """Return the names of the weights that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def is_shipped(path: Path) -> bool:
    """Check whether `path` is the directory of weights that ship."""
    return path.parent == SHIPPED


def find_path(source: str | Path) -> Path | None:
    """Return the checkpoint or directory that `source` names; None if it is not on this machine.

    A file, or a directory with a config.json, comes before weights that ship under its name; any
    other directory comes after them. An address of the hub is not on this machine.
    """
    if find_hub_name(source) is not None:
        return None
    path = Path(source)
    if path.is_file() or (path / CONFIG).is_file():
        return path
    if str(source) in shipped_names():
        return SHIPPED / source
    return path if path.exists() else None


def locate_encoder(source: str | Path) -> Path:
    """Return the path of the checkpoint or exported directory that `source` names.

    Raises CheckpointError if there is none, HubError if it cannot be downloaded.
    """
    address = find_hub_name(source)
    path = find_path(source) if address is None else download_encoder(address)
    if path is not None:
        return path
    problem = f"{source}: no such checkpoint or directory"
    # Something with a directory in it cannot be a name.
    if Path(source).name != str(source):
        raise CheckpointError(problem)
    names = shipped_names()
    hint = suggest_name(str(source), names) if names else "none ship with this version"
    raise CheckpointError(f"{problem}, and no weights of this name ship with scdnet; {hint}")


def state_source(source: str | Path) -> str:
    """Return `source` as a user writes it: a path object has lost a slash of an address."""
    address = find_hub_name(source)
    return str(source) if address is None else f"hf://{address}"


def state_anywhere(source: str | Path) -> str:
    """Return `source` so that it means the same in any directory of this machine."""
    path = find_path(source)
    is_name = path is None or is_shipped(path)
    return state_source(source) if is_name else str(Path(source).absolute())


def hash_weights(source: str | Path) -> str:
    """Return the SHA-256 of a checkpoint, or of the weights in an exported directory.

    Raises as `locate_encoder` does, and CheckpointError if a directory has no weights.
    """
    path = locate_encoder(source)
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{path}: it contains no {WEIGHTS} of scdnet export")
    return file_sha256(file)
