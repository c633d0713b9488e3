"""The making of the base: resumable loop, dense targets, alignment rows."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from instit_lite.model.load import load_base
from instit_lite.scenes.language import vocabulary
from instit_lite.scenes.questions import WAYS
from instit_lite.scenes.world import PLACES
from instit_lite.training.loop import train_loop
from instit_lite.training.align import AlignedProjector, align_batch, align_loss
from instit_lite.training.base_pictures import presence_questions, strips_sample, tiles_sample
from instit_lite.training.base_rows import LARGE, PHASES, base_sample
from instit_lite.training.base_texts import options_sample, order_sample
from instit_lite.training.collator import collate
from instit_lite.training.pretrain import grown_base, main, new_base, save_base
from instit_lite.training.trainer import packed_loss
from instit_lite.training.turns import count_tokens
from instit_lite.training.tower import GRID, HEADS, PatchProbe, draw_picture, patch_loss, patch_targets, tower_batch


class Stop(Exception):
    pass


def noisy_batches(step: int) -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def fit(folder, fail_at: int | None = None) -> torch.Tensor:
    torch.manual_seed(0)
    module = nn.Linear(4, 1)

    def make(step: int) -> torch.Tensor:
        if step == fail_at:
            raise Stop
        return noisy_batches(step)

    train_loop(module, lambda x: (module(x) - x.sum(1, keepdim=True)).square().mean(), make, folder,
               steps=30, lr=0.05, warmup=3, every=5, workers=0)  # fmt: skip
    return module.weight.detach().clone()


def test_a_killed_loop_ends_where_an_uninterrupted_one_does(tmp_path):
    whole = fit(tmp_path / "whole")
    with pytest.raises(Stop):
        fit(tmp_path / "killed", fail_at=17)
    resumed = fit(tmp_path / "killed")
    assert torch.allclose(whole, resumed, atol=1e-7)


def test_targets_label_what_is_under_each_patch():
    picture, facts, printed = draw_picture(12)
    labels = patch_targets(facts, printed)
    assert picture.shape == (64, 64, 3)
    for f in facts.instances:
        row, column = (int(np.clip(v * GRID, 0, GRID - 1)) for v in (f.y, f.x))
        if f.visible > 0.9 and f.radius > 0.1:
            assert labels["shape"][row * GRID + column] > 0
    assert set(np.unique(labels["digit"])) - {0} <= {p.value for p in printed}


def test_tower_loss_reaches_the_tower():
    base = new_base(0)
    probe = PatchProbe(base.model)
    pixels, labels = tower_batch(0, 2, 0)
    patch_loss(probe(pixels), labels).backward()
    assert probe.tower.embeddings.patch_embedding.weight.grad.abs().sum() > 0
    assert set(labels) == set(HEADS)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_base_rows_hold_no_marks_and_no_video(phase):
    words = set(vocabulary())
    kinds = set()
    for seed in range(60):
        sample = base_sample(seed, phase)
        kinds.add(sample.kind)
        text = sample.context + " ".join(q + a for q, a in sample.turns)
        if sample.frames is not None:
            of_options = " ".join(a for _, a in sample.turns)
            assert "[" not in text + of_options, "a picture of the base's training must not be asked about by mark"
            assert len(sample.frames) == 1 or (phase.tiles_share and len(sample.names) == 4), "a video must not be shown"
        assert count_tokens(sample.context) + sum(count_tokens(q + a) for q, a in sample.turns) <= phase.row_tokens + 60
        assert sample.turns
    texts = phase.options_share + phase.order_share
    wanted = {"text"} if phase.text_share or texts else set()
    wanted |= {"video"} if phase.pooled_share else set()  # one frame, through pooled tokens
    assert kinds == (wanted if texts == 1 else wanted | {"image"})
    assert "circle" in words


def test_an_order_row_is_answered_by_its_text():
    asked = set()
    for seed in range(40):
        sample = order_sample(np.random.default_rng(seed), 256)
        parts = [part.split() for part in re.split(r"<\d> ?", sample.context)[1:]]
        assert [len(part) for part in parts] == [16] * 4 and sample.frames is None
        for question, answer in sample.turns:
            number = re.search(r"\[(\d)\]", question)
            there = [number[1] in part for part in parts] if number else []
            if question.startswith("is "):
                asked.add(answer)
                assert answer == ("yes" if there[int(re.search(r"<(\d)>", question)[1]) - 1] else "no")
            if question.startswith("when does") and "enter" in question:
                at = int(answer[1]) - 1
                assert there[at] and not there[at - 1]
    assert asked == {"yes", "no"}


def test_a_strip_row_names_the_strip_that_holds_a_number():
    seen = set()
    for seed in range(30):
        sample = strips_sample(seed, 256)
        printed = {p.value: p for many in (False, True) for p in draw_picture(seed, 1.0, many=many)[2]}
        assert len(sample.frames) == 1 and set(sample.names) <= {1, 2, 3, 4}
        seen.add((sample.kind, len(sample.names)))
        asked = {q: a for q, a in sample.turns}
        for question, answer in asked.items():
            number = re.search(r"number (\d)", question)[1]
            if question.startswith("when"):
                assert int(answer[1]) in sample.names and int(number) in printed
                assert all((a == "yes") == (answer in q) for q, a in asked.items() if f"number {number} " in q and "when" not in q)
    assert seen == {(kind, count) for kind in ("image", "video") for count in (2, 4)}


def test_a_tile_row_is_one_picture_in_four_tiles_under_their_names():
    answers = set()
    for seed in range(30):
        sample = tiles_sample(seed, 256)
        assert sample.frames.shape[0] == 4 and sorted(sample.names) == [1, 2, 3, 4]
        turns = [(q, a) for q, a in sample.turns if "A: " not in q]
        assert {a for q, a in turns if q.startswith("where")} <= set(PLACES)
        lone = {re.search(r"number (\d)", q)[1]: a for q, a in turns if q.startswith("when")}
        for question, answer in turns:
            if question.startswith("is "):
                answers.add(answer)
                number = re.search(r"number (\d)", question)[1]
                assert number not in lone or (answer == "yes") == (lone[number] in question)
            if question.startswith("which number"):
                here, other = re.findall(r"<\d>", question)
                assert lone.get(answer, here) == here != other
            if question.startswith("which way"):
                assert answer in WAYS and re.search(r"number (\d)", question)[1] not in lone
    assert answers == {"yes", "no"}


def test_the_tiles_of_a_row_are_cut_from_one_rendering():
    tiles = tiles_sample(4, 256).frames
    large = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]).astype(int)
    seams = [np.abs(large[:, 64] - large[:, 63]), np.abs(large[64] - large[63])]
    assert all(np.median(seam) < 6 for seam in seams), "a background goes on over the cut"


def test_presence_is_asked_of_printed_and_of_missing_numbers():
    _, _, printed = draw_picture(3, printed_share=1.0)
    values = {p.value for p in printed}
    asked = presence_questions(printed, np.random.default_rng(0))
    assert {q.answer for q in asked} == {"yes", "no"}
    assert all((q.answer == "yes") == (int(q.question[-2]) in values) for q in asked)


def test_an_option_row_has_its_answer_behind_the_letter():
    for seed in range(20):
        for question, letter in options_sample(np.random.default_rng(seed), 128).turns:
            word = question.removeprefix("which is ").split("? ")[0]
            assert question.count(f" {letter}: {word}") >= 1


def test_numbers_are_printed_on_things_too_but_never_on_their_middle():
    on = 0
    for seed in range(60):
        _, facts, printed = draw_picture(seed, printed_share=1.0)
        for p in printed:
            off = [np.hypot(p.x - f.x, p.y - f.y) / f.radius for f in facts.instances]
            assert all(value > 0.34 for value in off)
            on += any(value < 0.95 for value in off)
    assert on > 30


def test_the_base_is_written_in_half_precision_and_stays_as_it_is(tmp_path):
    base = new_base(0)
    before = {name: p.clone() for name, p in base.model.state_dict().items()}
    save_base(base, tmp_path)
    assert all(torch.equal(before[name], p) for name, p in base.model.state_dict().items())


def test_rows_are_the_same_on_every_run():
    first, second = base_sample(7, PHASES[0]), base_sample(7, PHASES[0])
    assert first.turns == second.turns and first.context == second.context


def test_alignment_targets_are_the_words_under_each_patch():
    base = new_base(0)
    _, counts = align_batch(base, 0, 4, seed=3)
    assert (counts.sum(-1) >= 1).all()
    empty = counts[..., base.ids("nothing")[0]] == 1
    assert (counts.sum(-1)[empty] == 1).all()
    assert (counts.sum(-1)[~empty] >= 3).all() and (~empty).any()


def test_alignment_moves_the_projector_and_nothing_else():
    base = new_base(0)
    module = AlignedProjector(base)
    batch = align_batch(base, 0, 4, seed=3)
    align_loss(module, base, batch).backward()
    moved = [name for name, p in base.model.named_parameters() if p.grad is not None]
    assert moved and all("multi_modal_projector" in name for name in moved)


def test_the_large_base_begins_where_the_small_one_ended():
    base, small = grown_base(), load_base("micro")
    assert sum(p.numel() for p in base.model.parameters()) == pytest.approx(1e7, rel=0.1)
    pixels = base.pixels(draw_picture(3)[0][None])
    batch = collate(base, [base_sample(3, LARGE[0])])
    assert pixels.shape == (1, 3, 64, 64) and torch.allclose(packed_loss(base.model, batch), packed_loss(small.model, batch))
    packed_loss(base.model, batch).backward()
    new = base.model.model.language_model.layers[1]
    assert new.mlp.down_proj.weight.grad.abs().sum() > 0 and not new.mlp.down_proj.weight.any()


@pytest.mark.parametrize("size", ["earlier", "large"])
def test_bases_for_the_claims_go_from_end_to_end(size, tmp_path):
    main(["--size", size, "--share", "0.001", "--batch", "2", "--work", str(tmp_path)])
    made = load_base(str(tmp_path / size / "out"))
    shipped = load_base("micro").model.model.vision_tower.state_dict()
    for name, value in made.model.model.vision_tower.state_dict().items():
        assert torch.equal(value, shipped[name]), "the tower is the shipped one's, and frozen"
