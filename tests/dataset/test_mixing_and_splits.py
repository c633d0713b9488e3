"""Mixes hold their share exactly, splits share no clip, statistics are what a hand counts."""

import annotated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instit_lite.dataset.dialogues import general_dialogue, qa_dialogue
from instit_lite.dataset.mixing import general_of, mix, mix_table
from instit_lite.dataset.records import image_record, video_record
from instit_lite.dataset.splits import split_by_clip
from instit_lite.dataset.statistics import dataset_counts, text_statistics
from instit_lite.errors import RecordError

OWN = [qa_dialogue("p.jpg", [("q?", "a")], f"own-{i}") for i in range(40)]
GENERAL = [general_dialogue("p.jpg", [("q?", "a")], f"general-{i}") for i in range(30)]
SHARES = st.fractions(0, 1, max_denominator=20).map(float)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.integers(0, 30), SHARES, st.integers(0, 3))
def test_the_largest_mix_holds_its_share_and_repeats_nothing(n_own, n_general, ratio, seed):
    mixed = mix(OWN[:n_own], GENERAL[:n_general], ratio, seed)
    names = [d["id"] for d in mixed]
    assert len(set(names)) == len(names)
    drawn = sum(d["group"] == 0 for d in mixed)
    assert abs(drawn - ratio * len(mixed)) <= 0.5 + 1e-9
    bigger = len(mixed) + 1
    wanted = general_of(bigger, ratio)
    assert wanted > n_general or bigger - wanted > n_own, "one more would have fitted"
    assert mix(OWN[:n_own], GENERAL[:n_general], ratio, seed) == mixed


def test_a_total_is_met_exactly_and_shortage_is_refused():
    mixed = mix(OWN, GENERAL, 0.3, 0, total=10)
    assert [row[1:] for row in mix_table(mixed)["rows"]] == [["general", 3, 0.3], ["image_qa", 7, 0.7]]
    with pytest.raises(RecordError, match="need 35 general ones, and there are 30"):
        mix(OWN, GENERAL, 0.5, 0, total=70)
    with pytest.raises(RecordError, match="share"):
        mix(OWN, GENERAL, 1.5, 0)


def test_the_seed_decides_the_order():
    orders = {tuple(d["id"] for d in mix(OWN, GENERAL, 0.5, seed)) for seed in range(5)}
    assert len(orders) == 5
    groups = [d["group"] for d in mix(OWN, GENERAL, 0.5, 0)]
    assert groups != sorted(groups) and groups != sorted(groups, reverse=True), "the two parts are shuffled"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=6, max_size=40), st.integers(0, 5), st.randoms())
def test_no_clip_is_on_both_sides_and_order_does_not_matter(clips, seed, random):
    items = [{"clip": clip, "item": i} for i, clip in enumerate(clips)]
    n = len(set(clips))
    if n < 6:
        return
    parts = split_by_clip(items, "clip", {"train": 0.7, "val": 0.1, "test": 0.2}, seed)
    sides = {name: {item["clip"] for item in part} for name, part in parts.items()}
    assert sum(map(len, sides.values())) == n and sum(map(len, parts.values())) == len(items)
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert abs(len(sides[name]) - share * n) < 1
        assert parts[name] == [item for item in items if item["clip"] in sides[name]]
    random.shuffle(items)
    again = split_by_clip(items, lambda item: item["clip"], {"train": 0.7, "val": 0.1, "test": 0.2}, seed)
    assert {name: {item["clip"] for item in part} for name, part in again.items()} == sides


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 0.99, "b": 0.01}])
def test_shares_that_cannot_be_met_are_refused(shares):
    with pytest.raises(RecordError):
        split_by_clip([{"clip": 1}, {"clip": 2}], "clip", shares, 0)


def test_an_item_without_its_clip_is_refused():
    with pytest.raises(RecordError, match="'clip'"):
        split_by_clip([{"id": 1}], "clip", {"a": 1.0}, 0)


def test_table_9_and_counts_by_hand():
    records = [
        video_record(1, "v", annotated.two_frames()),
        image_record(1, "i.jpg", annotated.frame(1, {4: "One. Two words!"}, "")),
    ]
    table = text_statistics(records)
    assert table["columns"] == ["caption type", "count", "chars", "words", "sentences"]
    assert table["rows"] == [
        ["instance", 4, 16.8, 3.8, 1.2],  # 18, 17, 17, 15 characters; 4, 4, 4, 3 words; 1, 1, 1, 2 sentences
        ["frame", 2, 19.5, 5.0, 1.0],
        ["temporal change", 1, 11.0, 2.0, 1.0],
        ["video", 1, 38.0, 9.0, 2.0],
        ["all", 8, 19.4, 4.5, 1.2],
    ]
    assert "parts of speech" in table["note"]
    counts = dict(dataset_counts(records)["rows"])
    assert counts["clips"] == 1 and counts["frames per clip"] == 2 and counts["instances per clip"] == 2
    assert counts["instances per frame"] == 1.5 and counts["QA pairs per clip"] == 1 and counts["images"] == 1
    assert dict(dataset_counts([])["rows"])["frames per clip"] is None
