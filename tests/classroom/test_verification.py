"""The verification page: keys and buttons decide, a break loses nothing, and no word of a model acts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from instit_lite.classroom import verification
from instit_lite.classroom.safe_html import TAGS
from instit_lite.classroom.verification import BUTTONS, KEYS, Page, draw, verify
from instit_lite.dataset.decisions import DecisionFile
from instit_lite.dataset.doubts import Annotations
from instit_lite.errors import InstitError

PAYLOADS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg/onload=alert(1)>', "{{7*7}}", "`<b>`",
    "</blockquote><iframe src=//a>", "<a href='javascript:alert(1)'>x</a>", "[x](javascript:alert(1))", "]]><!--",
    "![x](x){onerror=alert(1)}", "$\\href{javascript:1}{x}$", "<style>*{display:none}</style>", "<base href=//a>",
    "<form action=//a><button>", "<details open ontoggle=alert(1)>", "&lt;script&gt;", "<p data-showing=9>",
    "<math><mtext></p><img src=x>", "\u202e<b>drawkcab", "<meta http-equiv=refresh>", "<object data=x>", "<embed src=x>",
    "<input autofocus onfocus=alert(1)>", "<video><source onerror=alert(1)>", "<svg><animate onbegin=alert(1)>",
    "<template><script>1</script>", "<link rel=stylesheet href=//a>",
)  # fmt: skip


class Parts(HTMLParser):
    """The tags, attributes and words of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.words = set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def shown(monkeypatch):
    """Collect what is published; headless unless the test says otherwise."""
    bundles = []
    monkeypatch.setenv("INSTIT_HEADLESS", "1")
    monkeypatch.setattr(verification, "publish", lambda *parts: bundles.append(parts))
    return bundles


@pytest.fixture
def page(annotated, tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_HEADLESS", "0")
    return reopened(annotated(), tmp_path)


def reopened(folder, tmp_path):
    return Page(Annotations(folder), DecisionFile(tmp_path / "decisions", "ann"))


def kept(page):
    return {name: (d.verdict, d.text) for name, d in DecisionFile(page.decisions.path.parent, "ann").last.items()}


def test_a_press_is_kept_before_the_next_text_is_shown(page):
    page.buttons["accept"].click()
    assert kept(page) == {"video 1 <1> instance [1]": ("accept", None)}
    assert "Kept: accept. Item 2 of 10: video 1 &lt;1&gt; instance [2]. 1 decided by ann." in page.status.value
    assert "a blue star" in page.panel.value
    page.buttons["reject"].click()
    page.buttons["back"].click()
    assert "Decided: reject" in page.panel.value and "Item 2" in page.status.value
    page.buttons["accept"].click()
    assert kept(page)["video 1 <1> instance [2]"] == ("accept", None)
    assert "Item 3" in page.status.value


def test_an_edit_keeps_the_corrected_text_and_cancel_keeps_nothing(page):
    page.buttons["edit"].click()
    assert page.editor.layout.display == "" and page.bar.layout.display == "none" and page.text.value == "a red circle"
    page.text.value = "nonsense"
    page.buttons["cancel"].click()
    assert kept(page) == {} and page.editor.layout.display == "none"
    page.buttons["edit"].click()
    page.text.value = "a <green> circle"
    page.buttons["save"].click()
    assert kept(page) == {"video 1 <1> instance [1]": ("edit", "a <green> circle")}
    page.buttons["back"].click()
    assert "Decided: edit</b> → a &lt;green&gt; circle" in page.panel.value


def test_a_save_that_fails_says_so_and_loses_no_word(page):
    page.buttons["edit"].click()
    page.buttons["save"].click()
    assert "⚠ the corrected text is blank or as before" in page.status.value and page.editor.layout.display == ""
    page.text.value = "a green circle"
    page.decisions.path.parent.write_text("in the way")
    page.buttons["save"].click()
    assert "was not kept" in page.status.value and "Item 1 of" in page.status.value
    assert page.text.value == "a green circle"
    page.decisions.path.parent.unlink()
    page.buttons["save"].click()
    assert kept(page) == {"video 1 <1> instance [1]": ("edit", "a green circle")}


def test_it_opens_where_the_decisions_end(page, tmp_path):
    for name in ("accept", "reject", "on", "accept"):
        page.buttons[name].click()
    again = reopened(page.found.folder, tmp_path)
    assert "Item 3 of 10" in again.status.value and "3 decided" in again.status.value
    for _ in range(7):
        again.buttons["accept"].click()
    assert "No such item is open" in again.status.value and len(kept(page)) == 10
    assert "10 decided" in reopened(page.found.folder, tmp_path).status.value


def test_doubted_texts_can_be_sought(page):
    page.buttons["doubt"].click()
    assert "video 1 &lt;2&gt; change" in page.status.value
    assert "⚠ The audit doubts:</b></p><ul><li>&lt;2&gt; [1] motion: no part of its mask moves</li>" in page.panel.value
    page.buttons["reject"].click()
    page.buttons["doubt"].click()
    assert "video 1 question 2" in page.status.value and "<b>Question:</b> who moves?" in page.panel.value
    page.buttons["accept"].click()
    page.buttons["doubt"].click()
    assert "No such item is open" in page.status.value
    page.buttons["on"].click()
    assert "The audit doubts nothing." in page.panel.value


def test_each_showing_has_a_number_of_its_own(page):
    """By it the script refuses a second key for a text that nobody has seen."""
    seen = []
    for name in ("on", "edit", "save", "cancel", "accept", "doubt"):
        page.buttons[name].click()
        seen.append(re.search(r'data-showing="(\d+)"', page.status.value)[1])
    assert len(set(seen)) == len(seen)


def test_a_broken_frame_stops_nobody(page):
    (page.found.folder / "frames" / "00002.jpg").write_bytes(b"")
    for _ in range(4):
        page.buttons["on"].click()
    assert "⚠" in page.picture.value and "00002.jpg" in page.picture.value and "a blue star" in page.panel.value
    page.buttons["accept"].click()
    assert len(kept(page)) == 1


def test_every_key_of_the_script_has_its_button(page, annotated, shown, monkeypatch):
    script = KEYS.read_text(encoding="utf-8")
    named = set(re.findall(r'"(\w+)"', re.search(r"const keys = \{.*?\}", script)[0])) | {"save", "cancel"}
    assert named == set(BUTTONS)
    assert all(f"verify-{name}" in button._dom_classes for name, button in page.buttons.items())
    monkeypatch.setenv("INSTIT_HEADLESS", "0")
    verify(annotated(said=PAYLOADS[0], name="hostile"), "ann")
    (_, _, root), (keys, _) = shown
    assert root._dom_classes[0] in keys and "PAGE" not in keys and "alert" not in keys


def test_headless_shows_a_twin_and_decides_nothing(annotated, shown):
    folder = annotated()
    verify(folder, "ann")
    ((html, plain, _),) = shown
    assert html.count("<img ") == html.count(' alt="2 of 2 marked frames of video 1') == 2
    assert "video 1 &lt;2&gt; change" in html and "video 1 question 2" in html and "Static twin" in plain
    assert "<script" not in html and not Annotations(folder).beside.exists()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_model_wrote_is_shown_and_never_acts(payload, annotated, tmp_path, monkeypatch):
    monkeypatch.setenv("INSTIT_HEADLESS", "0")
    page = reopened(annotated(said=payload), tmp_path)
    monkeypatch.setattr(verification, "draw", lambda state: None)  # of frames and numbers alone
    monkeypatch.setattr(verification, "figure_html", lambda fig, alt: "")
    page.decisions.decide(page.items[0], "edit", payload + "!")
    page.press("on"), page.press("back")
    for part in (page.status.value, page.panel.value, page.twin()[0]):
        found = Parts(part)
        assert found.tags <= TAGS and found.attributes <= {"class", "data-showing"}
    assert Parts(page.panel.value).words.count(payload) == 2


def test_headless_a_broken_frame_fails_the_cell(annotated, shown):
    folder = annotated()
    (folder / "frames" / "00002.jpg").write_bytes(b"")
    with pytest.raises(InstitError, match="00002.jpg|empty"):
        verify(folder, "ann")
    assert not shown


def test_frames_that_a_text_is_about_stand_out_without_colour():
    frames = {t: np.full((48, 64, 3), 90 * t, np.uint8) for t in (1, 2)}
    fig = draw({"frames": frames, "about": {2}})
    first, second = fig.axes[:2]
    assert (first.get_title(), second.get_title()) == ("<1>", "▼ <2>")
    assert second.spines["left"].get_linewidth() == 4 and second.spines["left"].get_visible() and second.axison
    assert not first.axison


def test_of_a_long_clip_a_few_frames_are_shown(page, monkeypatch):
    files = page.found.pictures("video 1")
    monkeypatch.setattr(page.found, "pictures", lambda clip: {t: files[1] for t in range(1, 33)})
    (change,) = [item for item in page.items if item.kind == "change"]
    alt = r'alt="(\d+) of 32 marked frames of video 1; the text is about &lt;1&gt;, &lt;2&gt;."'
    said = re.search(alt, page.shown(change)[0])
    assert 6 <= int(said[1]) <= 8
