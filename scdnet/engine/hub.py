"""Encoders on the Hugging Face hub, which is asked for the files of one and nothing else."""

import re
from pathlib import Path
from types import ModuleType

from scdnet.errors import ScdnetError
from scdnet.files import DAMAGED_FILE_ERRORS

# The files of an encoder that are read.
FILES = ("config.json", "model.safetensors", "head.safetensors")
# A path object has lost one of the slashes.
SCHEME = re.compile(r"^hf:/{1,2}")
NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


class HubError(ScdnetError):
    """An encoder that cannot be downloaded."""


def find_hub_name(source: str | Path) -> str | None:
    """Return the OWNER/NAME[@REVISION] that `source` asks for, or None if it is a path."""
    text = source if isinstance(source, str) else source.as_posix()
    name, num_found = SCHEME.subn("", text)
    if not num_found:
        return None
    if not NAME.fullmatch(name):
        raise HubError(f"hf://{name}: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    return name


def download_encoder(name: str) -> Path:
    """Return the directory with the files of OWNER/NAME[@REVISION] in the cache of the hub.

    The environment variables of huggingface_hub apply: with HF_HUB_OFFLINE=1, or without a network,
    what was downloaded before is used. Raises HubError.
    """
    hub = _import_hub(name)
    repository, _, revision = name.partition("@")
    try:
        folder = hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=list(FILES)
        )
    except (*DAMAGED_FILE_ERRORS, hub.errors.HfHubHTTPError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise HubError(
            f"hf://{name}: cannot be downloaded, and is not in the cache ({reason}); check the "
            "name and the network, or download the files and give their directory"
        ) from error
    return Path(folder)


def _import_hub(name: str) -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise HubError(f"hf://{name}: needs huggingface_hub: pip install 'scdnet[hub]'") from None
    return huggingface_hub
