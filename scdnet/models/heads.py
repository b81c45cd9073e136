"""Heads on the encoder's features."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from scdnet.models.encoder import PATHS, DualPathEncoder
from scdnet.models.objective import INSTANCE, Objective, level_name


class ProjectionHead(nn.Sequential):
    """Linear to D, relu, linear to the contrast space. Source: docs/method.md 4."""

    def __init__(self, in_width: int, width: int, out_width: int) -> None:
        layers = (nn.Linear(in_width, width), nn.Linear(width, out_width))
        super().__init__(layers[0], nn.ReLU(), layers[1])
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)


class LinearClassifier(nn.Linear):
    """Features to class scores; weights N(0, 0.01), biases 0. Source: docs/evaluation.md."""

    def __init__(
        self, in_width: int, num_classes: int, *, generator: Generator | None = None
    ) -> None:
        super().__init__(in_width, num_classes)
        nn.init.normal_(self.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.bias)


class ClassifiedEncoder(nn.Module):
    """An encoder with a linear classifier on [v_t ; v_s], to be trained together."""

    def __init__(
        self, encoder: DualPathEncoder, num_classes: int, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = LinearClassifier(
            2 * encoder.sizes.embed_dim, num_classes, generator=generator
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (N, C, T, V, M) to class scores (N, classes), in the weights' precision."""
        features = torch.cat(self.encoder(clips), dim=1)
        return self.classifier(features.to(self.classifier.weight.dtype))

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Group layers from the input upwards, in the form that timm expects.

        The two paths are side by side; the classifier follows.
        """
        return {
            "norm": r"encoder\.\w+_stem\.input_norm",
            "units": r"encoder\.\w+_stem\.units\.(\d+)",
            "project": r"encoder\.\w+_path\.project",
            "transformer": r"encoder\.\w+_path\.transformer\.layers\.(\d+)",
        }


class ProjectedEncoder(nn.Module):
    """An encoder with a head for each projection of an objective."""

    def __init__(self, encoder: DualPathEncoder, projection_dim: int, objective: Objective) -> None:
        super().__init__()
        self.encoder = encoder
        self.tasks = objective.tasks
        sizes = encoder.sizes
        widths = {**dict.fromkeys(PATHS, sizes.embed_dim), INSTANCE: 2 * sizes.embed_dim}
        for level, width in enumerate(sizes.level_widths(), start=1):
            widths |= {level_name(path, level): width for path in PATHS}
        self.heads = nn.ModuleDict(
            {
                name: ProjectionHead(widths[name], sizes.embed_dim, projection_dim)
                for name in objective.projections
            }
        )

    def features(self, task: str, clips: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode the clips (N, C, T, V, M) of a task.

        Returns an input (N, width) for each head, and the tokens (L, N, D) of each path. A path is
        followed to its end even where no head is: its batch-norm statistics are to be those of the
        data.
        """
        if task in PATHS:
            levels, tokens = self.encoder.levels_and_tokens(clips, task)
            assert tokens is not None
            names = {level_name(task, level): x for level, x in enumerate(levels, start=1)}
            return names, {task: tokens}
        all_tokens = self.encoder.tokens(self.encoder.align(clips))
        features = self.encoder.pool(all_tokens)
        inputs = {**features._asdict(), INSTANCE: torch.cat(features, dim=1)}
        return inputs, all_tokens._asdict()

    def encode(self, *clips: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode clips (N, C, T, V, M) of each task as `features` does.

        The tokens of a path are those of the first task that has it.
        """
        features: dict[str, Tensor] = {}
        tokens: dict[str, Tensor] = {}
        for task, views in zip(self.tasks, clips, strict=True):
            own, own_tokens = self.features(task, views)
            features |= own
            tokens = {**own_tokens, **tokens}
        return features, tokens

    def project(self, *clips: Tensor) -> dict[str, Tensor]:
        """Return the heads' outputs (N, projection_dim) for clips of each task, not normalized."""
        features, _ = self.encode(*clips)
        return self._apply_heads(features)

    def forward(self, *clips: Tensor) -> dict[str, Tensor]:
        """Map clips (N, C, T, V, M) of each task to unit-length projections (N, projection_dim).

        They have the weights' precision, also under mixed precision.
        """
        projections, _ = self.projections_and_tokens(*clips)
        return projections

    def projections_and_tokens(self, *clips: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what `forward` does, and the tokens (L, N, D) of each path."""
        features, tokens = self.encode(*clips)
        projected = self._apply_heads(features)
        # All weights have one precision.
        dtype = next(self.encoder.parameters()).dtype
        return {name: F.normalize(z.to(dtype), dim=1) for name, z in projected.items()}, tokens

    def _apply_heads(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: head(features[name]) for name, head in self.heads.items()}
