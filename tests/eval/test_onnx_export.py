import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scdnet.config import Config
from scdnet.data.clips import evaluation_view
from scdnet.engine.build import build_model, build_objective
from scdnet.errors import ScdnetError
from scdnet.eval import onnx_export
from scdnet.eval.features import LevelFeatures, at_level, encode
from scdnet.eval.onnx_export import OUTPUT, PACKAGES, FrameGraph, export_onnx, open_session
from scdnet.models.components import Components
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.results.record import FINAL_LEVEL
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, H36M_17, KINECT_V1_20, NTU_25
from scdnet.streams import ALL_STREAMS, STREAMS
from scdnet.version import __version__

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="the extra onnx is not installed"
)

SIZES = {"base_channels": 8, "embed_dim": 16, "num_heads": 2, "num_frames": 8}


def make_encoder(skeleton: Skeleton = NTU_25, **sizes) -> DualPathEncoder:
    """Return an encoder in which every weight counts: those of a new one hide whole layers."""
    torch.manual_seed(0)
    encoder = DualPathEncoder(EncoderSizes(**{**SIZES, **sizes}), skeleton).eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    for name, weight in encoder.named_parameters():
        if name.endswith("alpha"):
            nn.init.constant_(weight, 0.5)
    return encoder


def make_clips(encoder: DualPathEncoder, num: int) -> Tensor:
    """Return clips of noise; the second bodies of the first two of three are absent."""
    sizes = encoder.sizes
    clips = torch.randn(num, 3, sizes.num_frames, encoder.skeleton.num_joints, sizes.num_bodies)
    clips[torch.arange(num) % 3 < 2, ..., 1:] = 0
    return clips


def run(path: Path, given: Tensor) -> Tensor:
    session = open_session(path, num_threads=1)
    (found,) = session.run([OUTPUT], {session.get_inputs()[0].name: given.numpy()})
    return torch.from_numpy(found)


def assert_agree(path: Path, encoder: nn.Module, clips: Tensor) -> None:
    found = run(path, clips)
    wanted = encode(encoder, clips)
    assert found.shape == wanted.shape
    # The features of levels are as large as they come.
    scale = max(1, wanted.abs().max()) if isinstance(encoder, LevelFeatures) else 1
    assert (found - wanted).abs().max() / scale <= 1e-4


@pytest.fixture(scope="module")
def encoder() -> DualPathEncoder:
    """Two bodies, all streams, aligned sides and components: everything that an encoder has."""
    encoder = make_encoder(num_streams=3, align_sides=True)
    for name, clips in encoder.seen_clips(make_clips(encoder, 40)).items():
        encoder.components[name] = Components.fit(clips, tuple(STREAMS), NTU_25)
    return encoder


@pytest.fixture(scope="module")
def graph(encoder: DualPathEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the encoder, which takes half a minute."""
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    export_onnx(encoder, path, stream=ALL_STREAMS)
    return path


@pytest.mark.parametrize("num", [1, 3, 16])
@pytest.mark.slow
def test_a_graph_computes_the_features_of_torch_for_batches_of_any_size(
    graph: Path, encoder: DualPathEncoder, num: int
):
    assert_agree(graph, encoder, make_clips(encoder, num))


@pytest.mark.slow
def test_a_graph_does_the_same_with_second_bodies_present_and_absent(
    graph: Path, encoder: DualPathEncoder
):
    clips = make_clips(encoder, 6)
    clips[..., 1] = 0
    assert_agree(graph, encoder, clips)
    assert_agree(graph, encoder, torch.randn_like(clips))


@pytest.mark.slow
def test_the_file_states_opset_axes_and_joints_but_no_path_of_this_machine(graph: Path):
    import onnx

    model = onnx.load(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", onnx_export.OPSET)]
    (given,) = open_session(graph).get_inputs()
    assert (given.name, given.shape) == ("clips", ["batch", 3, 8, 25, 2])
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts.keys() == {"scdnet_version", "stream", "skeleton", "input"}
    assert (facts["scdnet_version"], facts["stream"]) == (__version__, ALL_STREAMS)
    assert Skeleton.from_dict(json.loads(facts["skeleton"])) == NTU_25
    assert json.loads(facts["input"]) == ["clips", "batch", 3, 8, 25, 2]
    assert str(Path(onnx_export.__file__).parents[1]).encode() not in graph.read_bytes()


@pytest.mark.slow
def test_onnxruntime_leaves_nothing_in_the_home_directory(graph: Path, tmp_path: Path):
    program = (
        "import sys; from scdnet.eval.onnx_export import open_session; open_session(sys.argv[1])"
    )
    environment = {key: os.environ[key] for key in os.environ if key != "ORT_DISABLE_TELEMETRY"}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program, str(graph)], env=environment | home)
    assert done.returncode == 0
    assert not [*tmp_path.rglob("onnxruntime*")]


@pytest.mark.slow
def test_an_export_leaves_the_encoder_as_it_was(graph: Path, encoder: DualPathEncoder):
    assert encoder.share_empty_bodies
    assert all(weight.requires_grad for weight in encoder.parameters())


@pytest.mark.slow
def test_an_encoder_can_be_trained_after_its_export(graph: Path, encoder: DualPathEncoder):
    own = copy.deepcopy(encoder).train()
    torch.cat(own(make_clips(own, 4)), dim=1).sum().backward()


FRAME_CASES = [
    (COCO_17, {"num_bodies": 1}, "bone"),
    (NTU_25, {"num_streams": 3, "align_sides": True}, ALL_STREAMS),
    (KINECT_V1_20, {}, "motion"),
]


def assert_views_are_made(graph: Callable[[Tensor], Tensor], encoder: DualPathEncoder, stream: str):
    rng = np.random.default_rng(0)
    sizes = encoder.sizes
    for num, length in [(1, 3), (3, 8), (2, 41), (2, 200)]:
        shape = (num, length, 2, encoder.skeleton.num_joints, 3)
        frames = rng.normal(size=shape).astype(np.float32)
        views = [
            evaluation_view(
                one,
                stream,
                num_frames=sizes.num_frames,
                num_bodies=sizes.num_bodies,
                skeleton=encoder.skeleton,
            )
            for one in frames
        ]
        found = graph(torch.from_numpy(frames))
        assert (found - encode(encoder, torch.cat(views))).abs().max() <= 1e-4


@pytest.mark.parametrize(("skeleton", "sizes", "stream"), FRAME_CASES)
def test_what_a_graph_of_frames_computes_are_features_of_evaluation_views(
    skeleton: Skeleton, sizes: dict, stream: str
):
    encoder = make_encoder(skeleton, **sizes)
    graph = FrameGraph(encoder, stream, FINAL_LEVEL)
    assert_views_are_made(torch.no_grad()(graph), encoder, stream)


@pytest.mark.slow
@pytest.mark.parametrize(("skeleton", "sizes", "stream"), FRAME_CASES)
def test_a_graph_of_frames_makes_the_evaluation_views_itself(
    tmp_path: Path, skeleton: Skeleton, sizes: dict, stream: str
):
    encoder = make_encoder(skeleton, **sizes)
    path = tmp_path / "frames.onnx"
    written = export_onnx(encoder, path, stream=stream, from_frames=True)
    assert written.input_shape == ("batch", "num_frames", 2, skeleton.num_joints, 3)
    assert_views_are_made(partial(run, path), encoder, stream)


def test_all_objectives_pretrain_the_same_encoder():
    shapes = []
    for name in ("scd", "hdc", "scd+hdc"):
        config = Config(objective=name, model={"embed_dim": 16, "num_heads": 2, "queue_size": 64})
        objective = build_objective(config)
        encoder = build_model(config, objective, skeleton=NTU_25).query.encoder
        assert type(encoder) is DualPathEncoder
        shapes.append({name: weight.shape for name, weight in encoder.state_dict().items()})
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("skeleton", "sizes", "stream", "level"),
    [
        (NTU_25, {"base_channels": 16, "embed_dim": 64, "num_layers": 2}, "joint", 4),
        # Convolutions over time that torch's own function computes.
        (KINECT_V1_20, {"num_frames": 160, "base_channels": 16, "pooling": "mean"}, "motion", 4),
        (H36M_17, {"num_bodies": 1}, "bone", 4),
        (COCO_17, {"num_streams": 3, "align_sides": True}, ALL_STREAMS, 4),
        (NTU_25, {}, "joint", 1),
        (NTU_25, {"num_bodies": 1}, "joint", 2),
        (NTU_25, {"num_streams": 3}, ALL_STREAMS, 3),
    ],
)
def test_skeletons_sizes_streams_and_levels_are_exported(
    tmp_path: Path, skeleton: Skeleton, sizes: dict, stream: str, level: int
):
    encoder = make_encoder(skeleton, **sizes)
    export_onnx(encoder, tmp_path / "a.onnx", stream=stream, level=level)
    for num in (1, 5):
        assert_agree(tmp_path / "a.onnx", at_level(encoder, level), make_clips(encoder, num))


@pytest.mark.slow
def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, graph: Path, encoder: DualPathEncoder, monkeypatch: pytest.MonkeyPatch
):
    content = graph.read_bytes()
    monkeypatch.setattr(onnx_export, "_record", lambda *_: content)
    changed = copy.deepcopy(encoder)
    changed.spatial_path.project[3].bias.data += 0.1
    path = tmp_path / "a.onnx"
    path.write_text("older")
    with pytest.raises(ScdnetError, match=r"a\.onnx: not written: .* differ from those of torch"):
        export_onnx(changed, path, stream=ALL_STREAMS)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [
        ("a.onnx", "older")
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float):
    encoder = make_encoder()
    encoder.temporal_path.project[0].weight.data[3, 2] = value
    with pytest.raises(ScdnetError, match=r"temporal_path\.project\.0\.weight contain NaN or Inf"):
        export_onnx(encoder, tmp_path / "a.onnx", stream="joint")
    assert not [*tmp_path.iterdir()]


def test_an_encoder_beyond_the_size_of_the_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnx_export, "MAX_BYTES", 1000)
    with pytest.raises(ScdnetError, match="an ONNX file contains less than 1,000"):
        export_onnx(make_encoder(), tmp_path / "a.onnx", stream="joint")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ScdnetError, match=r"the package onnxscript: pip install 'scdnet\[onnx\]'"):
        export_onnx(make_encoder(), tmp_path / "a.onnx", stream="joint")
