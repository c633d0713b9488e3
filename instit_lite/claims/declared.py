"""What the paper claims, and what it does not control. In: nothing. Out: claims C1 to C12 and controls K1 to K7.

Each claim is a few lines: what the paper says and where, what is compared here, what would change it. Margins are
chosen before measuring: 1 to 3 points for "is kept", 5 for "adds nothing" and "costs nothing", 10 for "is weak".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

NOTHING, WEAK = 0.05, 0.10
KEPT = {"general": 0.01, "description": 0.02, "reading": 0.03}
BASELINES = ("chance", "prior", "majority")  # no model: see `views`


@dataclass(frozen=True)
class Part:
    """One comparison: accuracy of `left` minus that of `right`, expected between `low` and `high`.

    A side is "arm", "arm@view", one of `BASELINES`, or a number.
    """

    left: str
    right: str
    split: str
    format: str
    low: float
    high: float

    @property
    def says(self) -> str:
        """The expectation in words: "main > base"."""
        if self.low == 0 and self.high == inf:
            return f"{self.left} > {self.right}"
        if self.high == inf:
            return f"{self.left} > {self.right} − {-self.low:g}"
        if self.low == -inf:
            return f"{self.left} < {self.right} + {self.high:g}"
        return f"{self.left} = {self.right} ± {self.high:g}"


@dataclass(frozen=True)
class CostPart:
    """One comparison of costs: `left` / `right` of `what`, expected below 1."""

    left: str
    right: str
    what: str  # "tokens", "seconds" or "memory"

    @property
    def says(self) -> str:
        return f"{self.what}: {self.left} < {self.right}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper (C) or a control that it lacks (K); `paper` is its own figure, `where` its place."""

    id: str
    title: str
    statement: str
    paper: str
    where: str
    change: str
    parts: tuple[Part, ...]
    costs: tuple[CostPart, ...] = ()


def more(left: str, right: str, split: str, format: str = "open") -> Part:
    """`left` is better."""
    return Part(left, right, split, format, 0.0, inf)


def no_less(left: str, right: str, split: str, margin: float, format: str = "open") -> Part:
    """`left` loses less than `margin`."""
    return Part(left, right, split, format, -margin, inf)


def no_more(left: str, right: str, split: str, margin: float, format: str = "open") -> Part:
    """`left` gains less than `margin`."""
    return Part(left, right, split, format, -inf, margin)


def same(left: str, right: str, split: str, margin: float, format: str = "open") -> Part:
    """Both are within `margin`."""
    return Part(left, right, split, format, -margin, margin)


CURVES = ("occlusion", "blur", "size", "crowding")  # four levels each, see `evaluation.difficulty`
MARKED = ("image", "video")
LACKS = "not in the paper"

# fmt: off
CLAIMS = (
    Claim("C1", "weak on instances",
          "Before INST-IT tuning a model is weak on single instances though strong in general.",
          "image 46.0 OE, 42.4 MC (LLaVA-NeXT); video 25.8 OE, 24.8 MC (LLaVA-NeXT-Video); guessing 25.0 MC; "
          "general: POPE 86.4, GQA 64.2 (LLaVA-NeXT)",
          "Tables 2 and 3, Vicuna-7B",
          "a base pretrained on marks; easier marks; scenes where guessing among the things in view goes further",
          (*(no_more("base", "prior", s, WEAK, f) for s in MARKED for f in ("open", "choice")),
           more("base", "0.9", "general"))),
    Claim("C2", "lift on images",
          "Tuning on INST-IT lifts instance understanding in images, open-ended and multiple choice.",
          "46.0 → 68.6 OE (+22.6), 42.4 → 63.0 MC (+20.6)", "Table 2, Vicuna-7B against LLaVA-NeXT",
          "fewer steps; fewer pictures; smaller marks",
          (more("main", "base", "image"), more("main", "base", "image", "choice"))),
    Claim("C3", "lift on video",
          "Tuning on INST-IT lifts instance understanding in video, open-ended and multiple choice.",
          "25.8 → 49.3 OE (+23.5), 24.8 → 42.1 MC (+17.3)", "Table 2, Vicuna-7B against LLaVA-NeXT-Video",
          "fewer clips; coarser pooling, which blurs the marks",
          (more("main", "base", "video"), more("main", "base", "video", "choice"))),
    Claim("C4", "general skill is kept",
          "INST-IT tuning, mixed with general data, keeps general skill.",
          "AI2D 66.6 → 71.0, MMMU 35.1 → 37.4, POPE 86.4 → 87.2, GQA 64.2 → 65.9, ChartQA 54.8 → 68.3; the paper's "
          "first version also had MM-Vet 44.1 → 38.1", "Table 3, Vicuna-7B, and its counterpart in arXiv v1",
          "a smaller share of general data; a higher learning rate",
          tuple(no_less("main", "base", s, margin) for s, margin in KEPT.items())),
    Claim("C5", "continuous beats direct mixing",
          "Continuous SFT after the general stage beats mixing everything from the start, at equal length.",
          "direct → continuous, whole encoder tuned: AI2D 60.7 → 62.3, image MC 60.7 → 61.8, video MC 43.0 → 44.4",
          "Table 6, Qwen2-1.5B",
          "a training so long that video is learned; more general data at the end; here both orders train LoRA",
          (more("continuous", "direct", "image"), more("continuous", "direct", "video"),
           more("continuous", "direct", "general"))),
    Claim("C6", "tune the encoder's later half",
          "Tuning the later half of the encoder loses nothing against tuning all of it, and gains over tuning none.",
          "image MC: all 61.8, none 60.2, last 12 60.1; video MC: 44.4, 44.3, 44.0; with the image part as well: "
          "none 58.6 and 41.6, last 12 59.6 and 43.7",
          "Table 6, Qwen2-1.5B, no error bars", "how well the encoder reads marks beforehand; its learning rate",
          (*(no_less("main", "encoder_all", s, NOTHING) for s in MARKED),
           *(more("main", "encoder_none", s) for s in MARKED))),
    Claim("C7", "each group of data adds",
          "Instance captions, then temporal differences, then video questions add; the image part costs nothing.",
          "image MC by line 0 to 4: 45.3, 58.9, 59.6, 60.1, 59.6; video MC: 31.3, 33.8, 36.9, 44.0, 43.7",
          "Table 7, Qwen2-1.5B",
          "which questions the bench asks: line 3 trains on the same kinds; our image part asks too, theirs does not",
          (more("groups1", "general_only", "image"), more("groups2", "groups1", "video"),
           more("groups3", "groups2", "video"), *(no_less("main", "groups3", s, NOTHING) for s in MARKED))),
    Claim("C8", "pooling is cheap",
          "Pooling video 2 x 2 saves tokens, time and memory and costs no accuracy.",
          "24 × 24 = 576 → 144 tokens a frame, so that 32 frames are 4,608; accuracy without pooling is not reported",
          "section 4 and upstream's inference code; no table",
          "smaller marks: a pooled token must still hold a digit",
          tuple(no_less("main", "unpooled", "video", NOTHING, f) for f in ("open", "choice")),
          tuple(CostPart("main", "unpooled", w) for w in ("tokens", "seconds", "memory"))),
    Claim("C9", "size does not fix it",
          "A larger base without INST-IT data does not close the gap.",
          "Qwen2-VL 72B against INST-IT 7B (Qwen2): image 55.5 against 67.9 OE, 74.7 against 75.3 MC; video "
          "45.5 against 45.7 OE, but 74.6 against 53.3 MC", "Table 2",
          "a larger base that has seen marks or video in its pretraining",
          (*(no_more("large", "base", s, NOTHING) for s in MARKED), *(more("main", "large", s) for s in MARKED))),
    Claim("C10", "coarse data does not fix it",
          "More coarse data, about whole pictures, does not give instance understanding.",
          "LLaVA-OV 8.8M: image 48.0 OE, 71.7 MC, video 33.2, 45.6; INST-IT 920K: 67.9, 75.3, 45.7, 53.3",
          "Table 2, Qwen2-7B", "coarse captions that happen to name marks",
          (*(no_more("coarse", "base", s, NOTHING) for s in MARKED), *(more("main", "coarse", s) for s in MARKED))),
    Claim("C11", "holds in hard scenes",
          "The lift holds under occlusion, blur, small instances and crowds.",
          "none: the paper has no breakdown by difficulty", LACKS, "marks too small to read at 64 pixels a side",
          tuple(more(f"main@{c}-{level}", f"base@{c}-{level}", "image") for c in CURVES for level in range(4))),
    Claim("C12", "frames against context",
          "For the same visual tokens, more pooled frames beat fewer whole ones; and more frames beat fewer.",
          "at most 32 frames in a context of 6K, pooled; never varied", "section 4",
          "questions that one frame answers; clips in which little happens",
          (more("frames8@longer", "frames2_whole@longer", "video"), more("main@longer", "frames2@longer", "video"),
           more("frames8@longer", "main@longer", "video"))),
)

CONTROLS = (
    Claim("K1", "blind", "Without the picture the trained model knows no more than what is usual.",
          LACKS, LACKS, "answers that are not balanced",
          (*(no_more("main@blind", "majority", s, WEAK) for s in MARKED),
           *(more("main", "main@blind", s) for s in MARKED))),
    Claim("K2", "marks removed",
          "With the marks removed the trained model falls to what seeing all things but no mark gives.",
          LACKS, LACKS, "habits of the data: the asked thing is larger, say",
          (*(no_more("main@bare", "prior", s, NOTHING, f) for s in MARKED for f in ("open", "choice")),
           *(more("main", "main@bare", s) for s in MARKED))),
    Claim("K3", "ids permuted",
          "With ids exchanged the answers follow the marks: right is now what the drawn ids say, as often as before.",
          LACKS, LACKS, "habits: which ids are usual at which place",
          (*(no_less("main@as_drawn", "main", s, NOTHING) for s in MARKED),
           *(more("main@as_drawn", "main@permuted", s) for s in MARKED))),
    Claim("K4", "the other mark style", "The skill carries over to the other published mark style.",
          LACKS, "both styles are in use, appendix A.1", "both styles in training",
          tuple(no_less("main@other_style", "main", s, NOTHING) for s in MARKED)),
    Claim("K5", "one frame marked", "One marked frame per instance is enough to follow it through the clip.",
          "not in the paper; a digest of V2P-Bench, which marks one frame, reports no gain over the base", LACKS,
          "training on clips with a single marked frame",
          (more("main@first_frame", "main@bare", "video"), no_less("main@first_frame", "main", "video", NOTHING))),
    Claim("K6", "general data only", "As many steps on general data alone do not give the lift.",
          "no such row in Table 6: more training and new data are not told apart", "Table 6",
          "general data that asks about printed numbers on things",
          (*(no_more("general_only", "base", s, NOTHING) for s in MARKED),
           *(more("main", "general_only", s) for s in MARKED))),
    Claim("K7", "independent questions",
          "Questions that do not see each other's answers teach more than turns of one dialogue.",
          "trains multi-turn; never varied", "section 4", "data in which earlier answers do not give later ones away",
          tuple(more("main", "multi_turn", s) for s in MARKED)),
)
# fmt: on
EVERYTHING = {claim.id: claim for claim in (*CLAIMS, *CONTROLS)}
