"""From config to model."""

from scdnet.config import Config
from scdnet.models.encoder import EncoderSizes
from scdnet.models.objective import Objective, hdc_objective, scd_objective
from scdnet.models.scdnet import SCDNet


def encoder_sizes(config: Config) -> EncoderSizes:
    """The sizes of the encoder that `config` describes."""
    model, data = config.model, config.data
    return EncoderSizes(
        base_channels=model.base_channels,
        width=model.width,
        heads=model.heads,
        layers=model.layers,
        frames=data.frames,
        bodies=data.bodies,
        dropout=model.dropout,
        pooling=model.pooling,
    )


def build_objective(config: Config) -> Objective:
    """What `config` contrasts with what."""
    parts = {"scd": scd_objective(config.scd.pairs), "hdc": hdc_objective(**dict(config.hdc))}
    first, *rest = (parts[name] for name in config.objective.split("+"))
    return sum(rest, start=first)


def build_model(config: Config) -> SCDNet:
    """The pretraining model, with weights drawn from torch's random state."""
    model = config.model
    return SCDNet(
        encoder_sizes(config),
        projection=model.projection,
        queue_size=model.queue_size,
        momentum=model.momentum,
        objective=build_objective(config),
    )
