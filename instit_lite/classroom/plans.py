"""What a workshop takes from the notebooks. In: nothing. Out: `PLANS`, for 90 minutes, half a day and two days.

A section is named "NB Heading" as it stands in the notebook, "NB" alone is the whole notebook. `drop` says what goes
first when time is short: the run sheet leaves out as much of it as it must, and names the rest for the day itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A stretch without a break; all of `drop` is in `sections`."""

    minutes: int
    sections: tuple[str, ...]
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Days of at most `minutes` each, breaks and lunch included; `discuss`: minutes for talk after a notebook's part."""

    title: str
    minutes: int
    profile: str
    discuss: int
    days: tuple[tuple[Block, ...], ...]
    breaks: tuple[int, ...] = ()


SHORT = Block(
    90,
    ("00 The problem, in one picture", "01 From a file to instances", "01 Where is the middle?",
     "01 Exercise: The most interior point", "01 How often does it matter?", "04 From a frame to tokens",
     "04 The budget", "04 Exercise: Pool a grid", "05 One prefix, many questions", "05 Train", "05 Ask it",
     "05 Move the mark", "06 The lift"),
    ("05 One prefix, many questions", "01 How often does it matter?", "05 Ask it", "04 The budget",
     "04 Exercise: Pool a grid"),
)  # fmt: skip
MORNING = (
    Block(
        95,
        ("00 The problem, in one picture", "00 A real model, before any lesson about marks", "00 The road",
         "01 From a file to instances", "01 Where is the middle?", "01 Exercise: The most interior point",
         "01 From the rule to marks", "01 Exercise: Off every other instance", "01 How often does it matter?",
         "01 Steady from frame to frame", "02 Four marked frames", "02 The prompts", "02 Equation (1): one frame",
         "02 Exercise: What equation (1) is shown", "02 The audit"),
        ("00 The road", "01 How often does it matter?", "02 The prompts", "01 Exercise: Off every other instance",
         "01 Steady from frame to frame", "02 Exercise: What equation (1) is shown"),
    ),
    Block(
        95,
        ("04 From a frame to tokens", "04 The budget", "04 Exercise: Count a clip's tokens", "04 Pooling by hand",
         "04 Exercise: Pool a grid", "05 One prefix, many questions", "05 Exercise: The packing mask",
         "05 Exercise: What is learnt", "05 Train", "05 Ask it", "05 Move the mark", "06 Audit the evaluator first",
         "06 The lift", "06 Why the clip counts", "07 What a verdict means", "07 The ledger"),
        ("07 What a verdict means", "06 Why the clip counts", "04 Exercise: Count a clip's tokens",
         "05 Exercise: What is learnt", "06 Audit the evaluator first", "05 Ask it", "07 The ledger",
         "05 Exercise: The packing mask"),
    ),
)  # fmt: skip
FIRST_DAY = (  # the first block has room for laptops that are not ready
    Block(75, ("00",)),
    Block(85, ("01",), ("01 A playground", "01 No masks? A tracker for fixed cameras",
                        "01 Exercise: When a leader line is due")),
    Block(85, ("02",), ("02 Real footage, without a model", "02 When the endpoint fails", "02 A budget")),
    Block(85, ("03",), ("03 The published files", "03 A person looks", "03 Exercise: How much general data")),
)  # fmt: skip
SECOND_DAY = (
    Block(75, ("04",), ("04 One token, a digit and a thing", "04 Which frame is a token of?", "04 What pooling takes",
                        "04 Exercise: Count a clip's tokens")),
    Block(95, ("05",), ("05 The adapter is the result", "05 Ask about a clip", "05 Exercise: LoRA by hand",
                        "05 What the model will read", "05 Ask it")),
    Block(90, ("06",), ("06 By type of question", "06 Where it looks", "06 A judge is an evaluator, too",
                        "06 Why the clip counts")),
    Block(70, ("07",), ("07 What pooling costs and saves (C8)", "07 Measure any other", "07 Exercise: Twice and half",
                        "07 Two controls, live")),
)  # fmt: skip
PLANS = {
    "90-minutes": Plan("90 minutes", 90, "smoke", 0, ((SHORT,),)),
    "half-day": Plan("Half a day", 210, "micro", 3, (MORNING,), (20,)),
    "two-days": Plan("Two days", 420, "micro", 10, (FIRST_DAY, SECOND_DAY), (15, 60, 15)),
}
