import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instit_lite.training.packing import (
    IGNORE,
    PADDING,
    Branch,
    attention_mask,
    multi_turn,
    one_per_sample,
    pad_rows,
    shared_prefix,
    visible,
)


@st.composite
def packs(draw):
    """A prefix and branches whose token ids are all different, so that a token tells where it came
    from.
    """
    n_prefix = draw(st.integers(1, 12))
    shapes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=5))
    fresh = iter(range(1000))
    prefix = [next(fresh) for _ in range(n_prefix)]
    branches = [Branch(tuple(next(fresh) for _ in range(asked + answered)), asked) for asked, answered in shapes]
    return prefix, branches


@settings(max_examples=60, deadline=None)
@given(packs())
def test_a_branch_sees_the_prefix_and_its_own_past_only(pack):
    prefix, branches = pack
    packed = shared_prefix(prefix, branches)
    sees = visible(packed.segments)
    owner = {token: number for number, branch in enumerate(branches, 1) for token in branch.ids}
    owner |= dict.fromkeys(prefix, 0)
    tokens = packed.input_ids.tolist()
    for i, query in enumerate(tokens):
        for j, key in enumerate(tokens):
            wanted = j <= i and owner[key] in (0, owner[query])
            assert bool(sees[i, j]) == wanted


@settings(max_examples=60, deadline=None)
@given(packs())
def test_positions_of_each_branch_restart_after_the_prefix(pack):
    prefix, branches = pack
    packed = shared_prefix(prefix, branches)
    assert packed.position_ids[: len(prefix)].tolist() == list(range(len(prefix)))
    for number, branch in enumerate(branches, 1):
        positions = packed.position_ids[packed.segments == number]
        assert positions.tolist() == list(range(len(prefix), len(prefix) + len(branch.ids)))


@settings(max_examples=60, deadline=None)
@given(packs())
def test_labels_are_the_answers_and_their_shift_stays_inside_a_branch(pack):
    prefix, branches = pack
    for packed in (shared_prefix(prefix, branches), multi_turn(prefix, branches)):
        answers = [token for branch in branches for token in branch.ids[branch.answer_start :]]
        supervised = packed.labels != IGNORE
        assert packed.labels[supervised].tolist() == answers
        assert (packed.labels == packed.input_ids)[supervised].all()
        predictors = supervised.nonzero().flatten() - 1
        assert (packed.segments[predictors] == packed.segments[supervised]).all()


@settings(max_examples=30, deadline=None)
@given(packs())
def test_shared_prefix_holds_what_single_samples_hold(pack):
    prefix, branches = pack
    packed, single = shared_prefix(prefix, branches), one_per_sample(prefix, branches)
    assert len(packed) == sum(len(row) for row in single) - (len(branches) - 1) * len(prefix)
    for number, row in enumerate(single, 1):
        own = (packed.segments == 0) | (packed.segments == number)
        assert packed.input_ids[own].equal(row.input_ids)
        assert packed.position_ids[own].equal(row.position_ids)
        assert packed.labels[own].equal(row.labels)
        assert visible(packed.segments)[own][:, own].equal(visible(row.segments))


def test_multi_turn_is_plain_causal_attention():
    packed = multi_turn([1, 2], [Branch((3, 4), 1), Branch((5, 6, 7), 2)])
    assert visible(packed.segments).equal(torch.ones(7, 7, dtype=torch.bool).tril())
    assert packed.position_ids.tolist() == list(range(7))


@pytest.mark.parametrize("start", [0, 3])
def test_a_branch_needs_question_and_answer(start):
    with pytest.raises(ValueError, match="at least one"):
        Branch((1, 2, 3), start)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_is_float_and_finite_also_on_padding(dtype):
    batch = pad_rows([shared_prefix([1, 2], [Branch((3, 4), 1)]), shared_prefix([1], [Branch((3, 4), 1)])], 0)
    mask = attention_mask(batch["segments"], dtype)
    assert mask.shape == (2, 1, 4, 4) and mask.dtype == dtype
    weights = torch.softmax(mask, dim=-1)
    assert weights.isfinite().all()
    assert ((weights > 0) == visible(batch["segments"])[:, None]).all()


def test_padding_is_unlabelled_and_unseen():
    batch = pad_rows([shared_prefix([1, 2, 3], [Branch((4, 5), 1)]), shared_prefix([1], [Branch((4, 5), 1)])], 9)
    assert batch["input_ids"][1].tolist() == [1, 4, 5, 9, 9]
    assert batch["labels"][1].tolist() == [IGNORE, IGNORE, 5, IGNORE, IGNORE]
    assert batch["segments"][1].tolist() == [0, 1, 1, PADDING, PADDING]
    assert not visible(batch["segments"])[1, :3, 3:].any()
