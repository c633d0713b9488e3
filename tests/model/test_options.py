"""An adapter goes on a base that was loaded as in its training; another is refused with name and cure."""

import json

import pytest

from instit_lite.errors import ModelError
from instit_lite.model.adapter import CARD_FILE, base_facts, load_adapter, read_card, save_adapter
from instit_lite.model.load import load_base
from instit_lite.model.options import card_options, stretch
from instit_lite.model.qlora import QLora, attach_qlora


@pytest.fixture
def adapter(checkpoint, tmp_path):
    """Save an untrained adapter on a base that was loaded with some options; give its folder and a loader."""

    def save(kind, **options):
        def load(**others):
            return load_base(str(checkpoint(kind)), **others)

        base = load(**options)
        facts = base_facts(base)
        model = attach_qlora(base.model, QLora(rank=2, nf4=False, frozen_layers=1))
        return save_adapter(model, tmp_path / "adapter", **facts), load

    return save


@pytest.mark.parametrize(
    "kind, trained, loaded, said",
    [
        ("next", {"fit": "crop"}, {}, "trained with fit='crop', its base is loaded with fit='squash'"),
        ("ov", {"pool": "average"}, {}, "trained with pool='average', .* with pool='bilinear'"),
        ("next", {}, {"tiles": 0}, "trained with tiles=4, .* with tiles=0"),
        ("next", {"context": 6144}, {}, "trained with context=6144, .* with context=None"),
        ("next", {}, {"context": 6144, "fit": "crop"}, "fit='squash', context=None, .*context=6144"),
    ],
)
def test_other_options_are_refused_by_name(adapter, kind, trained, loaded, said):
    folder, load = adapter(kind, **trained)
    with pytest.raises(ModelError, match=said) as refused:
        load_adapter(load(**loaded), folder)
    assert refused.value.path == str(folder)
    cured = load(**card_options(read_card(folder)))
    assert load_adapter(cured, folder).options == cured.options == load(**trained).options
    assert all(f"{name}={value!r}" in refused.value.cure for name, value in trained.items())


def test_a_context_that_only_sets_a_limit_may_differ(adapter):
    """Vicuna's 4,096 positions are scaled for more; fewer, and Qwen2's 32,768 for any, stay as they are."""
    folder, load = adapter("next", context=2048)
    assert load_adapter(load(), folder).options["context"] is None
    folder, load = adapter("ov")
    assert load_adapter(load(context=8192), folder).options["context"] == 8192
    assert stretch(load(context=8192).model) == 1.0


def test_cards_without_options_load_on_any_base(adapter):
    folder, load = adapter("next", fit="crop")
    card = read_card(folder)
    assert card["options"] == {"fit": "crop", "pool": "bilinear", "tiles": 4, "context": None}
    assert (card["stretch"], card["dtype"]) == (1.0, "float32")
    for name in ("options", "stretch", "dtype"):
        del card[name]
    (folder / CARD_FILE).write_text(json.dumps(card))
    assert card_options(read_card(folder)) == {}
    load_adapter(load(context=6144), folder)
