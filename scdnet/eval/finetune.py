"""Fine-tuning of the whole network, with all labels, with some, or on another data set. Source: docs/method.md 5."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.engine.device import seed_everything, set_precision
from scdnet.engine.optim import layer_groups, make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.features import BATCH
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.heads import ClassifiedEncoder
from scdnet.results.scores import topk_metrics


class Finetuned(NamedTuple):
    """What a fine-tuned network gives the test sequences."""

    scores: Tensor  # (N, classes) float32 on the CPU, after the last epoch
    best_top1: float  # of the epochs in which the test split was looked at


def sample_labelled(label: Tensor, fraction: float, seed: int) -> Tensor:
    """Indices, rising, of the sequences that keep their label: the same share of each class, at least one of each.

    `label` (N,) are the classes of the training sequences. Source: docs/method.md 5, semi-supervised.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for c in label.unique().tolist():
        members = (label == c).nonzero()[:, 0]
        keep = max(1, round(fraction * len(members)))
        drawn.append(members[torch.randperm(len(members), generator=generator)[:keep]])
    return torch.cat(drawn).sort().values


def finetune(
    encoder: DualPathEncoder, clips: Clips, labelled: Tensor, config: Config, *, seed: int
) -> Finetuned:
    """Train the encoder and a new classifier on the sequences `labelled` (n,), apply them to the test split.

    The encoder is trained in place; give it as it comes from `load_encoder_or_baseline`. Raises ScdnetError if it diverges.
    """
    settings, device = config.finetune, clips.device
    seed_everything(seed)  # of dropout
    generator = torch.Generator().manual_seed(seed)
    model = ClassifiedEncoder(encoder, len(clips.class_names), generator=generator).to(device)
    encoder.share_empty_bodies = (
        device.type == "cpu"
    )  # to look at the clips would make the host wait
    optimizer = make_optimizer(
        layer_groups(model, settings.optim, settings.layer_decay), settings.optim
    )
    schedule = make_schedule(optimizer, settings.optim)
    precision = set_precision(config.precision, device)
    label, test, epochs = clips.label.to(device), clips.split(train=False), settings.optim.epochs
    best, scores = 0.0, torch.empty(0)
    for epoch in tqdm(range(epochs), desc="fine-tuning", unit="epoch", leave=False, disable=None):
        schedule.step(epoch)
        model.train()
        order = labelled[torch.randperm(len(labelled), generator=generator)]
        batches = order.split(settings.batch_size)
        views = (
            clips.augmented_views(batches, generator)
            if settings.augment
            else clips.evaluation_views(batches)
        )
        for batch, x in zip(batches, views, strict=True):
            with precision():
                loss = F.cross_entropy(model(x), label[batch.to(device)])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if (epoch + 1) % settings.eval_every == 0 or epoch + 1 == epochs:
            with precision():
                scores = score_clips(model, clips, test)
            best = max(best, topk_metrics(scores, clips.label[test])["top1"])
    if not scores.isfinite().all():
        raise ScdnetError(
            f"fine-tuning has diverged; lower finetune.optim.lr ({settings.optim.lr})"
        )
    return Finetuned(scores, best)


@torch.inference_mode()
def score_clips(model: ClassifiedEncoder, clips: Clips, index: Tensor) -> Tensor:
    """(n, classes) float32 scores of the evaluation views of the sequences `index` (n,), on the CPU."""
    model.eval()
    return torch.cat([model(x).float().cpu() for x in clips.evaluation_views(index.split(BATCH))])
