"""Bad annotations, cases 52 to 69: a picture of 60 x 40 pixels or a clip, and a file that says where its instances are."""

import json
import re

import numpy as np
import supervision as sv
from cases import case
from PIL import Image
from pictures import PIXELS, saved, written
from videos import bars, encode

from instit_lite.dataset.annotate import Request

SHAPE = (40, 60)
SQUARE, EMPTY = np.zeros((2, *SHAPE), bool)
SQUARE[5:15, 10:30] = True
BOX = {"id": 1, "xyxy": [10, 5, 30, 15]}
LONG_CODE = "o" * 100_000  # one number that never ends


def told(kind, number, title, text, refused=None, warns=None, right=None, frames=1, named="{}"):
    """Register a picture, or a clip of some frames, with a file of the kind "boxes", "coco" or "youtube_vis"."""
    name = f"{number}-{re.sub('[^a-z0-9]+', '-', title.lower())}"

    def make(folder):
        file = folder / f"{name}.json"
        if kind == "coco" and isinstance(text, dict):
            text["images"][0]["file_name"] = named.format(f"{name}.png")
        written(file, text if isinstance(text, bytes) else json.dumps(text).encode())
        if frames > 1:
            source = encode(folder / f"{name}.mp4", bars(frames, *SHAPE))
        else:
            source = saved(folder / f"{name}.png", pixels=PIXELS)
        return Request(source, folder / "out", **{kind: file})

    case(number, title, refused, warns, right or marks(1))(make)


def marks(*ids):
    """Check the mark ids of the first frame."""
    return lambda found: found[0].tracker_id.tolist() == list(ids)


def code(mask=SQUARE, packed=False, **changes):
    return {"size": list(mask.shape), "counts": sv.mask_to_rle(mask, compressed=packed)} | changes


def coco(*segmentations, image={}, categories=[], **changes):
    rows = [{"id": i, "image_id": 7, "segmentation": s, **changes} for i, s in enumerate(segmentations, 1)]
    return {"images": [{"id": 7, "height": 40, "width": 60, **image}], "annotations": rows, "categories": categories}


def polygons(*points):
    return coco([list(points)])


def youtube_vis(*rows, n=6, **changes):
    videos = [{"id": 1, "length": n, "height": 40, "width": 60, **changes}]
    made = [{"id": i, "video_id": 1, "segmentations": row} for i, row in enumerate(rows, 1)]
    return {"videos": videos, "annotations": made}


told("boxes", 52, "JSON with a byte order mark", "\ufeff".encode() + json.dumps({"boxes": [BOX]}).encode())
told("boxes", 53, "JSON cut short", b'{"boxes": [\n{"id": 1, "xy', "line 2")
told("boxes", 53, "JSON with a comma too many", b'{"boxes": [],\n}', "line [12]")
told("boxes", 54, "NaN", b'{"boxes": [{"id": 1, "xyxy": [NaN, 0, 9, 9]}]}', "NaN")
told("boxes", 54, "Infinity", b'{"boxes": [{"id": 1, "xyxy": [0, 0, Infinity, 9]}]}', "Infinity")
told("boxes", 54, "a number beyond all", b'{"boxes": [{"id": 1, "xyxy": [0, 0, 1e999, 9]}]}', "not finite")
told("boxes", 55, "a key twice", b'{"boxes": [], "boxes": [{"id": 1, "xyxy": [0, 0, 9, 9]}]}', "'boxes' occurs twice")
told("boxes", 56, "a list at the top", [BOX], "not an object")
told("coco", 57, "unknown category", coco(code(), categories=[{"id": 3}], category_id=4), "category 4")
told("coco", 57, "missing category", coco(code(), categories=[{"id": 3}]), "category None")
told("boxes", 58, "an instance id twice", {"boxes": [BOX, BOX]}, "occurs twice")
told("coco", 58, "an annotation id twice", coco(code(), code(), id=4), "occurs twice")
told("coco", 59, "run lengths of another sum", coco(code(counts=[100, 20])), "damaged")
told("coco", 60, "negative run length", coco(code(counts=[-100, 2500])), "damaged")
told("coco", 60, "overflowing run length", coco(code(counts=[2**40])), "damaged")
told("coco", 60, "packed number without end", coco(code(counts=LONG_CODE)), "damaged")
told("coco", 61, "polygon of two points", polygons(1, 1, 20, 20), "three or more points")
told("coco", 61, "polygon with NaN", polygons(1, 1, 20, 1, float("nan"), 9), "NaN")
told("coco", 61, "polygon beyond all", polygons(1, 1, 1e300, 1, 20, 20), "near the picture")
told("boxes", 62, "box that leaves the frame", {"boxes": [{"id": 1, "xyxy": [-5, 5, 99, 15]}]}, warns="clipped")
told("boxes", 62, "box outside", {"boxes": [{"id": 1, "xyxy": [70, 5, 99, 15]}]}, "outside")
told("coco", 63, "empty mask beside another", coco(code(EMPTY), code()), None, r"\[1\] have empty masks", marks(2))
told("coco", 63, "nothing but empty masks", coco(code(EMPTY)), "no frame has an instance")
told("coco", 64, "mask of another size", coco(code(np.ones((8, 9), bool)), image={"height": None}), "9x8.*60x40")
told("youtube_vis", 65, "absent in some frames", youtube_vis([code(), None] * 3), None, None,
     lambda found: [len(f) for f in found] == [1, 0] * 3, frames=6)  # fmt: skip


@case(66, "void in a DAVIS mask", right=marks(3))
def _(folder):
    ids = np.where(SQUARE, 3, 0).astype(np.uint8)
    ids[0] = 255
    mask = Image.fromarray(ids)
    mask.putpalette(np.random.default_rng(0).bytes(768))
    mask.save(folder / "66-mask.png")
    return Request(saved(folder / "66.png", pixels=PIXELS), folder / "out", masks=folder / "66-mask.png")


told("boxes", 67, "id 0", {"boxes": [BOX | {"id": 0}]}, "cannot be a mark")
told("boxes", 67, "id of four digits", {"boxes": [BOX | {"id": 1000}]}, "cannot be a mark")
told("boxes", 67, "id of three digits", {"boxes": [BOX | {"id": 999}]}, right=marks(999))
told("boxes", 67, "ids with gaps", {"boxes": [BOX | {"id": 7}, BOX | {"id": 120}]}, right=marks(7, 120))
told("coco", 67, "id of a data set", coco(code(), id=90210), None, r"90210 became \[1\]")
for title, named in (
    ("a folder above", "../{}"), ("the root", "/{}"), ("a drive", "C:\\{}"), ("a Windows folder above", "a\\..\\..\\/{}")
):  # fmt: skip
    told("coco", 68, f"file_name in {title}", coco(code()), "outside its folder", named=named)
