"""From marked frames to text: the paper's three equations, over real HTTP, and a check of what comes back.

In: marked frames, or frames and the masks of their instances. Out: `FrameAnnotation`, `ClipAnnotation` and
`QAPair`, and findings where an annotation contradicts the masks. This room refuses to know how marks are
drawn, how records are stored, and any model's weights: an annotator is an address that answers HTTP, or a
ruler held against masks. It also refuses to leave this machine without `online=True`.

`prompts` holds P^f, P^vid and P^qa, `equations` asks them. `client` takes questions, `asking` makes the calls for one,
`requests` says what is posted and `replies` what came back, `throttle` and `budget` how fast and how dear, `ledger`
keeps it all, `batch` does the same by files. `server` and `simulated` answer for the micro world, `measured` describes
real footage from masks, `audit` checks them all.
"""
