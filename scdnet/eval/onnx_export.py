"""Encoders as ONNX graphs, which need neither torch nor this package: clips or frames to features.

Source: docs/export.md.
"""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from scdnet.data.clips import evaluation_view
from scdnet.data.store import COORDINATES, MAX_BODIES
from scdnet.data.views import evaluation_crop, neighbor_frames
from scdnet.errors import ScdnetError
from scdnet.eval.features import at_level, encode, join_features
from scdnet.files import atomic_write
from scdnet.models.encoder import DualPathEncoder
from scdnet.results.record import FINAL_LEVEL
from scdnet.streams import to_stream
from scdnet.version import __version__

if TYPE_CHECKING:
    import onnx_ir
    import onnxruntime

# The version of ONNX's operators: the one that torch writes without converting it.
OPSET = 18
# The packages of the extra `onnx`.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# The largest difference of a feature from that of torch; below the last level, as a fraction of the
# largest feature if that is more than 1.
TOLERANCE = 1e-4
NUM_CHECKED = 16
# The frames of recordings that are compared: more and less than a clip has. In a recording of one
# frame nothing moves, so that rounding would decide which side of the body acts.
CHECKED_LENGTHS = (37, 2, 150)
# The format allows no larger file.
MAX_BYTES = 2**31
OUTPUT = "features"


class OnnxFile(NamedTuple):
    """A file that was written, and how far its features are from those of torch."""

    num_bytes: int
    # The name of the input and its axes; a text is an axis of any length.
    input_name: str
    input_shape: tuple[int | str, ...]
    num_features: int
    largest_difference: float


class ClipGraph(nn.Module):
    """The computation of a graph of clips: their features."""

    input_name = "clips"

    def __init__(self, encoder: DualPathEncoder, stream: str, level: int) -> None:
        super().__init__()
        sizes = encoder.sizes
        num_joints = encoder.skeleton.num_joints
        self.input_shape: tuple[int | str, ...]
        self.input_shape = ("batch", COORDINATES, sizes.num_frames, num_joints, sizes.num_bodies)
        self.whole = encoder
        self.stream = stream
        self.encoder = at_level(encoder, level)

    def forward(self, clips: Tensor) -> Tensor:
        """Encode evaluation views (N, C, T, V, M) of the encoder's stream: (N, D)."""
        return join_features(self.encoder, clips)

    def make_inputs(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs to compare with torch, each with the views that they show."""
        clips = torch.cat([self._view(frames) for frames in _random_recordings(self, rng, 90)])
        yield clips, clips
        yield clips[:1], clips[:1]

    def _view(self, frames: np.ndarray) -> Tensor:
        """Return the evaluation view (1, C, T, V, M) of a recording (any T, M, V, C)."""
        return evaluation_view(
            frames,
            self.stream,
            num_frames=self.whole.sizes.num_frames,
            num_bodies=self.whole.sizes.num_bodies,
            skeleton=self.whole.skeleton,
        )


class FrameGraph(ClipGraph):
    """The computation of a graph of frames: evaluation views, then their features."""

    input_name = "frames"

    def __init__(self, encoder: DualPathEncoder, stream: str, level: int) -> None:
        super().__init__(encoder, stream, level)
        num_joints = encoder.skeleton.num_joints
        self.input_shape = ("batch", "num_frames", MAX_BODIES, num_joints, COORDINATES)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode recordings (N, any T, M, V, C), normalized as in a store: (N, D)."""
        sizes = self.whole.sizes
        crop = evaluation_crop(torch.full((1,), frames.shape[1]))
        before, after, weight = neighbor_frames(crop.length, num_frames=sizes.num_frames)
        bodies = frames[:, :, : sizes.num_bodies]
        first, second = (bodies[:, crop.start + rows[0]] for rows in (before, after))
        joints = torch.lerp(first, second, weight[0, :, None, None, None])
        joints = rearrange(joints, "n t m v c -> n c t v m")
        return super().forward(to_stream(joints, self.stream, self.whole.skeleton))

    def make_inputs(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs to compare with torch, each with the views that they show."""
        for length in CHECKED_LENGTHS:
            frames = _random_recordings(self, rng, length)
            yield torch.from_numpy(frames), torch.cat([self._view(one) for one in frames])


def _random_recordings(graph: ClipGraph, rng: np.random.Generator, length: int) -> np.ndarray:
    """Draw recordings (16, length, M, V, C) of joints that wander; in half of them one is alone."""
    shape = (NUM_CHECKED, length, MAX_BODIES, graph.whole.skeleton.num_joints, COORDINATES)
    steps = rng.normal(scale=0.05, size=shape)
    steps[:, 0] = rng.normal(scale=0.5, size=steps[:, 0].shape)
    frames = steps.cumsum(axis=1)
    frames[::2, :, 1] = 0
    return frames.astype(np.float32)


def export_onnx(
    encoder: DualPathEncoder,
    path: Path,
    *,
    stream: str,
    level: int = FINAL_LEVEL,
    from_frames: bool = False,
) -> OnnxFile:
    """Write an encoder as an ONNX graph, which is compared with torch before the file appears.

    The graph maps `clips`, evaluation views (N, C, T, V, M) of the encoder's stream, or `frames`
    (N, any T, M, V, C), normalized as `scdnet.read_recording` returns them, to what `encode` does:
    `features` (N, D). Raises ScdnetError if packages are missing, weights are not finite or the
    graph does not compute the same.
    """
    check_packages()
    check_finite(encoder)
    own = copy.deepcopy(encoder).float().cpu().eval().requires_grad_(False)
    graph = (FrameGraph if from_frames else ClipGraph)(own, stream, level)
    # Torch comes first: what it caches must not be made while the graph is recorded.
    pairs = [
        (given, encode(graph.encoder, views))
        for given, views in graph.make_inputs(np.random.default_rng(0))
    ]
    # Features below the last level are as large as they come: no norm bounds them.
    scale = 1.0
    if level != FINAL_LEVEL:
        scale = max(1.0, *(float(wanted.abs().max()) for _, wanted in pairs))
    # The number of absent bodies must not decide which operators are recorded.
    own.share_empty_bodies = False
    content = _record(graph, pairs[0][0])
    largest = _largest_difference(content, pairs) / scale
    # A NaN is no agreement either.
    if not largest <= TOLERANCE:
        raise ScdnetError(
            f"{path}: not written: the features of the ONNX graph differ from those of torch by "
            f"{largest:.1e}, expected at most {TOLERANCE:.0e}; another version of onnxruntime or "
            "torch may agree"
        )
    with atomic_write(path) as file:
        file.write(content)
    num_features = pairs[0][1].shape[1]
    return OnnxFile(len(content), graph.input_name, graph.input_shape, num_features, largest)


def check_packages() -> None:
    """Raise ScdnetError unless the packages that an export needs are installed."""
    for name in PACKAGES:
        if find_spec(name) is None:
            raise ScdnetError(f"writing ONNX needs the package {name}: pip install 'scdnet[onnx]'")


def check_finite(encoder: nn.Module) -> None:
    """Raise ScdnetError, which names the first, if there are weights that are not finite."""
    for name, weight in encoder.state_dict().items():
        if not weight.isfinite().all():
            raise ScdnetError(
                f"the encoder's weights {name} contain NaN or Inf, expected finite numbers: "
                "training has diverged; take an earlier checkpoint"
            )


def _record(graph: ClipGraph, example: Tensor) -> bytes:
    """Return the ONNX file of what a graph computes, with axes of any length as the input states.

    Raises ScdnetError if it would be larger than the format allows.
    """
    num_bytes = sum(weight.nbytes for weight in graph.whole.state_dict().values())
    if num_bytes >= MAX_BYTES:
        raise ScdnetError(
            f"the encoder has {num_bytes:,} bytes of weights, but an ONNX file contains less than "
            f"{MAX_BYTES:,}; export a smaller encoder"
        )
    names = {axis: name for axis, name in enumerate(graph.input_shape) if isinstance(name, str)}
    axes = {axis: torch.export.Dim(name, min=1) for axis, name in names.items()}
    with _quiet(), torch.no_grad():
        recorded = torch.export.export(graph, (example,), dynamic_shapes=(axes,), strict=False)
        program = torch.onnx.export(
            recorded,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=[graph.input_name],
            output_names=[OUTPUT],
            dynamic_shapes=(names,),
            verbose=False,
        )
        assert program is not None
        _simplify(program.model)
    program.model.producer_name = "scdnet"
    program.model.producer_version = __version__
    program.model.metadata_props.update(_describe(graph))
    return program.model_proto.SerializeToString()


def _simplify(model: "onnx_ir.Model") -> None:
    """Reduce a graph to plain operators, in a tenth of the time of torch's own optimizer.

    onnxruntime does the rest when it opens the graph. What torch notes beside each operator has
    paths of this machine.
    """
    import onnxscript.optimizer
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, DeduplicateInitializersPass

    onnxscript.optimizer.inline(model)
    onnxscript.optimizer.fold_constants(model)
    onnxscript.optimizer.remove_unused_nodes(model)
    onnxscript.optimizer.remove_unused_functions(model)
    DeduplicateInitializersPass()(model)
    ClearMetadataAndDocStringPass()(model)


def _describe(graph: ClipGraph) -> dict[str, str]:
    """Return what a user of the file has to know, as texts."""
    return {
        "scdnet_version": __version__,
        "stream": graph.stream,
        "skeleton": json.dumps(graph.whole.skeleton.to_dict()),
        "input": json.dumps([graph.input_name, *graph.input_shape]),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter says about itself."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def open_session(content: bytes | Path, *, num_threads: int = 0) -> "onnxruntime.InferenceSession":
    """Open a graph in onnxruntime on the CPU, by default with as many threads as it has cores.

    It then sends no data about its use, unless the environment says otherwise.
    """
    # It counts when the package is imported first.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _largest_difference(content: bytes, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Return the largest difference of the features of a graph from those of torch.

    `pairs` are inputs of the graph and their features (N, D).
    """
    session = open_session(content)
    name = session.get_inputs()[0].name
    differences = [
        np.abs(session.run([OUTPUT], {name: given.numpy()})[0] - wanted.numpy()).max()
        for given, wanted in pairs
    ]
    # NaN, if there is one.
    return float(np.max(differences))
