import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_stack.servicenow.query import Condition, parse
from servicenow_mcp.query import MAX_VALUE_LENGTH, UnsafeValue, encoded_query

FIELDS = st.from_regex(r"[a-z][a-z0-9_]{0,10}(\.[a-z][a-z0-9_]{0,10})?", fullmatch=True)
ANY_TEXT = st.text(max_size=MAX_VALUE_LENGTH)
NASTY = st.text(alphabet="^=!ORNQINLIKEDESC.abjavascript: \n\t,@", max_size=30)


def built(equal: dict[str, str]) -> str | None:
    try:
        return encoded_query(equal, newest_first_by="opened_at")
    except UnsafeValue:
        return None


@given(st.dictionaries(FIELDS, ANY_TEXT | NASTY, min_size=1, max_size=4))
def test_a_value_never_changes_the_query(equal: dict[str, str]) -> None:
    text = built(equal)
    if text is None:
        return
    query = parse(text)
    assert query.groups == [[[Condition(field, "=", value)] for field, value in equal.items()]]
    assert query.order_by == [("opened_at", True)]


@pytest.mark.parametrize(
    "value",
    [
        "a^ORactive=true",
        "a^NQemail!=x",
        "^",
        "^^",
        "a=b",
        "!=",
        "a^ORDERBYname",
        "a^EQ",
        "INb",
        "=x",
        "a,b",
        "ü@ö.example",
    ],
)
def test_control_words_in_a_value_stay_a_value(value: str) -> None:
    query = parse(encoded_query({"email": value}))
    assert query.groups == [[[Condition("email", "=", value)]]]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "a\nb",
        "a\r\nb",
        "a\x00b",
        "a\u2028b",
        "\ud800",
        "javascript:gs.getUserID()",
        " JavaScript: 1",
        "DYNAMIC90d1921e5f510100a9ad2572f2b477fe",
        "x" * (MAX_VALUE_LENGTH + 1),
    ],
)
def test_what_no_record_can_hold_or_servicenow_would_run_is_refused(value: str) -> None:
    with pytest.raises(UnsafeValue):
        encoded_query({"email": value})


@pytest.mark.parametrize("field", ["", "Email", "a^b", "a=b", "a.", "a..b", "a b"])
def test_only_field_names_can_be_fields(field: str) -> None:
    with pytest.raises(ValueError, match="field"):
        encoded_query({field: "x"})
