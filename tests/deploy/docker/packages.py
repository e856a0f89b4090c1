"""A Docker Engine with Compose, and a base image, from Debian's packages: unpacked, not installed.

The packages come through this machine's own apt sources; releases that it does not have are asked of the same mirror."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from local_stack import die_with_parent
from local_stack.problems import LaunchProblem

REPOSITORY = Path(__file__).parents[3]
TOOLS = REPOSITORY / ".local" / "deploy-tools" / "docker"
ENGINE_RELEASE, BASE_RELEASE = "trixie", "trixie"
FROM_ENGINE_RELEASE = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
# Of this system's release: they need its C library.
FROM_OWN_RELEASE = (
    *("runc", "iptables", "mmdebstrap", "libnftnl11", "libip4tc2", "libip6tc2", "libxtables12", "libmnl0"),
    *("libnetfilter-conntrack3", "libnfnetlink0"),
)
IPTABLES = ("iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore")
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Builds all images in about 2 minutes on an idle machine.
TIMEOUT_S = 1800


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a program prints. Raises LaunchProblem with its last words."""
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as exc:
        raise LaunchProblem(
            f"{command[0]} does not run: {exc.strerror}; the Docker tests need Debian, or a Docker Engine"
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise LaunchProblem(f"{' '.join(command)[:200]} did not end within {TIMEOUT_S} s") from exc
    if done.returncode != 0:
        raise LaunchProblem(f"{' '.join(command)[:200]} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def engine_programs() -> Path:
    """The folder with the unpacked packages, made at the first call."""
    root, marker = TOOLS / "root", TOOLS / "unpacked"
    if not marker.exists():
        apt = _apt()
        run("apt-get", *apt, "update")
        downloads = TOOLS / "packages"
        downloads.mkdir(exist_ok=True)
        names = [f"{name}/{ENGINE_RELEASE}" for name in FROM_ENGINE_RELEASE]
        names += [f"{name}/{_own_release()}" for name in FROM_OWN_RELEASE]
        run("apt-get", *apt, "download", *names, cwd=downloads)
        for package in sorted(downloads.glob("*.deb")):
            run("dpkg", "-x", str(package), str(root))
        for name in IPTABLES:
            (root / "usr/sbin" / name).symlink_to("xtables-nft-multi")
        marker.touch()
    return root


def base_image(scratch: Path) -> Path:
    """A tar of Debian with Python, made in `scratch`: what the images stand on where no image registry is reached."""
    image = TOOLS / "base.tar"
    if not image.exists():
        unfinished = TOOLS / "base.unfinished.tar"
        program = engine_programs() / "usr/bin/mmdebstrap"
        source = f"deb [signed-by={KEYRING}] {_mirror()} {BASE_RELEASE} main"
        options = ("--mode=root", "--variant=minbase", "--skip=check/qemu", f"--include={BASE_PACKAGES}")
        ends_with_us = (
            sys.executable,
            "-I",
            "-S",
            die_with_parent.__file__,
            str(os.getpid()),
            str(int(signal.SIGTERM)),
            "-",
        )
        make = ("perl", str(program), *options, BASE_RELEASE, str(unfinished), source)
        run(*ends_with_us, *make, env=os.environ | {"TMPDIR": str(scratch)})
        unfinished.rename(image)
    return image


def _apt() -> list[str]:
    """Options for an apt of our own, that knows both releases and leaves this system's alone."""
    lists, cache = TOOLS / "apt/lists", TOOLS / "apt/cache"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives/partial").mkdir(parents=True, exist_ok=True)
    sources = TOOLS / "apt/sources.list"
    releases = dict.fromkeys((_own_release(), ENGINE_RELEASE))
    sources.write_text("".join(f"deb [signed-by={KEYRING}] {_mirror()} {release} main\n" for release in releases))
    values = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": lists,
        "Dir::Cache": cache,
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]


def _own_release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"')


def _mirror() -> str:
    """The mirror of this system's own release."""
    targets = run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(CODENAME) $(COMPONENT) $(REPO_URI)")
    for line in targets.splitlines():
        kind, release, component, uri = line.split(" ", 3)
        if (kind, release, component) == ("Packages", _own_release(), "main"):
            return uri
    raise LaunchProblem("apt has no source for this Debian release: the Docker tests need one, or a Docker Engine")


def engine_environment(root: Path) -> dict[str, str]:
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return os.environ | {
        "PATH": f"{root / 'usr/sbin'}:{root / 'usr/bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }
