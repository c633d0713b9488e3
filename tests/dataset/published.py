"""Folders laid out exactly as the hub's: INST-IT Dataset (paper-facts D.2) and LLaVA-NeXT-Data, a few items each."""

import io
import json
import zipfile

import numpy as np
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pillow

SHAPE = (48, 64)  # height, width of a frame
WORDS = "a small red circle"


def picture(seed, shape=SHAPE):
    return Pillow.fromarray(np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8))


def jpeg(seed):
    buffer = io.BytesIO()
    picture(seed).save(buffer, "JPEG")
    return buffer.getvalue()


def clip(number, n_frames=3):
    """A video record, with the slips of the published texts in its first question and answer."""
    frames = [
        {"timestamp": t, "frame_name": f"{8 * t - 7:05}.jpg", "instance_level": {"1": WORDS, "2": "a blue star"},
         "image_level": "[1] is left of [2].", "temporal_change": "[1] moves." if t > 1 else None}
        for t in range(1, n_frames + 1)
    ]  # fmt: skip
    pairs = [{"question": "where is [03] at <0>?", "answer": "[03] is left."},
             {"question": "what is there?", "answer": "a circle."}]  # fmt: skip
    return {"video_id": number, "video_path": f"videos_vpt/{number:06}", "frame_level_caption": frames,
            "question_answer_pairs": pairs, "video_level_caption": "at <1> [1] is there."}  # fmt: skip


def still(number):
    return {"image_id": number, "image_path": f"images_vpt/sa_{number}.jpg",
            "instance_level_caption": {"1": WORDS, "2": "a star"},
            "image_level_caption": "[1] is left of [2]."}  # fmt: skip


def run_lengths(mask):
    """COCO's uncompressed run lengths of a mask, column by column, background first."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, len(flat)]).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + counts}


def box(x0, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, x0 : x0 + shape[1] // 4] = True
    return mask


def with_masks(record):
    masks = {"1": {"mask": run_lengths(box(4))}, "2": {"mask": run_lengths(box(40))}}
    names = [frame["frame_name"] for frame in record.get("frame_level_caption", [])]
    return record | {"segmentations": {name: masks for name in names or [record["image_path"].split("/")[1]]}}


def inst_it(folder, clips=None, stills=None, zipped=False):
    """Write INST-IT Dataset: both json files, plain and `_w_mask`, and raw and marked pictures."""
    clips = [clip(1), clip(2)] if clips is None else clips
    stills = [still(1)] if stills is None else stills
    folder.mkdir(parents=True, exist_ok=True)
    for stem, records in (("inst_it_dataset_video_21k", clips), ("inst_it_dataset_image_51k", stills)):
        (folder / f"{stem}.json").write_text(json.dumps(records, indent=1))
        (folder / f"{stem}_w_mask.json").write_text(json.dumps([with_masks(r) for r in records]))
    for seed, look in enumerate(("vpt", "raw")):
        files = [f"videos_{look}/{c['video_path'].split('/')[1]}/{f['frame_name']}"
                 for c in clips for f in c["frame_level_caption"]]  # fmt: skip
        files += [f"images_{look}/{s['image_path'].split('/')[1]}" for s in stills]
        for path in map(folder.joinpath, files):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(seed))
        if zipped:
            zip_up(folder, f"videos_{look}"), zip_up(folder, f"images_{look}")
    return folder


def zip_up(folder, name):
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for path in sorted((folder / name).rglob("*.jpg")):
            archive.write(path, path.relative_to(folder))
            path.unlink()
    for path in sorted((folder / name).rglob("*"), reverse=True):
        path.rmdir()
    (folder / name).rmdir()


def talk(question="what is there?", answer="a circle.", head="<image>\n"):
    return [{"from": "human", "value": head + question}, {"from": "gpt", "value": answer}]


def rows(n):
    """Rows of one shard; the last is text-only, as the shards at the end are."""
    made = [{"id": f"{i:012}", "conversations": talk(), "data_source": "llava-next-instruct",
             "image": {"bytes": jpeg(i), "path": f"{i:012}.jpg"}} for i in range(n - 1)]  # fmt: skip
    text = {"id": "M9Nb6So_0", "conversations": talk(head=""), "data_source": "llava-next-instruct", "image": None}
    return [*made, text]


def llava_next(folder, shards=3, each=4):
    """Write LLaVA-NeXT-Data as parquet shards with the pictures' bytes."""
    turn = {"from": Value("string"), "value": Value("string")}
    features = Features({"id": Value("string"), "conversations": [turn], "data_source": Value("string"),
                         "image": Image(decode=False)})  # fmt: skip
    for shard in range(shards):
        own = [row | {"id": f"{shard}-{row['id']}"} for row in rows(each)]
        path = folder / "data" / f"train-{shard:05}-of-{shards:05}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_list(own, features=features).to_parquet(path)
    return folder


def llava_next_raw(folder, n=6):
    """Write its raw form: one json, and pictures in folders by source."""
    home = folder / "llava_next_raw_format"
    (home / "coco/train2017").mkdir(parents=True)
    made = []
    for i in range(n):
        path = f"coco/train2017/{i:012}.jpg"
        (home / path).write_bytes(jpeg(i))
        made.append({"id": f"{i:012}", "conversations": talk(), "data_source": "llava_next_raw_format", "image": path})
    (home / "llava_next_raw_format_processed.json").write_text(json.dumps(made))
    return folder
