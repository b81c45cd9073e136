"""Encoders from any source: what is known of them, and whether they fit a config."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.sources import Origin, check_fits, read_pretrained
from scdnet.engine.train.pretrain import pretrain
from scdnet.skeletons import NTU_25, OPENPOSE_25
from tests.engine.exports import SMALL, change_config, export, make_encoder, ship
from tests.engine.runs import changed

# A config whose encoder is that of `make_encoder`.
FITTING = Config(
    data={"num_frames": 8, "num_bodies": 1, "views": {"frame_mask_prob": 0}},
    model={"base_channels": 8, "embed_dim": 16, "num_heads": 2},
)


def test_what_config_json_tells_of_the_pretraining_is_known(tmp_path: Path):
    told = {"seed": 3, "epoch": 9, "data": ["a", "b"], "store_sha256": ["1", "2"]}
    folder = export(tmp_path / "e")
    change_config(folder, lambda config: config["pretraining"].update(told))
    assert read_pretrained(folder).origin == Origin(3, 9, "a+b", "1 2", None)


@pytest.mark.parametrize(
    "told", [{}, {"seed": "3", "epoch": True, "data": "a", "store_sha256": [1]}, {"data": []}]
)
def test_what_config_json_does_not_tell_is_unknown(tmp_path: Path, told: dict):
    folder = export(tmp_path / "e")
    change_config(folder, lambda config: config["pretraining"].update(told))
    assert read_pretrained(folder).origin == Origin()


def test_a_checkpoint_tells_its_pretraining(small_config: Config):
    config = changed(small_config, seed=3, display_name="mine", optim={"epochs": 1})
    found = read_pretrained(pretrain(config))
    origin = found.origin
    assert (origin.seed, origin.epoch, origin.stores) == (3, 1, "synthetic")
    assert (origin.display_name, found.stream, found.kind) == ("mine", "joint", "checkpoint")


def test_weights_that_ship_have_their_name_in_tables(tmp_path: Path, monkeypatch):
    ship(monkeypatch, tmp_path)
    found = read_pretrained("scdnet-small")
    assert (found.source, found.origin.display_name) == ("scdnet-small", "scdnet-small")


def test_the_dropout_is_that_of_the_encoder_or_another(tmp_path: Path):
    sizes = replace(SMALL, dropout=0.25)
    found = read_pretrained(export(tmp_path / "e", make_encoder(sizes, has_components=True)))
    assert found.build().sizes == sizes
    other = found.build(dropout=0.5)
    assert other.sizes == replace(sizes, dropout=0.5) and not other.training
    expected = found.build().state_dict()
    assert all(torch.equal(expected[name], x) for name, x in other.state_dict().items())


def fault_of(folder: Path, config: Config, **changes: object) -> str:
    found = replace(read_pretrained(folder), **changes)
    with pytest.raises(CheckpointError) as caught:
        check_fits(found, found.build(), config=config, skeleton=NTU_25, components=True)
    return str(caught.value).removeprefix(f"{folder}: ")


def test_an_encoder_of_the_config_fits(tmp_path: Path):
    found = read_pretrained(export(tmp_path / "e"))
    check_fits(found, found.build(), config=FITTING, skeleton=NTU_25, components=True)


def test_all_keys_that_differ_are_named_with_the_values_that_fit(tmp_path: Path):
    config = changed(FITTING, data={"num_frames": 4}, model={"embed_dim": 32, "components": True})
    assert fault_of(export(tmp_path / "e"), config) == (
        "model.embed_dim is 16 in the encoder, 32 in the config, data.num_frames is 8 in the "
        "encoder, 4 in the config, model.components is False in the encoder, True in the config; "
        "add model.embed_dim=16 data.num_frames=8 model.components=False"
    )


def test_another_stream_is_named(tmp_path: Path):
    folder = export(tmp_path / "e")
    fault = fault_of(folder, changed(FITTING, stream="bone"))
    assert fault.endswith("trained on stream joint, but the config states bone; add stream=joint")
    # The authors' files do not state theirs.
    fault = fault_of(folder, changed(FITTING, stream="all"), stream=None)
    assert fault == "num_streams is 1 in the encoder, 3 in the config; add stream=joint"


def test_another_skeleton_is_named(tmp_path: Path):
    fault = fault_of(export(tmp_path / "e", make_encoder(SMALL, OPENPOSE_25)), FITTING)
    assert "trained on the joints of openpose25, but data/ntu60.h5 has those of ntu25" in fault
