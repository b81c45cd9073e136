import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from scdnet import load_encoder
from scdnet.engine.exported import (
    CONFIG,
    HEAD,
    WEIGHTS,
    ExportedError,
    Probe,
    open_exported,
    read_exported,
)
from scdnet.models.encoder import EncoderSizes
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS
from tests.engine.exports import (
    SMALL,
    change_config,
    change_weights,
    export,
    make_clips,
    make_encoder,
    seal,
)

FLAT = next(skeleton for skeleton in SKELETONS.values() if skeleton.dims == 2)
ALL = replace(SMALL, num_streams=3)


@pytest.mark.parametrize(
    ("sizes", "skeleton", "stream", "has_components"),
    [
        (SMALL, NTU_25, "joint", False),
        (replace(SMALL, num_bodies=2, num_layers=2, pooling="mean"), NTU_25, "motion", False),
        (replace(ALL, align_sides=True), NTU_25, "all", True),
        (SMALL, FLAT, "bone", True),
    ],
)
def test_an_encoder_comes_back_to_the_last_bit(
    tmp_path: Path, sizes: EncoderSizes, skeleton: Skeleton, stream: str, has_components: bool
):
    encoder = make_encoder(sizes, skeleton, has_components=has_components)
    exported = read_exported(export(tmp_path / "e", encoder, stream=stream))
    before, after = encoder.state_dict(), exported.encoder.state_dict()
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert [name for name in before if before[name].dtype != after[name].dtype] == []
    clips = make_clips(encoder)
    with torch.inference_mode():
        pairs = zip(encoder.all_features(clips), exported.encoder.all_features(clips), strict=True)
        assert all(torch.equal(first, second) for first, second in pairs)
    assert (exported.skeleton, exported.stream) == (skeleton, stream)
    assert exported.encoder.sizes == sizes
    assert not exported.encoder.training
    assert exported.probe is None


def test_the_config_describes_what_the_encoder_takes(tmp_path: Path):
    exported = read_exported(export(tmp_path / "e"))
    config = exported.config
    assert config["skeleton"]["joints"] == list(NTU_25.joints)
    assert config["views"]["num_frames"] == SMALL.num_frames
    assert config["normalization"]["unit"] == "m"
    assert config["normalization"]["center"] == [NTU_25.joints[v] for v in NTU_25.center]
    assert config["num_features"] == 2 * SMALL.embed_dim
    content = (tmp_path / "e" / WEIGHTS).read_bytes()
    assert exported.sha256 == hashlib.sha256(content).hexdigest() == config["weights"]["sha256"]
    assert config["weights"]["num_bytes"] == len(content)


def test_nothing_but_the_encoder_is_in_the_weights(tmp_path: Path):
    names = safetensors.torch.load_file(export(tmp_path / "e") / WEIGHTS).keys()
    assert names == make_encoder().state_dict().keys()


def test_float16_halves_the_file_and_is_loaded_as_float32(tmp_path: Path):
    encoder = make_encoder()
    full = export(tmp_path / "full", encoder) / WEIGHTS
    half = export(tmp_path / "half", encoder, dtype="float16")
    assert (half / WEIGHTS).stat().st_size < 0.6 * full.stat().st_size
    found = read_exported(half).encoder.state_dict()
    for name, weight in encoder.state_dict().items():
        expected = weight.half().float() if weight.is_floating_point() else weight
        assert torch.equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_an_encoder_with_components_in_float16_has_nearly_the_features(tmp_path: Path):
    encoder = make_encoder(has_components=True)
    half = read_exported(export(tmp_path / "half", encoder, dtype="float16")).encoder
    clips = make_clips(encoder)
    with torch.inference_mode():
        pairs = zip(encoder.all_features(clips), half.all_features(clips), strict=True)
        assert all(torch.allclose(first, second, atol=0.01) for first, second in pairs)


def test_a_linear_head_comes_back_with_its_classes(tmp_path: Path):
    probe = Probe(torch.randn(3, 32), torch.randn(3), ("sit", "stand", "wave"))
    found = read_exported(export(tmp_path / "e", probe=probe)).probe
    assert found is not None
    assert torch.equal(found.weight, probe.weight)
    assert torch.equal(found.bias, probe.bias)
    assert found.class_names == probe.class_names


@pytest.mark.parametrize("kind", [str, Path])
def test_load_encoder_takes_a_directory(tmp_path: Path, kind: type):
    folder = export(tmp_path / "e")
    expected = make_encoder().state_dict()
    for encoder in (load_encoder(kind(folder)), open_exported(kind(folder)).encoder):
        assert all(torch.equal(expected[name], x) for name, x in encoder.state_dict().items())


def write_nan(weights: dict) -> None:
    weights["temporal_stem.units.0.gcn.alpha"].fill_(float("nan"))


def shorten_bias(weights: dict) -> None:
    name = "spatial_path.project.0.bias"
    weights[name] = weights[name][1:].clone()


def tamper_header(folder: Path) -> None:
    """Let a tensor claim bytes beyond the end of the file."""
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["spatial_path.project.0.bias"]["data_offsets"][1] += 2**30
    text = json.dumps(header).encode()
    seal(folder, len(text).to_bytes(8, "little") + text + content[8 + length :])


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / CONFIG).unlink(), "contains no config.json"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "contains no model.safetensors"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), "not readable as JSON"),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), "not a config.json of an encoder"),
    "deep JSON": (lambda f: (f / CONFIG).write_text("[" * 10**5), "not readable as JSON"),
    "another model": (
        lambda f: (f / CONFIG).write_text('{"model_type": "bert"}'),
        "that this version of scdnet can read: scdnet_version: Field required",
    ),
    "a later version": (
        lambda f: change_config(f, lambda c: c.update(version=2)),
        "version: expected 1",
    ),
    "an empty file": (lambda f: (f / WEIGHTS).write_bytes(b""), "found an empty file"),
    "a pointer": (
        lambda f: (f / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a Git LFS pointer",
    ),
    "cut off": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1]),
        "as config.json states, found",
    ),
    "a longer file": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes() + b"\0"),
        "as config.json states, found",
    ),
    "a changed bit": (flip_a_bit, "the file was changed or damaged"),
    "a tampered header": (tamper_header, "not readable as safetensors"),
    "a header of 2^60 bytes": (
        lambda f: seal(f, (2**60).to_bytes(8, "little") + bytes(100)),
        "not readable as safetensors",
    ),
    "NaN": (lambda f: change_weights(f, write_nan), "gcn.alpha contains NaN or Inf"),
    "a missing weight": (
        lambda f: change_weights(f, lambda w: w.pop("temporal_path.project.0.bias")),
        "temporal_path.project.0.bias",
    ),
    "a missing unit": (
        lambda f: change_weights(f, lambda w: w.pop("temporal_stem.units.0.gcn.adjacency")),
        "it lacks 'temporal_stem.units.0.gcn.adjacency'",
    ),
    "a foreign weight": (
        lambda f: change_weights(f, lambda w: w.update(fc=torch.zeros(3))),
        "fc",
    ),
    "components out of nowhere": (
        lambda f: change_weights(f, lambda w: w.update({"components.x": torch.zeros(3)})),
        "components.x belongs to no such encoder",
    ),
    "a wrong shape": (
        lambda f: change_weights(f, shorten_bias),
        "size mismatch for spatial_path.project.0.bias",
    ),
    "wider weights": (
        lambda f: change_config(f, lambda c: c["sizes"].update(embed_dim=32)),
        "embed_dim is 16 in the weights, 32 in config.json",
    ),
    "an absurd size": (
        lambda f: change_config(f, lambda c: c["sizes"].update(num_layers=10**12)),
        "num_layers is 1 in the weights",
    ),
    "no size": (
        lambda f: change_config(f, lambda c: c["sizes"].update(num_heads=0)),
        "sizes.num_heads: expected greater than or equal to 1",
    ),
    "heads that do not divide": (
        lambda f: change_config(f, lambda c: c["sizes"].update(num_heads=3)),
        "sizes.embed_dim, divided by num_heads",
    ),
    "an unknown pooling": (
        lambda f: change_config(f, lambda c: c["sizes"].update(pooling="median")),
        "sizes.pooling",
    ),
    "another type": (
        lambda f: change_config(f, lambda c: c["weights"].update(dtype="float16")),
        "expected float16, found float32",
    ),
    "another stream": (
        lambda f: change_config(f, lambda c: c.update(stream="all")),
        "sizes.num_streams: expected 3, found 1",
    ),
    "fewer joints": (
        lambda f: change_config(f, lambda c: c.update(skeleton=FLAT.to_dict())),
        "normalization",
    ),
    "no skeleton": (
        lambda f: change_config(f, lambda c: c.update(skeleton={})),
        "skeleton: not the fields of a skeleton",
    ),
    "other views": (
        lambda f: change_config(f, lambda c: c["views"].update(trimmed_fraction=0.2)),
        "it was written by scdnet",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path, name: str):
    folder = export(tmp_path / "e")
    spoil, words = FAULTS[name]
    spoil(folder)
    with pytest.raises(ExportedError) as caught:
        load_encoder(folder)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert words in message
    assert len(message) < 600


def test_a_directory_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ExportedError, match="no such directory"):
        read_exported(tmp_path / "gone")


def test_sizes_beyond_the_file_take_no_memory(tmp_path: Path):
    """A long vector claims that the stems are a million wide; their weights would take 16 TB."""
    folder = export(tmp_path / "e")
    width = 10**6
    key = "temporal_stem.units.0.gcn.norm.weight"
    change_weights(
        folder,
        lambda w: w.update(
            {key: torch.zeros(width), "spatial_path.project.0.weight": torch.zeros(1, width)}
        ),
    )
    change_config(
        folder,
        lambda c: (
            c["sizes"].update(base_channels=width, embed_dim=1, num_heads=1, num_frames=1),
            c["views"].update(num_frames=1),
        ),
    )
    with pytest.raises(ExportedError, match=r"project\.0\.weight: expected"):
        read_exported(folder)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"weight": torch.zeros(2, 31), "bias": torch.zeros(2)}, "found"),
        ({"weight": torch.zeros(2, 32)}, "found"),
        ({"weight": torch.full((2, 32), torch.inf), "bias": torch.zeros(2)}, "NaN or Inf"),
    ],
)
def test_a_head_that_does_not_fit_is_an_error(tmp_path: Path, tensors: dict, words: str):
    probe = Probe(torch.zeros(2, 32), torch.zeros(2), ("a", "b"))
    folder = export(tmp_path / "e", probe=probe)
    seal(folder, safetensors.torch.save(tensors), name=HEAD, key="head")
    with pytest.raises(ExportedError, match=words):
        read_exported(folder)


def test_a_head_that_config_states_must_be_there(tmp_path: Path):
    probe = Probe(torch.zeros(2, 32), torch.zeros(2), ("a", "b"))
    folder = export(tmp_path / "e", probe=probe)
    (folder / HEAD).unlink()
    with pytest.raises(ExportedError, match=r"contains no head\.safetensors"):
        read_exported(folder)
