"""Where this machine's Chromium is. `python -m tests.support.chromium` installs it where it can: as root, with apt."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = "Applications/{0}.app/Contents/MacOS/{0}"
MAC_NAMES = ("Google Chrome", "Chromium")
PACKAGES = ("chromium", "fonts-liberation", "fonts-noto-color-emoji")
INSTALL_TIMEOUT_S = 600
MISSING = "No Chromium was found: install Chromium or Chrome (Debian: apt install chromium); the tests of pages need it"


def find_chromium() -> str | None:
    """The program's path; SSA_CHROMIUM names one that is somewhere else."""
    if named := os.environ.get("SSA_CHROMIUM"):
        return named
    on_mac = (str(root / MAC.format(name)) for root in (Path("/"), Path.home()) for name in MAC_NAMES)
    return next((found for found in (*map(shutil.which, NAMES), *on_mac) if found and Path(found).exists()), None)


def install() -> None:
    """With apt. Raises subprocess.CalledProcessError."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        subprocess.run([*apt, *command], env=env, check=True, stdout=subprocess.DEVNULL, timeout=INSTALL_TIMEOUT_S)


def main() -> int:
    """0 also when there is none to be had: the tests that need it say so again."""
    if find_chromium() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the tests of pages")
        try:
            install()
        except (subprocess.SubprocessError, OSError) as exc:
            print(f"apt-get could not install it: {exc}", file=sys.stderr)
    if find_chromium() is None:
        print(MISSING, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
