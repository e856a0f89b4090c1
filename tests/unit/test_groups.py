"""Tests that run in several processes: who stays together."""

from tests.support.groups import group_of


def test_what_starts_whole_stacks_runs_in_one_process_and_other_files_by_themselves() -> None:
    together = {group_of(f"tests/process/{name}.py::test_it[direct]") for name in ("test_make_up", "test_servicenow")}
    assert len(together) == 1
    files = ("tests/e2e/test_mail.py", "tests/e2e/test_sms.py")
    assert [group_of(f"{file}::test_it[a::b]") for file in files] == list(files)
