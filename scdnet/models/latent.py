"""The prediction of hidden tokens from visible ones.

The encoder sees a view of which joints, or frames, are hidden; a predictor gets the tokens that
are left and predicts those that the momentum encoder outputs for the whole view. Source:
docs/objectives.md, which says what of it is whose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scdnet.config import LatentConfig
from scdnet.models.encoder import DualPathEncoder, EncoderLayer, EncoderSizes, take_rows
from scdnet.skeleton import Skeleton
from scdnet.streams import visible_values

# The width of a predictor as a fraction of the encoder's. Source: Assran et al. 2023 (I-JEPA): a
# narrow one.
RELATIVE_WIDTH = 0.5
# The standard deviation of mask token and positions at the start. Source: He et al. 2022 (MAE).
TOKEN_STD = 0.02
# The temperature of the softmax, over candidates, of the fraction of a clip's motion that each
# hides. Source: Mao et al. 2023 (MAMP), for single joints.
MOTION_TEMPERATURE = 0.1


@dataclass(frozen=True)
class Latent:
    """The hiding and prediction of a part of views of a stream."""

    config: LatentConfig
    stream: str


class Prediction(NamedTuple):
    """The predicted tokens of one path, and their targets."""

    predicted: Tensor  # (H, N, D)
    # The tokens of the whole view, hidden or not; no gradient.
    target: Tensor  # (L, N, D)
    # The tokens that were hidden.
    rows: Tensor  # (H, N)
    # 0 for the tokens of absent bodies, else 1.
    weight: Tensor  # (L, N)


class HiddenTokens(NamedTuple):
    """The part of N clips that is hidden from one path."""

    # Joints are hidden in all frames, or frames with all joints.
    is_visible: Tensor  # (N, T, V) bool
    visible: Tensor  # (U, N), the tokens that are left
    hidden: Tensor  # (H, N), the others


class Predictor(nn.Module):
    """A narrow transformer: visible tokens and mask tokens, each with its position, to tokens."""

    def __init__(self, sizes: EncoderSizes, axes: tuple[int, ...], num_layers: int) -> None:
        """Build the predictor of tokens that lie along `axes`: (T,), or (M, V)."""
        super().__init__()
        heads = sizes.num_heads
        width = heads * max(1, round(RELATIVE_WIDTH * sizes.embed_dim / heads))
        self.enter = nn.Linear(sizes.embed_dim, width)
        layer = EncoderLayer(width, heads, width, dropout=0.0)
        self.transformer = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.leave = nn.Linear(width, sizes.embed_dim)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
        self.mask_token = nn.Parameter(torch.randn(width) * TOKEN_STD)
        self.positions = nn.ParameterList(torch.randn(num, width) * TOKEN_STD for num in axes)

    def forward(self, tokens: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Predict the tokens `hidden` (H, N) from those (U, N, D) at `visible` (U, N): (H, N, D).

        There is no other order among tokens than their positions.
        """
        position = self._positions()[:, None].expand(-1, tokens.shape[1], -1)
        seen = self.enter(tokens) + take_rows(position, visible)
        masked = self.mask_token + take_rows(position, hidden)
        x = self.transformer(torch.cat([seen, masked.to(seen.dtype)]))
        return self.leave(x[len(visible) :])

    def _positions(self) -> Tensor:
        """Add up the positions along each axis: (L, width)."""
        total, *others = self.positions
        for along in others:
            total = (total[:, None] + along).flatten(0, 1)
        return total


def make_predictors(sizes: EncoderSizes, skeleton: Skeleton, latent: Latent) -> nn.ModuleDict:
    """Make a predictor for each path."""
    layers = latent.config.predictor_layers
    return nn.ModuleDict(
        {
            "temporal": Predictor(sizes, (sizes.num_frames,), layers),
            "spatial": Predictor(sizes, (sizes.num_bodies, skeleton.num_joints), layers),
        }
    )


def predict(
    encoder: DualPathEncoder,
    predictor: nn.Module,
    path: str,
    *,
    clips: Tensor,
    target: Tensor,
    candidates: Tensor,
    noise: Tensor,
    latent: Latent,
) -> Prediction:
    """Predict the hidden tokens of one path of clips (N, C, T, V, M).

    `target` (L, N, D) are all tokens of the whole clips; `candidates` (N, R, T or V) bool are True
    where hidden, `noise` (N, R) decides among them.
    """
    clips = encoder.align(clips)
    coordinates = clips[:, : encoder.skeleton.dims]
    hidden = choose_hidden(coordinates, path, candidates, noise, latent=latent)
    seen = hidden.is_visible
    if latent.config.hide_in == "tokens":
        seen = torch.ones_like(seen)
    tokens = encoder.visible_tokens(
        clips,
        path,
        is_visible=visible_values(seen, latent.stream, encoder.skeleton),
        rows=hidden.visible,
    )
    predicted = predictor(tokens, hidden.visible, hidden.hidden)
    return Prediction(predicted, target, hidden.hidden, token_weights(clips, path))


def token_weights(clips: Tensor, path: str) -> Tensor:
    """Return 1 for each token (L, N) of a body that is there, or of a clip with a body, else 0."""
    is_there = (clips != 0).flatten(1, 3).any(dim=1)  # (N, M)
    _, _, num_frames, num_joints, _ = clips.shape
    if path == "temporal":
        return is_there.any(dim=1).expand(num_frames, -1).to(clips.dtype)
    return is_there.T.repeat_interleave(num_joints, dim=0).to(clips.dtype)


def choose_hidden(
    clips: Tensor, path: str, candidates: Tensor, noise: Tensor, *, latent: Latent
) -> HiddenTokens:
    """Choose what is hidden from one path of clips (N, C, T, V, M); see `predict`."""
    _, _, num_frames, num_joints, num_bodies = clips.shape
    num_joints_hidden, num_frames_hidden = latent.config.num_hidden(num_joints, num_frames)
    num_hidden = num_frames_hidden if path == "temporal" else num_joints_hidden
    is_hidden = candidates[:, 0]  # (N, K), K joints or frames
    if latent.config.hide == "motion":
        is_hidden = _prefer_motion(_motion(clips, path, latent.stream), candidates, noise)
    # Visible ones first, each in their order.
    order = is_hidden.to(torch.uint8).argsort(dim=1, stable=True).T  # (K, N)
    visible, hidden = order.split([len(order) - num_hidden, num_hidden])
    if path == "temporal":
        seen = ~is_hidden[:, :, None].expand(-1, -1, num_joints)
        return HiddenTokens(seen, visible, hidden)
    seen = ~is_hidden[:, None, :].expand(-1, num_frames, -1)
    bodies = range(num_bodies)
    visible, hidden = (
        torch.cat([rows + body * num_joints for body in bodies]) for rows in (visible, hidden)
    )
    return HiddenTokens(seen, visible, hidden)


def _motion(clips: Tensor, path: str, stream: str) -> Tensor:
    """Return how much each joint, or each frame, of clips (N, C, T, V, M) moves, (N, K)."""
    steps = clips if stream == "motion" else clips.diff(dim=2, append=clips[:, :, -1:])
    axes = {"temporal": (1, 3, 4), "spatial": (1, 2, 4)}[path]
    return steps.abs().sum(dim=axes)


def _prefer_motion(motion: Tensor, candidates: Tensor, noise: Tensor) -> Tensor:
    """Draw one candidate (N, K) of (N, R, K) by the softmax of the motion (N, K) that it hides.

    The largest sum of a logit and Gumbel noise is such a draw.
    """
    total = motion.sum(dim=1, keepdim=True)
    share = (candidates * motion[:, None]).sum(dim=2) / total.clamp(min=1e-12)
    best = (share / MOTION_TEMPERATURE + noise).argmax(dim=1)
    index = best[:, None, None].expand(-1, 1, candidates.shape[2])
    return candidates.gather(1, index)[:, 0]


def latent_views(tasks: tuple[str, ...], clips: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
    """Return the clips of which each path is predicted: the first ones that it sees."""
    views: dict[str, Tensor] = {}
    for task, own in zip(tasks, clips, strict=True):
        for path in (task,) if task in ("temporal", "spatial") else ("temporal", "spatial"):
            views.setdefault(path, own)
    return views
