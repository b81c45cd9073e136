"""Components of clips, fitted to training sequences."""

import torch
from torch import Tensor

from scdnet.data.clips import ViewMaker, sample_sequences
from scdnet.data.mixture import Mixture
from scdnet.engine.distributed import broadcast_
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.models.components import MAX_FITTED, SEQUENCES_PER_COMPONENT, Components
from scdnet.models.encoder import DualPathEncoder
from scdnet.streams import ALL_STREAMS, STREAMS

BATCH = 256


def views_to_fit(clips: ViewMaker, index: Tensor, *, where: str, way_out: str) -> Tensor:
    """Return the evaluation views (n, C, T, V, M) of the sequences `index`, or of a sample of them.

    Raises ScdnetError, which says `where` and the `way_out`, if they are too few for a component.
    """
    if len(index) < SEQUENCES_PER_COMPONENT:
        raise ScdnetError(
            f"{where} has {len(index)} sequences, expected at least {SEQUENCES_PER_COMPONENT}: "
            f"a component takes that many; {way_out}"
        )
    fitted = sample_sequences(index, MAX_FITTED)
    return torch.cat(list(clips.evaluation_views(fitted.split(BATCH))))


def describe_widths(components: Components) -> str:
    """Return how many components there are of each part."""
    return ", ".join(f"{width} of {part}" for part, width in components.widths.items())


def fit_components(encoder: DualPathEncoder, clips: Mixture) -> None:
    """Give an encoder the components of the evaluation views of all training sequences.

    Raises ScdnetError if there are too few sequences, or all are alike.
    """
    way_out = "set model.components=false"
    where = "model.components: the training split"
    index = torch.cat(clips.training_sequences)
    views = views_to_fit(clips, index, where=where, way_out=way_out)
    # Joints do not follow from bones or motion, which are fitted as they are.
    parts = tuple(STREAMS) if clips.stream in ("joint", ALL_STREAMS) else ("joint",)
    for name, seen in encoder.seen_clips(views).items():
        components = Components.fit(seen, parts, encoder.skeleton)
        if not any(components.widths.values()):
            raise ScdnetError(
                f"model.components: all {len(views)} training sequences are alike; {way_out}"
            )
        encoder.components[name] = components.to(clips.device)
        log(
            f"Components of {name} clips beside the features of the paths: "
            f"{describe_widths(components)}."
        )
    broadcast_(encoder.components.state_dict().values())
