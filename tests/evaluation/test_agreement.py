"""Agreement: numbers worked out by hand, the published standard error, and coverage."""

import numpy as np
import pytest
from scipy.stats import t

from instit_lite.dataset.decisions import DecisionFile, Item
from instit_lite.errors import InstitError
from instit_lite.evaluation.agreement import agreement_table, kappa


def pairs(table):
    """Verdicts of two reviewers from a table of counts, rows the first's, columns the second's."""
    cells = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return [f"v{i}" for i, _ in cells], [f"v{j}" for _, j in cells]


def half(found):
    return (found.high - found.low) / 2


def test_kappa_by_hand():
    # 35 of 50 equal: p = 0.7; e = 0.5 x 0.6 + 0.5 x 0.4 = 0.5; kappa = 0.2 / 0.5. Variance after Fleiss, Cohen and
    # Everitt: (0.4 x 0.34^2 + 0.3 x 0.46^2 + 0.36 x (0.1 x 1.1^2 + 0.2 x 0.9^2) - 0.1^2) / (50 x 0.5^2) = 0.016128.
    first, second = pairs([[20, 5], [10, 15]])
    found = kappa(first, second, range(50))
    assert found.mean == pytest.approx(0.4)
    assert half(found) == pytest.approx(t.ppf(0.975, 49) * (0.016128 * 50 / 49) ** 0.5, rel=1e-6)


def test_three_verdicts_by_hand():
    # 9 of 12 equal: p = 0.75; e = (6 x 5 + 3 x 4 + 3 x 3) / 144 = 51 / 144; kappa = (108 - 51) / (144 - 51) = 57 / 93.
    found = kappa(*pairs([[5, 1, 0], [0, 2, 1], [0, 1, 2]]), range(12))
    assert found.mean == pytest.approx(57 / 93)


def published_error(table):
    """The standard error of Fleiss, Cohen and Everitt (1969), term by term from the table of shares."""
    share = np.array(table) / np.sum(table)
    row, column, n = share.sum(1), share.sum(0), np.sum(table)
    chance = row @ column
    k = (np.trace(share) - chance) / (1 - chance)
    same = sum(share[i, i] * (1 - (row[i] + column[i]) * (1 - k)) ** 2 for i in range(len(share)))
    other = sum(share[i, j] * (column[i] + row[j]) ** 2 for i, j in np.argwhere(1 - np.eye(len(share))))
    return np.sqrt((same + (1 - k) ** 2 * other - (k - chance * (1 - k)) ** 2) / n) / (1 - chance)


TABLES = ([[20, 5], [10, 15]], [[44, 5, 1], [7, 20, 3], [9, 5, 6]], [[30, 2, 2], [1, 4, 1], [3, 0, 9]])


@pytest.mark.parametrize("table", TABLES)
def test_the_interval_is_the_published_one_where_no_two_items_share_a_clip(table):
    n = int(np.sum(table))
    found = kappa(*pairs(table), range(n))
    assert half(found) == pytest.approx(t.ppf(0.975, n - 1) * published_error(table) * (n / (n - 1)) ** 0.5, rel=1e-9)


def test_items_of_one_clip_do_not_count_as_many():
    first, second = pairs([[20, 5], [10, 15]])
    once = kappa(first, second, range(50))
    copied = kappa(first * 3, second * 3, [*range(50)] * 3)
    assert copied.mean == pytest.approx(once.mean) and half(copied) == pytest.approx(half(once))
    assert half(kappa(first * 3, second * 3, range(150))) < 0.7 * half(once)


def test_what_is_not_known_is_not_claimed():
    assert kappa(["accept"] * 5, ["accept"] * 5, range(5)) is None
    perfect = kappa(["accept", "reject"], ["accept", "reject"], [1, 2])
    assert perfect.mean == perfect.high == 1 and perfect.low < 0
    assert kappa(["accept", "reject"], ["reject", "accept"], [1, 2]).mean == -1
    one_clip = kappa(*pairs([[20, 5], [10, 15]]), ["clip"] * 50)
    assert half(one_clip) > 0.7
    for bad in (([], [], []), (["accept"], [], [1])):
        with pytest.raises(InstitError):
            kappa(*bad)


def test_the_interval_holds_what_it_promises():
    # Two reviewers who slip in 4 % of the items, in hard clips in 40 %; 30 % of the items are "1". Of this process:
    equal = 0.75 * (0.04**2 + 0.96**2) + 0.25 * (0.4**2 + 0.6**2)
    one = 0.3 * 0.87 + 0.7 * 0.13
    chance = one**2 + (1 - one) ** 2
    true, rng, hits = (equal - chance) / (1 - chance), np.random.default_rng(0), 0
    for _ in range(400):
        truth, slips = rng.random(200) < 0.3, np.where(np.repeat(rng.random(40) < 0.25, 5), 0.4, 0.04)
        sides = [np.where((rng.random(200) < slips) ^ truth, "1", "0") for _ in "ab"]
        found = kappa(*sides, np.repeat(np.arange(40), 5))
        hits += found.low <= true <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_the_tables_count_what_both_decided_by_kind(tmp_path):
    items = [Item(f"video {n % 3}", kind, "told", number=n) for n, kind in enumerate(["frame"] * 4 + ["summary"] * 2)]
    ann, ben = DecisionFile(tmp_path, "ann"), DecisionFile(tmp_path, "ben")
    for item, a, b in zip(items, "aaeraa", "aaerr "):
        verdicts = {"a": "accept", "e": "edit", "r": "reject"}
        for file, key in ((ann, a), (ben, b)):
            if key in verdicts:
                file.decide(item, verdicts[key], "better" if key == "e" else None)
    rows = agreement_table(items, ann, ben)["rows"]
    assert [row[:3] + row[5:] for row in rows] == [
        ["all", 5, 3, "3 / 2", "1 / 1", "1 / 2"], ["frame", 4, 3, "2 / 2", "1 / 1", "1 / 1"],
        ["summary", 1, 1, "1 / 0", "0 / 0", "0 / 1"],
    ]  # fmt: skip
    assert rows[0][3].startswith("0.80") and rows[1][4].startswith("1.00")
    assert agreement_table([], ann, ben)["rows"] == []
