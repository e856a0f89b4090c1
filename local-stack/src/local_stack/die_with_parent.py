"""Become another program that ends when its parent does. A script of its own, run by path before the program.

`python -I -S die_with_parent.py PARENT_PID SIGNAL UID:GID|- PROGRAM [ARGUMENT...]`: drops root to UID:GID if asked, asks
Linux for SIGNAL on the death of the parent (other systems have no such thing; there the run file is the only record), then
executes PROGRAM. A `preexec_fn` would do the same, but forks a process that may have threads."""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def drop_root(identity: str) -> None:
    uid, gid = (int(part) for part in identity.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main() -> None:
    parent_pid, death_signal, identity, *command = sys.argv[1:]
    if identity != "-":
        drop_root(identity)
    if sys.platform == "linux":
        # After the change of user, which clears the setting.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent_pid):
            sys.exit("the parent ended before the program began")
    try:
        os.execvp(command[0], command)
    except OSError as exc:
        sys.exit(f"cannot run {command[0]}: {exc.strerror}")


if __name__ == "__main__":
    main()
