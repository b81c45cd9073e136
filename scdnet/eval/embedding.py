"""Features of windows of recordings: the encoder, and where the windows lie."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from scdnet.data.clips import evaluation_views
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.sources import read_pretrained
from scdnet.errors import ScdnetError
from scdnet.eval.features import encode
from scdnet.memory import memory_advice
from scdnet.models.encoder import DualPathEncoder


class WindowEncoder(NamedTuple):
    """An encoder, where it comes from, and how clips are to be presented to it."""

    source: str
    # The hash of the checkpoint, or of the weights of an exported encoder.
    sha256: str
    stream: str
    encoder: DualPathEncoder

    @memory_advice("use --device cpu, or free memory")
    @torch.inference_mode()
    def embed(self, clips: Sequence[np.ndarray], device: torch.device) -> np.ndarray:
        """Return the features (n, D) float32 of clips (any T, M, V, C), normalized as in a store.

        They are those that `scdnet extract` would write. Raises ScdnetError if one is not finite.
        """
        sizes = self.encoder.sizes
        views = evaluation_views(
            clips,
            self.stream,
            num_frames=sizes.num_frames,
            num_bodies=sizes.num_bodies,
            skeleton=self.encoder.skeleton,
        )
        x = encode(self.encoder, views.to(device)).cpu()
        if not x.isfinite().all():
            raise ScdnetError(
                f"{self.source}: the encoder outputs features that are not finite; use one whose "
                "training has not diverged"
            )
        return x.numpy()


def load_window_encoder(source: str, device: torch.device) -> WindowEncoder:
    """Load an encoder on a device, in eval mode.

    `source` is what `scdnet.load_encoder` takes, but no checkpoint of the authors', which does not
    state its stream. Raises ScdnetError.
    """
    found = read_pretrained(source)
    if found.stream is None:
        raise CheckpointError(
            f"{source}: expected a checkpoint of scdnet train or a directory of scdnet export, "
            "which state the stream and the skeleton"
        )
    return WindowEncoder(source, found.sha256, found.stream, found.build().to(device))


def window_starts(num_frames: int, *, window: int, stride: int) -> np.ndarray:
    """Return the first frame (n,) of each window of a recording that is at least as long.

    Windows lie `stride` frames apart; the last one ends with the recording.
    """
    last = num_frames - window
    starts = np.arange(0, last + 1, stride)
    return starts if starts[-1] == last else np.append(starts, last)
