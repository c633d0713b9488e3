"""The README's table is the ledger's, and nothing else of the README changes."""

import json

import pytest

from instit_lite.claims import readme_table
from instit_lite.claims.ledger import repository_ledger
from instit_lite.claims.readme_table import BEGIN, END, README, block, table, write_table
from instit_lite.profiles import with_block
from instit_lite.errors import InstitError

LEDGER = {
    "date": "2026-01-01", "seeds": 3, "questions_per_split": 500, "steps": 600, "batch": 8,
    "machine": {"cores": 2, "system": "Linux", "gpu": None},
    "claims": [{
        "id": "C2", "statement": "It lifts.", "paper": {"figure": "+22.6", "where": "Table 2"}, "verdict": "shown",
        "parts": [
            {"split": "image", "format": "open", "says": "main > base", "difference": [0.3, 0.25, 0.35]},
            {"what": "tokens", "says": "tokens: main < unpooled", "ratio": [0.25, 0.25, 0.25]},
            {"split": "video", "format": "choice", "says": "main > base", "missing": ["main"]},
        ],
    }],
}  # fmt: skip


def test_the_readme_is_up_to_date():
    text = README.read_text(encoding="utf-8")
    assert text == with_block(text, BEGIN, END, block(), README)
    for path in README.parent.glob("instit_lite/claims/ledger_*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["claims"]


def test_the_table_has_the_numbers():
    row = table(LEDGER).splitlines()[-1]
    assert "+30.0 [+25.0, +35.0]" in row and "× 0.25" in row and "video MC: –" in row and "**shown**" in row


def test_only_the_block_changes(tmp_path, monkeypatch):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    ledger = tmp_path / "ledger.json"
    ledger.write_text(json.dumps(LEDGER), encoding="utf-8")
    monkeypatch.setattr(readme_table, "repository_ledger", lambda profile: ledger)
    write_table(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\nMeasured 2026-01-01") and text.endswith(f"\n{END}\nafter\n")
    write_table(path)
    assert path.read_text(encoding="utf-8") == text


def test_a_readme_without_comments_is_refused():
    with pytest.raises(InstitError, match="comments"):
        with_block("nothing", BEGIN, END, "new", README)


def test_ledgers_lie_in_the_package():
    assert repository_ledger("micro").name == "ledger_micro.json"
