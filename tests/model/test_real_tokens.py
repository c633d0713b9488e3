"""Pixels and visual tokens of real layouts: equal to the families' own where they define them, to numpy elsewhere."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlavaNextProcessor
from transformers.image_processing_utils import select_best_resolution
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from instit_lite.errors import PreflightError
from instit_lite.evaluation.answer import answer_items
from instit_lite.evaluation.asking import as_item
from instit_lite.model.adapter import load_adapter
from instit_lite.model.anyres import image_tokens, pack_views
from instit_lite.model.load import CLASSES, load_base
from instit_lite.model.qlora import QLora, attach_qlora
from instit_lite.model.visual import encode_frames, inner_model, mm_outputs, select_layer, tokens_per_frame
from instit_lite.training.collator import Sample, collate, encode, prompt_ids
from instit_lite.training.packing import IGNORE
from instit_lite.training.preflight import check_batch, preflight
from instit_lite.training.settings import SftSettings
from instit_lite.training.sft import run_sft
from instit_lite.training.trainer import packed_loss, visual_features

SIZES = [(360, 640), (500, 200), (60, 41), (300, 1400), (336, 336)]
TURNS = [("What does [1] do?", "It walks."), ("Is [2] red?", "no")]


@pytest.mark.parametrize(
    "kind, processor",
    [
        ("next", LlavaNextImageProcessorPil),
        ("next-video", LlavaNextImageProcessorPil),
        ("ov", LlavaOnevisionImageProcessorPil),
    ],
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_anyres_pixels_are_those_of_the_own_processor(real, checkpoint, picture, kind, processor, size):
    base, image = real(kind), picture(*size)
    own = processor.from_pretrained(checkpoint(kind), image_grid_pinpoints=base.model.config.image_grid_pinpoints)
    stock = own(image, return_tensors="pt")
    pixels, found = base.views(image[None], "image")
    assert found == size and pixels.shape == stock["pixel_values"][0].shape and len(pixels) <= 5
    assert (pixels - stock["pixel_values"][0]).abs().max() < 1e-5


@pytest.mark.parametrize(
    "kind, fit, processor",
    [
        ("llava", "crop", CLIPImageProcessorPil),
        ("next-video", "crop", CLIPImageProcessorPil),
        ("ov", "squash", SiglipImageProcessorPil),
    ],
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_frame_pixels_are_those_of_the_tower_s_own_processor(real, checkpoint, picture, kind, fit, processor, size):
    """The families' video processors cannot be built without torchvision; their steps are those of the tower's."""
    frames = np.stack([picture(*size, seed) for seed in range(2)])
    stock = processor.from_pretrained(checkpoint(kind))(list(frames), return_tensors="pt")["pixel_values"]
    assert (real(kind, fit=fit).pixels(frames) - stock).abs().max() < 1e-5


def test_a_squashed_frame_is_whole_and_a_cropped_one_loses_44_percent(real):
    frames = np.zeros((1, 360, 640, 3), np.uint8)
    frames[:, :, :140] = frames[:, :, -140:] = 255  # 280 of 640 columns: 43.75 %
    whole, cropped = (real("next", fit=fit).pixels(frames)[0, 0] > 0 for fit in ("squash", "crop"))
    assert whole.float().mean() == pytest.approx(0.4375, abs=0.01) and cropped.float().mean() < 0.01


def packed_by_hand(tokens, size, tiles, newline):
    """AnyRes packing read once more, in numpy: tiles to one map, padding off, a newline per row, whole view first."""
    side = math.isqrt(tokens.shape[1])
    (height, width), (rows, columns) = size, tiles
    grid = tokens[1:].reshape(rows, columns, side, side, -1).swapaxes(1, 2).reshape(rows * side, columns * side, -1)
    scale = min(columns / width, rows / height) * side
    pad = [(edge * side - int(round(own * scale, 7))) // 2 for edge, own in zip(tiles, size)]
    grid = grid[pad[0] : len(grid) - pad[0], pad[1] : grid.shape[1] - pad[1]]
    lines = [np.concatenate([line, newline[None]]) for line in grid]
    return np.concatenate([tokens[0], *lines])


@pytest.mark.parametrize("kind", ["next", "next-video", "ov", "ov-clip"])
def test_anyres_tokens_and_logits_are_those_of_the_stock_forward(real, checkpoint, picture, kind):
    base, image = real(kind), picture(360, 640)
    sample = Sample(image[None], "image", TURNS)
    batch = collate(base, [sample], "one_per_sample")
    pixels, size = base.views(image[None], "image")
    config = base.model.config
    stock = CLASSES[config.model_type].from_pretrained(
        checkpoint(kind), dtype=torch.float32, image_grid_pinpoints=config.image_grid_pinpoints
    ).eval()
    assert batch["image_views"].tolist() == [[len(pixels), 360, 640]] * 2
    with torch.no_grad():
        own = visual_features(base.model, batch)["image"].pooler_output
        of_stock = stock.get_image_features(pixels[None], torch.tensor([size])).pooler_output[0]
        ids = batch["input_ids"][:1, : int((batch["segments"][0] >= 0).sum())]
        ours = base.model(input_ids=ids, mm_encoder_outputs=mm_outputs(images=own[:1])).logits
        theirs = stock(input_ids=ids, pixel_values=pixels[None], image_sizes=torch.tensor([size])).logits
        blind = base.model(input_ids=ids, mm_encoder_outputs=mm_outputs(images=[own[0] * 0])).logits
        views = encode_frames(base.model, pixels, pooled=False)
    assert len(own[0]) == image_tokens(base.model, size) == int((ids == config.image_token_id).sum())
    assert (own[0] - of_stock).abs().max() < 1e-4 and (ours - theirs).abs().max() < 1e-4
    assert (theirs - blind).abs().max() > 0.01
    tiles = {3: (1, 2), 5: (2, 2)}[len(pixels)]
    by_hand = packed_by_hand(views.numpy(), size, tiles, inner_model(base.model).image_newline.detach().numpy())
    assert np.abs(own[0].numpy() - by_hand).max() < 1e-5


def test_llava_1_5_logits_are_those_of_the_stock_forward(real, checkpoint, picture):
    base, image = real("llava", fit="crop"), picture(200, 300)
    stock = CLASSES["llava"].from_pretrained(checkpoint("llava"), dtype=torch.float32).eval()
    pixels = CLIPImageProcessorPil.from_pretrained(checkpoint("llava"))(image, return_tensors="pt")["pixel_values"]
    batch = collate(base, [Sample(image[None], "image", TURNS[:1])])
    with torch.no_grad():
        ours = base.model(batch["input_ids"], mm_encoder_outputs=visual_features(base.model, batch)).logits
        theirs = stock(input_ids=batch["input_ids"], pixel_values=pixels).logits
        blind = stock(input_ids=batch["input_ids"], pixel_values=pixels * 0).logits
    assert int((batch["input_ids"] == base.model.config.image_token_id).sum()) == 576
    assert (ours - theirs).abs().max() < 1e-4 and (theirs - blind).abs().max() > 0.01


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["next", "ov"]), st.integers(20, 2500), st.integers(20, 2500))
def test_the_number_of_anyres_tokens_is_known_before_encoding(real, kind, height, width):
    base = real(kind)
    grid = select_best_resolution((height, width), base.model.config.image_grid_pinpoints)
    n_views = 1 + (grid[0] // base.side) * (grid[1] // base.side)
    whole = tokens_per_frame(base.model, pooled=False)
    views = torch.zeros(n_views, whole, base.model.config.text_config.hidden_size)
    assert len(pack_views(base.model, views, (height, width))) == image_tokens(base.model, (height, width))


def test_the_stock_processor_counts_the_same_placeholders(real, checkpoint, picture):
    base = real("next")
    images = LlavaNextImageProcessorPil.from_pretrained(checkpoint("next"))
    processor = LlavaNextProcessor(
        images, base.tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    for size in SIZES:
        ids = processor(images=picture(*size), text="USER: <image>\nWhat?", return_tensors="pt")["input_ids"]
        assert int((ids == base.model.config.image_token_id).sum()) == image_tokens(base.model, size)


@pytest.mark.parametrize(
    "kind, pool, count",
    [
        ("llava", "bilinear", 144),
        ("next", "bilinear", 144),
        ("next-video", "bilinear", 144),
        ("ov-clip", "average", 144),
        ("ov", "bilinear", 196),
        ("ov", "average", 169),
    ],
)
def test_video_tokens_are_pooled_after_the_projector_without_newline(real, picture, kind, pool, count):
    base = real(kind, pool=pool)
    pixels = base.pixels(np.stack([picture(90, 160, seed) for seed in range(2)]))
    with torch.no_grad():
        tokens = encode_frames(base.model, pixels, pooled=True)
        states = inner_model(base.model).multi_modal_projector(select_layer(base.model, pixels)).numpy()
    assert tokens.shape[1] == count == tokens_per_frame(base.model, pooled=True)
    side, small = math.isqrt(states.shape[1]), math.isqrt(count)
    grid = states.reshape(2, side, side, -1)
    if (side, pool) == (27, "bilinear"):
        at = np.clip((np.arange(14) + 0.5) * 27 / 14 - 0.5, 0, 26)  # half-pixel centres
        low, share = np.floor(at).astype(int), at - np.floor(at)
        high = np.minimum(low + 1, 26)
        grid = grid[:, low] * (1 - share)[:, None, None] + grid[:, high] * share[:, None, None]
        by_hand = grid[:, :, low] * (1 - share)[:, None] + grid[:, :, high] * share[:, None]
    else:
        grid = grid[:, : 2 * small, : 2 * small]
        by_hand = grid.reshape(2, small, 2, small, 2, -1).mean((2, 4))
    assert np.abs(tokens.numpy() - by_hand.reshape(2, count, -1)).max() < 1e-4
    if base.model.config.model_type == "llava_onevision" and pool == "bilinear":  # the stock order, plus one newline
        with torch.no_grad():
            stock = base.model.get_video_features(pixels[None]).pooler_output
        assert (stock[0, :-1] - tokens.flatten(0, 1)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["llava", "next", "next-video", "ov"])
def test_image_video_and_text_share_a_batch_in_every_family(real, picture, kind):
    """Each row equals the language model on embeddings with the visual tokens put in by hand."""
    base = real(kind)
    clip = np.stack([picture(90, 160, seed) for seed in range(2)])
    samples = [Sample(clip, "video", TURNS[:1]), Sample(picture(90, 160)[None], "image", TURNS[:1]),
               Sample(None, "text", TURNS[:1]), Sample(clip[:1], "video", TURNS[1:])]  # fmt: skip
    batch = collate(base, samples)
    check_batch(base.model, batch)
    config = base.model.config
    with torch.no_grad():
        given = visual_features(base.model, batch)
        together = base.model(batch["input_ids"], attention_mask=batch["attention_mask"],
                              position_ids=batch["position_ids"], mm_encoder_outputs=given).logits  # fmt: skip
        streams = {config.image_token_id: torch.cat(list(given["image"].pooler_output)),
                   config.video_token_id: given["video"].pooler_output.flatten(0, -2)}  # fmt: skip
        for row, segments, logits in zip(batch["input_ids"], batch["segments"], together):
            ids = row[: int((segments >= 0).sum())]
            embedded = base.model.get_input_embeddings()(ids.clamp(max=config.text_config.vocab_size - 1)).clone()
            for token, stream in streams.items():
                count = int((ids == token).sum())
                embedded[ids == token], streams[token] = stream[:count], stream[count:]
            alone = base.model.lm_head(inner_model(base.model).language_model(inputs_embeds=embedded[None])[0])[0]
            assert (logits[: len(ids)] - alone).abs().max() < 1e-4
    assert all(len(stream) == 0 for stream in streams.values())


@pytest.mark.parametrize("kind", ["llava", "next", "ov"])
def test_generation_goes_on_from_what_training_saw(real, picture, kind):
    base = real(kind)
    frames = np.stack([picture(90, 160, seed) for seed in range(2)])
    ids = torch.tensor([prompt_ids(base, "video", 2, "What does [1] do?")])
    with torch.no_grad():
        tokens = encode_frames(base.model, base.pixels(frames), pooled=True)
        first = base.model(ids, mm_encoder_outputs=mm_outputs(videos=[tokens])).logits[0, -1].argmax()
        options = {"max_new_tokens": 4, "do_sample": False, "attention_mask": torch.ones_like(ids)}
        rows = base.model.generate(input_ids=ids, mm_encoder_outputs=mm_outputs(videos=[tokens]), **options)
    assert rows[0, ids.shape[1]] == first and rows.shape[1] > ids.shape[1]


@pytest.mark.parametrize("kind", ["next", "ov"])
def test_every_part_that_should_train_gets_gradients(real, checkpoint, picture, kind):
    base = load_base(str(checkpoint(kind)))
    base.model = attach_qlora(base.model, QLora(rank=2, nf4=False, frozen_layers=1))
    samples = [Sample(picture(90, 160)[None], "image", TURNS), Sample(picture(90, 160)[None], "video", TURNS)]
    preflight(base.model, [encode(base, sample) for sample in samples], frozen=1)
    batch = collate(base, samples)
    packed_loss(base.model, batch).backward()
    expected = {name for name, p in base.model.named_parameters() if p.requires_grad}
    found = {name for name, p in base.model.named_parameters() if p.grad is not None}
    assert found == expected and any("vision_tower.encoder.layers.1" in name for name in found)
    assert (batch["labels"] != IGNORE).sum() == 2 * 6


@pytest.mark.parametrize("kind", ["next", "ov"])
def test_training_saving_and_asking_work_on_a_real_layout(checkpoint, picture, tmp_path, kind):
    """The whole road: mixed SFT in small, the adapter on a fresh base, questions about an image and about a clip."""
    frames = np.stack([picture(90, 160, seed) for seed in range(2)])
    samples = [Sample(frames, "video", TURNS), Sample(frames[:1], "image", TURNS), Sample(frames, "image", TURNS)]
    settings = SftSettings(steps=2, batch=3, rank=2, nf4=False)
    done = run_sft(load_base(str(checkpoint(kind))), samples, settings, tmp_path, say=str)
    again = load_adapter(load_base(str(checkpoint(kind))), done.adapter_dir)
    assert len(done.losses) == 2 and all(np.isfinite(done.losses))
    batch = collate(again, samples)
    with torch.no_grad():
        assert packed_loss(again.model, batch).equal(packed_loss(done.base.model, batch))
    items = [as_item(frames[:1], "What is [1]?"), as_item(frames, "What is [1]?"), as_item(frames[1:], "Is it red?")]
    together = answer_items(again, items, progress=False, max_new_tokens=3)
    alone = [answer_items(again, [item], progress=False, max_new_tokens=3)[0] for item in items]
    assert together == alone and again.template.name != "micro"


def test_wrong_numbers_of_visual_tokens_are_refused(real, picture):
    base = real("next")
    batch = collate(base, [Sample(picture(90, 160)[None], "image", TURNS)])
    wrong = batch["image_views"].clone()
    wrong[0, 1] = 400
    for views in (wrong, torch.tensor([[2, 90, 160]])):
        with pytest.raises(PreflightError, match="placeholders for"):
            check_batch(base.model, batch | {"image_views": views})
    with pytest.raises(PreflightError, match="needs its size"):
        prompt_ids(base, "image", 1, "What?")
    ids = torch.tensor([prompt_ids(base, "video", 2, "What?")])
    one = encode_frames(base.model, base.pixels(picture(90, 160)[None]), pooled=True)
    with pytest.raises(ValueError, match="288 video placeholders for 144 video features"):
        base.model(ids, mm_encoder_outputs=mm_outputs(videos=[one]))
