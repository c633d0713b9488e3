"""The doctor: each check does the thing itself, a broken one fails with a cure, and the key stays unseen."""

from __future__ import annotations

import json
import re
import shutil
import sys
from types import SimpleNamespace

import pytest

from instit_lite.classroom import doctor
from instit_lite.model import load, nf4

SECRET = "sk-never-to-be-seen"


def test_this_machine_is_examined_once_and_in_order(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    told = []
    checks = doctor.examine(told.append)
    assert told == checks and [check.name for check in checks] == list(doctor.CHECKS)
    assert SECRET not in str(checks) and "set, used only" in checks[-1].found
    assert all(check.found and (check.ok or check.cure) for check in checks)
    found = {check.name: check for check in checks}
    assert found["video (PyAV)"].ok and found["notebook kernel"].ok
    assert load.weights_hash(load.MICRO_FOLDER) in found["micro base"].found


def test_key_that_is_not_set_is_no_failure(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check = doctor.check_key()
    assert check.ok and check.found.startswith("not set")


def test_check_that_breaks_is_a_failure_with_a_cure(monkeypatch):
    def broken():
        raise OSError("no such library\nsecond line")

    monkeypatch.setattr(doctor, "CHECKS", {"made up": broken, "key": doctor.check_key})
    first, second = doctor.examine()
    assert not first.ok and first.found == "OSError: no such library" and first.cure
    assert second.name == "OPENAI_API_KEY"


def test_layer_that_was_not_quantised_is_found(monkeypatch):
    monkeypatch.setattr(nf4, "nf4_linear", lambda bitsandbytes, layer: layer)
    assert not doctor.check_nf4().ok
    monkeypatch.setattr(nf4, "import_bitsandbytes", lambda: None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not doctor.check_nf4().ok
    monkeypatch.setattr(sys, "platform", "darwin")
    assert doctor.check_nf4().ok and "full precision" in doctor.check_nf4().found


def test_damaged_and_missing_base_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(load, "MICRO_FOLDER", tmp_path / "none")
    assert "model" not in doctor.check_base().found and not doctor.check_base().ok
    folder = shutil.copytree(doctor.repo_root() / "instit_lite" / "model" / "micro_base", tmp_path / "base")
    monkeypatch.setattr(load, "MICRO_FOLDER", folder)
    assert doctor.check_base().ok
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    (check,) = examine_only(monkeypatch, "micro base")
    assert not check.ok and "make pretrain" not in check.found


def examine_only(monkeypatch, name: str) -> list[doctor.Check]:
    monkeypatch.setattr(doctor, "CHECKS", {name: doctor.CHECKS[name]})
    return doctor.examine()


def test_full_disk_and_folder_that_is_not_there_yet(monkeypatch, tmp_path):
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    check = doctor.check_disk()
    assert not check.ok and str(tmp_path) in check.found and "INSTIT_BUILD" in check.cure
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("gb, ok", [(0.5, False), (8.0, True)])
def test_memory_is_judged_by_what_was_measured(monkeypatch, gb, ok):
    monkeypatch.setattr(doctor, "memory_gb", lambda: (gb, 16.0))
    rows = {"a": {"micro": {"peak_mb": 4100}, "smoke": {"peak_mb": 900}}, "b": {"micro": {"peak_mb": 700}}}
    monkeypatch.setattr(doctor, "measured", lambda: rows)
    check = doctor.check_memory()
    assert check.ok == ok and "micro needs up to 4.1" in check.found and "needs 0.9 GB" in check.cure


def test_package_that_does_not_fit_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: "absent" if name == "peft" else "99.0")
    found = doctor.check_packages().found
    assert "peft absent" in found and "transformers 99.0 (wanted" in found


def test_kernel_of_another_environment_is_found(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager

    elsewhere = SimpleNamespace(argv=["/elsewhere/bin/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: elsewhere)
    check = doctor.check_kernel()
    assert not check.ok and "/elsewhere/bin/python" in check.found and "JUPYTER_PREFER_ENV_PATH" in check.cure


def test_kernel_that_does_not_start_is_found(monkeypatch, tmp_path):
    (tmp_path / "kernels" / "python3").mkdir(parents=True)
    spec = {"argv": [sys.executable, "-c", "raise SystemExit(3)", "{connection_file}"], "display_name": "x", "language": "python"}
    (tmp_path / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.delenv("JUPYTER_PREFER_ENV_PATH", raising=False)
    (check,) = examine_only(monkeypatch, "notebook kernel")
    assert not check.ok and "Kernel died" in check.found


def test_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path / "file" / "build"))
    check = doctor.check_folders()
    assert not check.ok and str(tmp_path / "file" / "build") in check.found and "chown" in check.cure
    monkeypatch.setenv("INSTIT_BUILD", str(tmp_path))
    assert doctor.check_folders().ok


def test_gpu_that_torch_cannot_use_is_found(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    check = doctor.check_torch()
    assert not check.ok and "cannot use" in check.found and "CUDA build" in check.cure
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: False)
    assert doctor.check_torch().ok
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert doctor.check_torch().ok and "Apple GPU, not used" in doctor.check_torch().found


@pytest.mark.parametrize("capability, half", [((7, 5), "fp16, for bf16 begins"), ((8, 6), ": bf16")])
def test_card_without_bf16_is_told(monkeypatch, capability, half):
    major, minor = capability
    card = SimpleNamespace(name="a card", total_memory=16 * 2**30, major=major, minor=minor)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)
    check = doctor.check_torch()
    assert check.ok and half in check.found


@pytest.mark.parametrize("source, ok", [("", True), ('raise RuntimeError("operator torchvision::nms does not exist")', False)])
def test_torchvision_for_another_torch_is_found(monkeypatch, tmp_path, source, ok):
    (tmp_path / "torchvision.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "installed", lambda name: "0.28.0")
    check = doctor.check_torchvision()
    assert check.ok == ok and ("nms does not exist" in check.found) != ok and "pip uninstall torchvision" in check.cure
    monkeypatch.setattr(doctor, "installed", lambda name: "absent")
    assert doctor.check_torchvision().ok


def test_proxy_and_certificates_that_cannot_be_used_are_found(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    check = doctor.check_network()
    assert check.ok and "loopback works; HTTP_PROXY set" in check.found
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    check = doctor.check_network()
    assert not check.ok and "SSL_CERT_FILE" in check.cure and "offline everything works" in check.cure


def test_loopback_that_is_closed_is_found(monkeypatch):
    def refused(*args, **options):
        raise ConnectionRefusedError("connection refused")

    monkeypatch.setattr("socket.create_connection", refused)
    (check,) = examine_only(monkeypatch, "network")
    assert not check.ok and "refused" in check.found


@pytest.mark.parametrize("key", ["sk- never", "sk-never\n", "sk-névér"])
def test_key_that_no_header_takes_is_found_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    check = doctor.check_key()
    assert not check.ok and key not in check.found + check.cure


def test_video_that_comes_back_damaged_is_found(monkeypatch):
    from instit_lite.scenes import video

    whole = video.write_mp4
    monkeypatch.setattr(video, "write_mp4", lambda path, frames: whole(path, frames[:2]))
    assert not doctor.check_video().ok


def test_every_check_has_its_heading_on_the_page():
    page = (doctor.repo_root() / doctor.PAGE).read_text(encoding="utf-8")
    headings = {doctor.anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
    for name in (*doctor.CHECKS, "notebook run"):
        assert doctor.Check(name, True, "").page.partition("#")[2] in headings
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links and set(links) <= headings
