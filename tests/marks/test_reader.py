"""The reader: what it samples, what it turns upright, what it refuses."""

import os
import socket
import struct
import zlib

import numpy as np
import pytest
from footage import bar_frames, encode, encode_sound
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from instit_lite.errors import UnreadableInput
from instit_lite.marks.clip import bin_centres
from instit_lite.marks.reader import read_clip, read_image


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    """An mp4 of 60 frames, its index first, so that a cut tail still opens."""
    path = tmp_path_factory.mktemp("clips") / "bar.mp4"
    return encode(path, bar_frames(60), options={"movflags": "faststart"})


def refusal(path, read=read_clip):
    """Return the refusal's message, and check that it names path and cure."""
    with pytest.raises(UnreadableInput) as caught:
        read(path)
    assert caught.value.cure and caught.value.path == str(path)
    return caught.value.reason


def bar_share(frame):
    """How far the red bar reaches, 0 to 1."""
    top = frame[4 : frame.shape[0] // 2 - 4].astype(int)
    return (top[..., 0] - top[..., 1] > 90).mean()


def picture(height=40, width=60, mode="RGB"):
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).convert(mode)


# sampling


@given(
    gaps=st.lists(st.floats(1e-3, 5), min_size=1, max_size=80),
    asked=st.integers(1, 40),
)
def test_a_sample_is_ascending_and_as_large_as_asked(gaps, asked):
    starts, duration = np.concatenate([[0], np.cumsum(gaps)[:-1]]), float(sum(gaps))
    picks = bin_centres(starts, duration, asked)
    assert len(picks) == min(asked, len(gaps))
    assert (np.diff(picks) > 0).all() and picks[0] >= 0 and picks[-1] < len(gaps)


def test_frames_are_those_on_screen_at_bin_centres(mp4):
    clip = read_clip(mp4, max_frames=4)
    assert clip.indices.tolist() == [7, 22, 37, 52]
    assert np.allclose(clip.timestamps, clip.indices / 30) and clip.duration == pytest.approx(2)
    assert (clip.n_decoded, clip.n_declared) == (60, 60)
    assert clip.frames.shape == (4, 48, 64, 3) and clip.frames.dtype == np.uint8
    assert np.allclose([bar_share(f) for f in clip.frames], (clip.indices + 1) / 60, atol=0.05)
    assert np.allclose(clip.clock, (clip.indices + 0.5) / 60)


def test_fewer_frames_than_asked_are_all_taken(tmp_path):
    clip = read_clip(encode(tmp_path / "short.mp4", bar_frames(3)), max_frames=32)
    assert clip.indices.tolist() == [0, 1, 2]


def test_one_frame_is_a_clip(tmp_path):
    clip = read_clip(encode(tmp_path / "one.mp4", bar_frames(1)))
    assert len(clip.frames) == 1 and clip.duration > 0


def test_variable_rates_are_sampled_by_time_not_by_count(tmp_path):
    times = [*range(0, 400, 10), *range(400, 4400, 200)]  # 40 quick frames, then 20 slow ones
    clip = read_clip(encode(tmp_path / "vfr.mkv", bar_frames(60), times_ms=times), max_frames=8)
    assert (clip.indices >= 40).sum() == 7
    assert np.allclose(clip.timestamps, np.array(times)[clip.indices] / 1000, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("b.webm", "libvpx")]
)
def test_containers_that_declare_no_count_are_counted(tmp_path, name, codec):
    clip = read_clip(encode(tmp_path / name, bar_frames(20), codec), max_frames=5)
    assert (clip.n_declared, clip.n_decoded) == (0, 20)
    assert clip.indices.tolist() == [2, 6, 10, 14, 18]


def test_a_stream_without_times_is_read_in_order(tmp_path):
    with pytest.warns(UserWarning, match="evenly spaced"):
        clip = read_clip(encode(tmp_path / "raw.h264", bar_frames(20)), max_frames=4)
    assert clip.n_decoded == 20 and (np.diff([bar_share(f) for f in clip.frames]) > 0).all()


def test_a_gif_is_a_clip_and_a_cut_gif_is_refused(tmp_path):
    path = encode(tmp_path / "a.gif", bar_frames(12), "gif", "rgb8")
    assert read_clip(path).n_decoded == 12
    path.write_bytes(path.read_bytes()[:-400])
    assert "end mark" in refusal(path)


def test_asking_for_no_frames_is_refused(mp4):
    with pytest.raises(ValueError, match="at least 1"):
        read_clip(mp4, max_frames=0)


# upright


def patch_box(data, name, offset, values):
    """Overwrite big-endian integers inside an mp4 box, `offset` bytes after its name."""
    at = data.index(name) + 4 + offset
    struct.pack_into(f">{len(values)}i", data, at, *values)


def test_a_turned_phone_video_is_read_upright(mp4, tmp_path):
    data, one = bytearray(mp4.read_bytes()), 1 << 16
    clockwise = (0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    patch_box(data, b"tkhd", 40, clockwise)
    (tmp_path / "turned.mp4").write_bytes(data)
    flat, turned = read_clip(mp4, 2).frames, read_clip(tmp_path / "turned.mp4", 2).frames
    assert np.array_equal(turned, np.rot90(flat, -1, axes=(1, 2)))


def test_a_trimmed_video_is_whole(mp4, tmp_path):
    data = bytearray(mp4.read_bytes())
    start = struct.unpack_from(">i", data, data.index(b"elst") + 16)[0]
    tick = struct.unpack_from(">i", data, data.index(b"mdhd") + 16)[0]
    patch_box(data, b"elst", 8, (1000, start + tick // 2))  # one second, from 0.5 s on
    (tmp_path / "trimmed.mp4").write_bytes(data)
    clip = read_clip(tmp_path / "trimmed.mp4", 4)
    assert 29 <= clip.n_decoded <= 31 and clip.n_declared == 60
    assert 0.25 < bar_share(clip.frames[0]) and bar_share(clip.frames[-1]) < 0.75


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_pictures_upright(tmp_path, orientation):
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how each orientation is stored
    upright, exif = picture(), Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(upright))


# colours


def test_colours_become_rgb(tmp_path):
    names = {"L": "a.png", "1": "b.png", "P": "c.png", "CMYK": "d.tif", "RGB": "png_named.jpg"}
    for mode, name in names.items():
        source = picture(mode=mode)
        source.save(tmp_path / name, format="PNG" if name.endswith("jpg") else None)
        assert np.array_equal(read_image(tmp_path / name), np.asarray(source.convert("RGB"))), mode


def test_transparency_is_laid_on_white(tmp_path):
    source = np.zeros((20, 20, 4), np.uint8)
    source[:10] = (200, 0, 0, 255)
    source[10:] = (9, 9, 9, 0)
    Image.fromarray(source).save(tmp_path / "a.png")
    rgb = read_image(tmp_path / "a.png")
    assert rgb[0, 0].tolist() == [200, 0, 0] and rgb[-1, -1].tolist() == [255, 255, 255]


def test_deep_grey_is_rescaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="16-bit"):
        rgb = read_image(tmp_path / "a.png")
    assert np.abs(rgb[..., 0] - ramp / 257).max() <= 0.5 and len(np.unique(rgb)) > 200


def test_floats_are_refused(tmp_path):
    Image.fromarray(np.full((20, 20), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert "floating-point" in refusal(tmp_path / "a.tif")


# folders


def test_folders_are_read_in_natural_order(tmp_path):
    for i in (10, 2, 1):
        Image.new("RGB", (20, 16), (i, 0, 0)).save(tmp_path / f"frame_{i}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    with pytest.warns(UserWarning, match="gaps"):
        clip = read_clip(tmp_path)
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert clip.timestamps.tolist() == [0, 1, 2]


def test_folders_of_mixed_sizes_or_of_nothing_are_refused(tmp_path):
    assert "no pictures" in refusal(tmp_path)
    Image.new("RGB", (20, 16)).save(tmp_path / "1.png")
    Image.new("RGB", (24, 16)).save(tmp_path / "2.png")
    with pytest.raises(UnreadableInput, match="24x16.*20x16"):
        read_clip(tmp_path)


# refusals


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.97])
def test_a_cut_tail_is_refused_with_its_count(mp4, tmp_path, share):
    data = mp4.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    assert "of 60 frames" in refusal(tmp_path / "cut.mp4")


def test_a_cut_mkv_is_refused_by_its_duration(tmp_path):
    path = encode(tmp_path / "cut.mkv", bar_frames(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "of 2.00 seconds" in refusal(path)


def test_an_mp4_without_index_is_refused(tmp_path):
    path = encode(tmp_path / "unfinished.mp4", bar_frames(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "index" in refusal(path)


def test_damage_inside_is_refused(mp4, tmp_path):
    data = bytearray(mp4.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    (tmp_path / "noisy.mp4").write_bytes(data)
    assert "damaged" in refusal(tmp_path / "noisy.mp4")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "empty"),
        ("page.mp4", b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        ("page.jpg", b"\n<html><head></head></html>", "HTML"),
        ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", "text"),
        ("notes.jpg", "Grüße, это текст".encode(), "text"),
        ("big.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-LFS"),
        ("junk.mp4", bytes(range(256)) * 8, "not a video"),
    ],
)
def test_other_things_under_a_good_name_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)


@pytest.mark.filterwarnings("ignore:.*evenly spaced")
def test_a_size_that_changes_on_the_way_is_refused(tmp_path):
    first = encode(tmp_path / "a.h264", bar_frames(5))
    second = encode(tmp_path / "b.h264", bar_frames(5, 64, 96))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert "from 64x48 to 96x64 pixels at frame 6" in refusal(first)


def test_sound_alone_is_refused(tmp_path):
    assert "only sound" in refusal(encode_sound(tmp_path / "song.m4a"))


def test_missing_things_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "none.mp4")
    assert "leads nowhere" in refusal(tmp_path / "link.mp4")
    assert "cannot be reached" in refusal(tmp_path / ("x" * 300))
    assert "folder" in refusal(tmp_path, read_image)


def test_addresses_are_refused_offline():
    assert "offline" in refusal("https://example.org/clip.mp4")


def test_pipes_and_sockets_are_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.mp4")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.mp4")
        for path in (tmp_path / "pipe.mp4", tmp_path / "s.mp4"):
            assert "pipe, socket or device" in refusal(path)


@pytest.mark.parametrize(
    "options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}]
)
@pytest.mark.parametrize("share", [0.01, 0.2, 0.6, 0.95])
def test_cut_pictures_are_refused(tmp_path, options, share):
    picture(120, 160).save(tmp_path / "whole", **options)
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
    assert "damaged" in refusal(tmp_path / "cut", read_image)


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path):
    picture().save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[-20] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "damaged" in refusal(tmp_path / "a.png")


def test_tiny_and_huge_pictures_are_refused(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "tiny.png")
    assert "1x1" in refusal(tmp_path / "tiny.png")
    picture().save(tmp_path / "huge.png")
    data = bytearray((tmp_path / "huge.png").read_bytes())
    struct.pack_into(">II", data, 16, 20_000, 9_500)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    (tmp_path / "huge.png").write_bytes(data)
    assert "megapixels" in refusal(tmp_path / "huge.png")


def test_odd_names_are_read(tmp_path):
    for name in ("-dash.png", "two words\n.png", "Grüße 😀.png", "%03d.png"):
        picture().save(tmp_path / name)
        assert read_clip(tmp_path / name).n_decoded == 1
