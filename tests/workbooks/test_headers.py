"""A column is recognised however its header is typed, and a header with a forbidden word is found."""

from hypothesis import given
from hypothesis import strategies as st

from workbooks.headers import find_forbidden, fold

HEADERS = ["姓名", "身份证号", "出生日期", "国籍/地区", "家庭成员1姓名", "ID"]


@given(
    st.sampled_from(HEADERS),
    st.sampled_from(["", " ", "　", "\n", "\t"]),
    st.sampled_from(["", "*", "：", "(必填)", "（必填）"]),
)
def test_a_header_is_recognised_in_every_typed_form(header: str, space: str, mark: str) -> None:
    spaced = space.join(header)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in spaced)

    assert fold(spaced + mark) == fold(header)
    assert fold(wide + mark) == fold(header)
    assert fold(header.lower()) == fold(header)


def test_a_remark_that_distinguishes_two_columns_is_kept() -> None:
    assert fold("姓名(父亲)") != fold("姓名")
    assert fold("出生日期（格式：2015-03-12）") == fold("出生日期")


def test_forbidden_words_are_found_inside_headers() -> None:
    forbidden = ("前科", "处罚", "不起诉", "不良行为")

    assert find_forbidden(["姓名", "有无 前 科", "行政处罚情况", "备注"], forbidden) == ("有无 前 科", "行政处罚情况")
    assert find_forbidden(["姓名", "身份证号", "科目"], forbidden) == ()
