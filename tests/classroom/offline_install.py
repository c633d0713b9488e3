"""`make test-offline`: the bundle of `make offline-bundle`, installed by its own README with the network off.

No part of `make test`: it needs the bundle and takes minutes. `test_bundle.py` tests the same steps on a tiny kit.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from instit_lite.profiles import repo_root

ISOLATED = "ip link set lo up 2>/dev/null; "  # a new network namespace has nothing but a loopback that is down


def without_network(script: str, cwd) -> subprocess.CompletedProcess:
    """Run a shell script in a network namespace of its own, with nothing of this environment's pip settings."""
    unshare = ["unshare", "-n"] if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0 else ["unshare", "-rn"]
    clean = ["env", "-i", f"HOME={cwd}", f"PATH={shutil.os.environ['PATH']}", "PIP_CONFIG_FILE=/dev/null"]
    return subprocess.run([*unshare, *clean, "bash", "-c", f"set -e; {ISOLATED}{script}"], cwd=cwd, capture_output=True, text=True)


needs_namespaces = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0,
    reason="this system does not let us switch the network off",
)


@needs_namespaces
def test_readme_installs_without_network(tmp_path):
    bundle = repo_root() / "build" / "offline"
    assert (bundle / "README.md").exists(), "run `make offline-bundle` first"
    (tmp_path / "wheels").symlink_to(bundle / "wheels")
    shutil.copytree(bundle / "instit_lite", tmp_path / "instit_lite", ignore=shutil.ignore_patterns(".venv"))
    commands = re.search(r"```bash\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)[1]
    assert without_network("! getent hosts example.org", tmp_path).returncode == 0
    done = without_network(commands, tmp_path)
    print(done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0 and "ok   notebook kernel" in done.stdout
