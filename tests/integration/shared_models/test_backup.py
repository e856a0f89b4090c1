"""Back-up and restore as docs/operations.md writes them, with the programs that come with the database."""

import os
import re
import subprocess
from pathlib import Path

from local_stack.postgres_binaries import find_binaries
from shared_models.migrate import upgrade

from tests.support.database import run_sql
from tests.support.helm import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
WITHIN_S = 240


def run_from_the_page(program: str, database_url: str, folder: Path) -> None:
    [command] = re.findall(rf"^{program} .*?(?=\s+#|$)", PAGE, re.M)
    env = os.environ | {"DATABASE_URL": database_url, "PATH": f"{find_binaries()}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr


def add_person(database_url: str, name: str) -> None:
    run_sql(
        database_url,
        f"insert into users (user_id, email, name) values (gen_random_uuid(), '{name}@example.com', '{name}')",
    )


def test_a_restore_brings_back_what_the_dump_holds_and_the_migrations_find_their_place(
    database_url: str, tmp_path: Path
) -> None:
    add_person(database_url, "before")
    run_from_the_page("pg_dump", database_url, tmp_path)
    run_sql(database_url, "delete from users")
    add_person(database_url, "after")
    run_from_the_page("pg_restore", database_url, tmp_path)
    upgrade(database_url)
    run_sql(database_url, "do $$ begin assert (select array_agg(name) from users) = array['before']; end $$")
