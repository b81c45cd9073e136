"""Helpers of tests on exported encoders."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from scdnet.engine import locate
from scdnet.engine.exported import CONFIG, WEIGHTS, Probe
from scdnet.engine.exported_writer import pack_encoder, write_exported
from scdnet.models.components import Components
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25

SMALL = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=8, num_bodies=1)


def make_clips(encoder: DualPathEncoder, num: int = 12) -> torch.Tensor:
    sizes = encoder.sizes
    generator = torch.Generator().manual_seed(1)
    shape = (num, 3, sizes.num_frames, encoder.skeleton.num_joints, sizes.num_bodies)
    return torch.randn(shape, generator=generator)


def make_encoder(
    sizes: EncoderSizes = SMALL, skeleton: Skeleton = NTU_25, *, has_components: bool = False
) -> DualPathEncoder:
    """Return an encoder with weights, and statistics of batch norms, as training leaves them."""
    torch.manual_seed(0)
    encoder = DualPathEncoder(sizes, skeleton)
    clips = make_clips(encoder)
    encoder(clips)
    if has_components:
        for name, seen in encoder.seen_clips(clips).items():
            encoder.components[name] = Components.fit(seen, ("joint", "motion"), skeleton)
    return encoder.eval()


def export(
    folder: Path, encoder: DualPathEncoder | None = None, *, probe: Probe | None = None, **how: str
) -> Path:
    options = {"dtype": "float32", "stream": "joint", **how}
    stream = options.pop("stream")
    encoder = encoder or make_encoder()
    packed = pack_encoder(encoder, stream, probe=probe, pretraining={}, **options)
    write_exported(folder, packed, "A card.")
    return folder


def change_config(folder: Path, change: Callable[[dict], object]) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def seal(folder: Path, content: bytes, *, name: str = WEIGHTS, key: str = "weights") -> None:
    """Write a file and let config.json state its size and hash."""
    (folder / name).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    change_config(folder, lambda c: c[key].update(num_bytes=len(content), sha256=sha256))


def change_weights(folder: Path, change: Callable[[dict], object]) -> None:
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    change(weights)
    seal(folder, safetensors.torch.save(weights))


def ship(
    patch: pytest.MonkeyPatch,
    room: Path,
    encoder: DualPathEncoder | None = None,
    *,
    name: str = "scdnet-small",
) -> Path:
    """Let an encoder ship under a name, in the directory `room`; return its directory."""
    patch.setattr(locate, "SHIPPED", room)
    return export(room / name, encoder)
