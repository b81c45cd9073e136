"""The weights that a pretraining starts from, where they are not random (the config's `init`)."""

from typing import NamedTuple

from torch import Tensor

from scdnet.config import Config
from scdnet.engine.checkpoint import COMPONENTS, CheckpointError
from scdnet.engine.distributed import run_on_main
from scdnet.engine.locate import find_path
from scdnet.engine.sources import check_fits, read_pretrained
from scdnet.errors import ScdnetError
from scdnet.skeleton import Skeleton


class Initial(NamedTuple):
    """The weights of an encoder that another one starts from."""

    # The hash of the checkpoint, or of the weights of an exported encoder; empty: random weights.
    sha256: str = ""
    # The hashes of the stores that it was trained on, with blanks between them; empty: unknown.
    store_sha256: str = ""
    # They lack components. None: random ones, or those that the first rank sends.
    weights: dict[str, Tensor] | None = None


RANDOM = Initial()


def read_initial(config: Config, skeleton: Skeleton) -> Initial:
    """Read the weights that `config.init` names, on the first of the ranks.

    Raises ScdnetError on all of them if they cannot be read or do not fit.
    """
    if config.init is None:
        return RANDOM
    source = config.init
    found: list[Initial] = []

    def read() -> tuple[str, str]:
        found.append(_read_weights(source, config, skeleton))
        return found[0].sha256, found[0].store_sha256

    hashes = run_on_main(read)
    return found[0] if found else Initial(*hashes)


def _check_place(source: str, config: Config) -> None:
    """Raise CheckpointError if a run would start from what it replaces."""
    path = find_path(source)
    if path is not None and path.resolve().is_relative_to(config.run_dir.resolve()):
        raise CheckpointError(f"{source}: lies in the directory of this run; choose another name=")


def _read_weights(source: str, config: Config, skeleton: Skeleton) -> Initial:
    try:
        _check_place(source, config)
        found = read_pretrained(source)
        encoder = found.build(num_heads=config.model.num_heads)
        check_fits(found, encoder, config=config, skeleton=skeleton, components=False)
    except ScdnetError as error:
        raise CheckpointError(f"init: {error}") from error
    weights = {
        name: weight
        for name, weight in encoder.state_dict().items()
        if not name.startswith(COMPONENTS)
    }
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise CheckpointError(
                f"init: {found.source}: {name} contains NaN or Inf; start from an encoder whose "
                "training has not diverged"
            )
    return Initial(found.sha256, found.origin.store_sha256 or "", weights)
