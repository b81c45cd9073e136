"""Reference implementation of the prediction of hidden tokens (docs/objectives.md): slow, in loops.

One clip and one token after the other, on the encoder of tests/reference/encoder.py.
"""

import torch
from torch import Tensor

from scdnet.models.latent import Predictor
from scdnet.skeleton import Skeleton
from tests.reference.encoder import Encoder


def hide(
    x: Tensor, streams: tuple[str, ...], skeleton: Skeleton, *, joints: set[int], frames: set[int]
) -> Tensor:
    """Zero what shows a hidden joint or frame in one clip (S*C, T, V, M) of stacked streams."""
    x = x.clone()
    size = len(x) // len(streams)
    num_frames = x.shape[1]
    for number, stream in enumerate(streams):
        own = x[number * size : (number + 1) * size]
        for t in range(num_frames):
            for v in range(skeleton.num_joints):
                ends = {v, skeleton.parents[v]} if stream == "bone" else {v}
                times = {t, min(t + 1, num_frames - 1)} if stream == "motion" else {t}
                if ends & joints or times & frames:
                    own[:, t, v] = 0
    return x


def path_tokens(encoder: Encoder, x: Tensor, path: str) -> Tensor:
    """Return the projected tokens (N, L, D) of clips of stacked streams, before the transformer."""
    if path == "temporal":
        t = encoder.gcn_t(x).permute(0, 3, 1, 4, 2).flatten(2)
        return encoder.channel_t(t)
    s = encoder.gcn_s(x).permute(0, 1, 4, 3, 2).flatten(3).flatten(1, 2)
    return encoder.channel_s(s)


def encode_tokens(encoder: Encoder, tokens: Tensor, path: str) -> Tensor:
    """Apply the transformer of a path to tokens (N, L, D)."""
    return (encoder.t_encoder if path == "temporal" else encoder.s_encoder)(tokens)


def predict_tokens(
    predictor: Predictor, seen: dict[int, Tensor], hidden: list[int], axes: tuple[int, ...]
) -> dict[int, Tensor]:
    """Predict the hidden tokens (D,) of one clip from the others, (D,) by their number."""

    def position(token: int) -> Tensor:
        total = torch.zeros(())
        for axis in reversed(range(len(axes))):
            total = total + predictor.positions[axis][token % axes[axis]]
            token //= axes[axis]
        return total

    rows = [predictor.enter(x) + position(token) for token, x in seen.items()]
    rows += [predictor.mask_token + position(token) for token in hidden]
    out = predictor.leave(predictor.transformer(torch.stack(rows)[:, None])[:, 0])
    return dict(zip(hidden, out[len(seen) :], strict=True))


def normalize(target: Tensor, is_there: Tensor, norm: str) -> Tensor:
    """Normalize targets (N, L, D), of which those count that are there, (N, L) bool."""
    result = torch.zeros_like(target)
    for n, token in is_there.nonzero().tolist():
        if norm == "none":
            result[n, token] = target[n, token]
            continue
        peers = target[is_there[:, token], token] if norm == "batch" else target[n, is_there[n]]
        deviation = (peers.var(dim=0, correction=0) + 1e-6).sqrt()
        result[n, token] = (target[n, token] - peers.mean(dim=0)) / deviation
    return result


def distance(x: Tensor, y: Tensor, kind: str) -> Tensor:
    """Return the distance of two tokens (D,)."""
    if kind == "cosine":
        return 1 - (x @ y) / (x.norm() * y.norm()).clamp(min=1e-8)
    difference = (x - y).abs()
    return torch.where(difference < 1, difference**2 / 2, difference - 0.5).mean()


def losses(
    predicted: list[dict[int, Tensor]], target: Tensor, is_there: Tensor, *, norm: str, kind: str
) -> tuple[Tensor, Tensor]:
    """Return the loss, and that of predicting the mean over the batch.

    `predicted` has the predictions of each clip by token, `target` is (N, L, D).
    """
    wanted = normalize(target, is_there, norm)
    own = []
    of_means = []
    for n, tokens in enumerate(predicted):
        there = [token for token in tokens if is_there[n, token]]
        pairs = [(tokens[token], wanted[n, token]) for token in there]
        means = [wanted[is_there[:, token], token].mean(dim=0) for token in there]
        # Over the batch the means are 0 but for rounding, which has a cosine of its own.
        means = [torch.where(mean.abs() < 1e-12, 0.0, mean) for mean in means]
        zero = torch.zeros(())
        own.append(sum((distance(x, y, kind) for x, y in pairs), zero) / max(len(there), 1))
        total = sum((distance(m, y, kind) for m, (_, y) in zip(means, pairs, strict=True)), zero)
        of_means.append(total / max(len(there), 1))
    return torch.stack(own).mean(), torch.stack(of_means).mean()
