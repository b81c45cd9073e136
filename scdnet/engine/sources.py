"""The one way to the weights of an encoder, whatever they lie in, and what is known of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scdnet.config import Config, Stream
from scdnet.engine.build import encoder_sizes
from scdnet.engine.checkpoint import (
    Checkpoint,
    CheckpointError,
    assemble_encoder,
    build_encoder,
    read_checkpoint,
)
from scdnet.engine.exported import Exported, read_exported
from scdnet.engine.locate import is_shipped, locate_encoder, state_source
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.skeleton import Skeleton
from scdnet.skeletons import DEFAULT_SKELETON

# The keys of the config that state the sizes of an encoder which leave traces in its output.
SIZE_KEYS = {
    "base_channels": "model.base_channels",
    "embed_dim": "model.embed_dim",
    "num_heads": "model.num_heads",
    "num_layers": "model.num_layers",
    "num_frames": "data.num_frames",
    "num_bodies": "data.num_bodies",
    "pooling": "model.pooling",
    "align_sides": "model.align_sides",
    "components": "model.components",
    "component_weight": "model.component_weight",
}
# The keys of checkpoints and exported encoders that state which stores they were trained on.
STORE_HASHES = ("store_sha256", "init_store_sha256")


@dataclass(frozen=True)
class Origin:
    """The pretraining of an encoder, as far as it is known."""

    seed: int | None = None
    # The number of completed epochs.
    epoch: int | None = None
    # The file names of the stores without suffix, joined by `+`.
    stores: str | None = None
    # The hashes of the content of the stores, with blanks between them; those of the encoder that
    # the pretraining started from follow.
    store_sha256: str | None = None
    # The name in tables.
    display_name: str | None = None


@dataclass(frozen=True)
class Pretrained:
    """The weights of an encoder, read from a checkpoint or an exported directory."""

    # The name or path that the user gave.
    source: str
    # The hash of the checkpoint, or of the weights of an exported encoder.
    sha256: str
    # None: the file does not state it (the authors').
    stream: Stream | None
    origin: Origin
    content: Checkpoint | Exported

    def build(
        self, *, num_heads: int | None = None, dropout: float | None = None
    ) -> DualPathEncoder:
        """Build the encoder, on the CPU and in eval mode.

        `num_heads` is used for files that do not state it (the authors'); `dropout` matters for
        further training only. Raises CheckpointError if the weights do not fit.
        """
        if isinstance(self.content, Checkpoint):
            dropout = EncoderSizes.dropout if dropout is None else dropout
            return build_encoder(self.content, num_heads=num_heads, dropout=dropout)
        encoder = self.content.encoder
        own = encoder.sizes.dropout if dropout is None else dropout
        sizes = replace(encoder.sizes, dropout=own)
        return assemble_encoder(encoder.state_dict(), sizes, encoder.skeleton).eval()

    @property
    def kind(self) -> str:
        """Return what it is, for messages."""
        return "checkpoint" if isinstance(self.content, Checkpoint) else "encoder"


def read_pretrained(source: str | Path) -> Pretrained:
    """Read a checkpoint, an exported directory, hf://OWNER/NAME or weights that ship.

    Raises CheckpointError, ExportedError or HubError.
    """
    path = locate_encoder(source)
    name = state_source(source)
    if path.is_dir():
        exported = read_exported(path)
        origin = _origin_of_exported(exported)
        if is_shipped(path):
            origin = replace(origin, display_name=path.name)
        return Pretrained(name, exported.sha256, exported.stream, origin, exported)
    checkpoint = read_checkpoint(path)
    stream = checkpoint.config["stream"] if checkpoint.config else None
    return Pretrained(
        name, checkpoint.sha256, stream, _origin_of_checkpoint(checkpoint), checkpoint
    )


def load_encoder(source: str | Path, *, num_heads: int | None = None) -> DualPathEncoder:
    """Load an encoder. See `scdnet.load_encoder`."""
    return read_pretrained(source).build(num_heads=num_heads)


def _origin_of_checkpoint(checkpoint: Checkpoint) -> Origin:
    config = checkpoint.config
    if config is None:
        return Origin(epoch=checkpoint.epoch)
    stores = config["data"]["store"]
    stores = [stores] if isinstance(stores, str) else stores
    return Origin(
        seed=config.get("seed"),
        epoch=checkpoint.epoch,
        stores="+".join(Path(store).stem for store in stores),
        store_sha256=_join_hashes(checkpoint.state[key] for key in STORE_HASHES),
        display_name=config.get("display_name") or None,
    )


def _origin_of_exported(exported: Exported) -> Origin:
    """Return what config.json states; anybody may have written what is in it."""
    stated: Mapping[str, Any] = exported.config["pretraining"]

    def number(key: str) -> int | None:
        value = stated.get(key)
        return value if type(value) is int else None

    def joined(key: str, separator: str = " ") -> str | None:
        values = stated.get(key)
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return separator.join(values) or None
        return None

    return Origin(
        seed=number("seed"),
        epoch=number("epoch"),
        stores=joined("data", "+"),
        store_sha256=_join_hashes(joined(key) for key in STORE_HASHES),
    )


def _join_hashes(texts: Iterable[str | None]) -> str | None:
    """Return all hashes once, with blanks between them, or None if there are none."""
    return " ".join(dict.fromkeys(" ".join(filter(None, texts)).split())) or None


def check_fits(
    found: Pretrained,
    encoder: DualPathEncoder,
    *,
    config: Config,
    skeleton: Skeleton,
    components: bool,
) -> None:
    """Raise CheckpointError unless an encoder suits the config and the skeleton of the stores.

    `components` states whether it must have components if and only if the config does.
    """
    if encoder.skeleton != skeleton:
        stores = ", ".join(map(str, config.data.stores))
        raise CheckpointError(
            f"{found.source}: trained on the joints of {encoder.skeleton.name}, but {stores} "
            f"has those of {skeleton.name}; {_way_out(encoder.skeleton, skeleton)}"
        )
    if found.stream not in (None, config.stream):
        raise CheckpointError(
            f"{found.source}: trained on stream {found.stream}, but the config states "
            f"{config.stream}; add stream={found.stream}"
        )
    own = vars(encoder.sizes)
    wanted = vars(encoder_sizes(config))
    if components:
        own = {**own, "components": len(encoder.components) > 0}
        wanted = {**wanted, "components": config.model.components}
    differing = [name for name in wanted if name != "dropout" and wanted[name] != own[name]]
    if not differing:
        return
    facts = ", ".join(
        f"{SIZE_KEYS.get(name, name)} is {own[name]} in the {found.kind}, {wanted[name]} in the "
        "config"
        for name in differing
    )
    overrides = (
        # Only files that do not state their stream come here with another number of streams.
        f"{SIZE_KEYS[name]}={own[name]}" if name in SIZE_KEYS else "stream=joint"
        for name in differing
    )
    raise CheckpointError(f"{found.source}: {facts}; add {' '.join(overrides)}")


def _way_out(trained: Skeleton, stored: Skeleton) -> str:
    """Return how an encoder and a store of different skeletons can be brought together."""
    again = f"pretrain an encoder on the joints of {stored.name}"
    if trained.dims == 2 or stored.dims == 2:
        return f"{again}, since 2-D joints cannot be mapped"
    target = DEFAULT_SKELETON.name
    whose = "the recordings" if trained == DEFAULT_SKELETON else "both sets of recordings"
    return f"convert {whose} with scdnet prepare ... --to {target}, or {again}"
