"""The doctor: each check does the thing itself, a broken one fails with a cure, and the key stays unseen."""

from __future__ import annotations

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
def test_memory_is_judged_by_what_is_available(monkeypatch, gb, ok):
    monkeypatch.setattr(doctor, "memory_gb", lambda: (gb, 16.0))
    assert doctor.check_memory().ok == ok


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
