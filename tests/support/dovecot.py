"""Debian's dovecot on a free port of this machine: a real IMAP server with one mailbox."""

import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from imapclient import IMAPClient
from local_stack.ports import free_port

from tests.support.debian import library_path, unpacked
from tests.support.waiting import eventually_blocking

ADDRESS, PASSWORD = "it@selfservice.example", "the-password-of-the-mailbox"
MODULES = b"/usr/lib/dovecot/modules\0"

CONFIG = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
libexec_dir = {root}/usr/lib/dovecot
mail_plugin_dir = {root}/usr/lib/dovecot/modules
import_environment = LD_LIBRARY_PATH
auth_mechanisms = plain
disable_plaintext_auth = no
ssl = no
default_internal_user = {master}
default_internal_group = {master_group}
default_login_user = {user}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:{folder}/mail
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service config {{
  executable = config -c {folder}/dovecot.conf
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@dataclass(frozen=True)
class Dovecot:
    port: int

    def client(self) -> IMAPClient:
        client = IMAPClient("127.0.0.1", port=self.port, ssl=False, timeout=60)
        client.login(ADDRESS, PASSWORD)
        client.select_folder("INBOX")
        return client

    def put(self, *mails: bytes) -> None:
        with self.client() as client:
            for mail in mails:
                client.append("INBOX", mail)

    def unseen(self) -> int:
        with self.client() as client:
            return len(client.search("UNSEEN"))

    def empty(self) -> None:
        with self.client() as client:
            client.delete_messages(client.search("ALL"))
            client.expunge()


@pytest.fixture(scope="session")
def dovecot_server() -> Iterator[Dovecot]:
    """Started once; `dovecot` is the same with an empty mailbox."""
    fetched = unpacked("dovecot", ["dovecot-core", "dovecot-imapd"])
    folder = Path(tempfile.mkdtemp(prefix="ssa-imap-"))  # paths of sockets are short; its user must be able to enter
    folder.chmod(0o755)
    root = folder / "root"
    shutil.copytree(fetched, root, symlinks=True)  # nobody else may be able to enter the repository's folder
    server = Dovecot(free_port())
    process = _start(root, folder, server.port)
    try:
        eventually_blocking(lambda: _answers(server) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        shutil.rmtree(folder)


@pytest.fixture
def dovecot(dovecot_server: Dovecot) -> Dovecot:
    dovecot_server.empty()
    return dovecot_server


def _start(root: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """The master as whoever runs the tests; if that is root, its children as nobody."""
    _find_modules_here(root)
    me = pwd.getpwuid(os.geteuid())
    user = pwd.getpwnam("nobody") if me.pw_uid == 0 else me
    for name in ("run", "run/login", "state", "home", "mail"):
        (folder / name).mkdir()
        os.chown(folder / name, user.pw_uid if name in ("home", "mail") else me.pw_uid, user.pw_gid)
    for place in ("run", "run/login"):
        (folder / place / "modules").symlink_to(root / "usr" / "lib" / "dovecot" / "modules")
    (folder / "users").write_text(f"{ADDRESS}:{{PLAIN}}{PASSWORD}\n")
    config = folder / "dovecot.conf"
    names = {"master": me.pw_name, "master_group": grp.getgrgid(me.pw_gid).gr_name, "user": user.pw_name}
    config.write_text(CONFIG.format(folder=folder, root=root, port=port, uid=user.pw_uid, gid=user.pw_gid, **names))
    read_config = [str(root / "usr/bin/doveconf"), "-f", "service=master", "-c", str(config), "-m", "master"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*read_config, "-e", str(root / "usr/sbin/dovecot"), "-F"],
            env=os.environ | {"LD_LIBRARY_PATH": library_path(root)},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def _find_modules_here(root: Path) -> None:
    """The one path that no setting changes: let it be the folder `modules` of wherever a process stands."""
    for library in (root / "usr" / "lib" / "dovecot").glob("*.so.*.*"):
        content = library.read_bytes()
        if MODULES in content:
            changed = library.with_suffix(".changed")
            changed.write_bytes(content.replace(MODULES, b"modules".ljust(len(MODULES), b"\0")))
            changed.rename(library)


def _answers(server: Dovecot) -> bool:
    try:
        server.client().logout()
    except (OSError, IMAPClient.Error):
        return False
    return True
