"""Lists that come page by page."""

from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import BaseModel
from shared_models.schemas import Page

from self_service_cli.output import Output

LimitOption = Annotated[int, typer.Option(min=1, max=100, help="How many at most.")]
CursorOption = Annotated[str, typer.Option(help="Where the next page begins, as the last one told.")]


def show_page[T: BaseModel](
    out: Output, page: Page[T], columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """The page as a table, and how to see the next one; with `--json` the page itself."""
    if out.is_json:
        out.document(page)
        return
    out.table(columns, rows)
    if page.next_cursor:
        out.note(f"There are more: add --cursor {page.next_cursor}")
