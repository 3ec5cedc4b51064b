"""Problems of a file, a row or a cell: their codes, and Chinese texts that say what is wrong and what to do."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["cell", "row", "file", "nothing"]
"""What was refused. ``nothing``: the problem is a remark; the content was accepted."""


class CellRejected(Exception):
    """A cell cannot be read. Carries the code of the problem, never the content."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem that the sender can correct."""

    code: str
    refused: Scope
    row: int | None = None
    column: str | None = None
    excerpt: str = ""
    """The masked content."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Values for the placeholders of the texts."""

    @property
    def message(self) -> str:
        """Say in Chinese what is wrong."""
        return TEXTS[self.code][0].format(**dict(self.parameters))

    @property
    def remedy(self) -> str:
        """Say in Chinese what to do."""
        return TEXTS[self.code][1].format(**dict(self.parameters))


TEXTS: dict[str, tuple[str, str]] = {
    # ID numbers
    "id_damaged": (
        "身份证件号码被表格软件当作数字处理，末几位已经丢失。",
        "请把该列设为“文本”格式后对照证件重新录入；不能靠补算末位恢复。若号码确以000结尾，请在号码前加英文单引号。",
    ),
    "id_masked": ("身份证件号码被星号遮盖。", "请从原系统导出完整号码后重新报送。"),
    "id_checksum": ("身份证件号码的校验位不符，至少有一位录错。", "请对照户口簿或身份证逐位核对后重新报送。"),
    "id_birth_date": ("身份证件号码第7至14位不是可能的出生日期。", "请对照户口簿或身份证核对后重新报送。"),
    "id_region": ("身份证件号码开头两位不是省级代码。", "请对照户口簿或身份证核对后重新报送。"),
    "id_length": ("身份证件号码的位数不对，应为18位。", "请对照户口簿或身份证补全后重新报送。"),
    "id_15_digits": (
        "这是15位旧号码，儿童没有15位号码，可能填成了家长的号码。",
        "请填写儿童本人的18位公民身份号码；没有的留空。",
    ),
    "id_immunization_code": (
        "这是18位预防接种个案编码，不是公民身份号码。",
        "请把该编码填在“儿童编码”列；身份证件号码没有的留空。",
    ),
    "id_disability_number": (
        "这是20位残疾人证号，不是公民身份号码。",
        "请把该号填在“残疾人证号”列，身份证件号码列填前18位。",
    ),
    "id_student_number": ("这是学籍号，不是公民身份号码。", "请把学籍号填在“学籍号”列，此列填公民身份号码。"),
    "id_of_adult": (
        "号码属于成年人，与所报儿童的出生日期不符，可能是家长的号码。",
        "请填写儿童本人的号码；家长的号码请填在监护人证件号列。",
    ),
    "id_is_guardians": ("儿童的号码与家长的号码相同。", "请填写儿童本人的号码；没有的留空。"),
    "id_unreadable": (
        "身份证件号码不能识别。",
        "请填写18位公民身份号码；护照、通行证等请同时填写“身份证件类型”。",
    ),
    "certificate_unreadable": (
        "残疾人证号不能识别，应为18位公民身份号码加类别、等级两位。",
        "请对照残疾人证核对后重新报送。",
    ),
    "number_damaged": ("编号被表格软件当作数字处理，末几位已经丢失。", "请把该列设为“文本”格式后重新录入。"),
    # dates
    "date_unreadable": ("日期不能识别。", "请按“2015-03-12”的样子填写。"),
    "date_impossible": ("日历上没有这一天。", "请核对后按“2015-03-12”的样子填写。"),
    "date_partial": ("日期不完整，缺少日或月。", "请填写到日，如“2015-03-12”；确实不知道的留空。"),
    "date_lunar": ("这是农历日期。", "请按户口簿上的公历日期填写。"),
    "date_future": ("日期在将来。", "请核对年份；尚未发生的事请留空。"),
    "date_too_old": ("日期过早，不可能是所问的日期。", "请核对年份后重新填写。"),
    "birth_date_conflict": (
        "出生日期与身份证件号码第7至14位不一致。",
        "请对照户口簿更正其中一项；更正前按号码归并到同一儿童，出生日期按所报保留。",
    ),
    # names, phones and other words
    "name_unreadable_character": (
        "姓名中有不能显示的字（生僻字或自造字）。",
        "请改用国标字形录入；打不出的字请与户籍部门核对写法后重新报送。",
    ),
    "name_unreadable": ("姓名中有数字或不是姓名的内容。", "请只填写姓名本身。"),
    "too_long": ("内容过长，可能填错了列。", "请核对该列应填的内容。"),
    "phone_unreadable": ("电话号码不能识别。", "请填写11位手机号码，或带区号的固定电话，如“0566-6021234”。"),
    "phone_damaged": ("电话号码被表格软件改成了科学计数。", "请把该列设为“文本”格式后重新录入。"),
    "phone_two": ("一格中有两个号码，只取了第一个。", "请把第二个号码填在另一列。"),
    "sex_unreadable": ("性别不能识别。", "请填写“男”或“女”。"),
    "yes_no_unreadable": ("只能填写是或否。", "请填写“是”或“否”；不知道的留空。"),
    "word_unknown": ("内容不在可填的范围内。", "可填：{allowed}；不知道的留空。"),
    "formula_error": (
        "单元格是公式错误（如 #N/A、#REF!），没有内容。",
        "请改正公式，或者把正确的内容直接填进去；不知道的留空。",
    ),
    "formula_not_computed": (
        "单元格是公式，文件里没有算出来的结果。",
        "请用表格软件打开，把这一列复制后“选择性粘贴”为数值，保存后重新报送。",
    ),
    "number_absurd": ("数字大得不合理。", "请核对该列应填的内容。"),
    "number_unreadable": ("应填整数，且在合理范围内。", "请填写{low}至{high}之间的整数；不知道的留空。"),
    # divisions
    "division_unreadable": (
        "行政区划不能识别，或者同名的不止一处。",
        "请填写6位、9位或12位行政区划代码。",
    ),
    "division_unknown": (
        "行政区划代码查不到。",
        "请核对代码；若代码确实有效，请联系县民政局把它补进区划表。",
    ),
    "division_too_wide": ("只写到省或市，没有写到县。", "请填写到县（市、区）的6位代码。"),
    "division_no_township": ("居住地没有写到乡镇。", "请填写9位或12位代码，或写明本县乡镇名称，如“石台县仁里镇”。"),
    "division_not_township": (
        "代码在本县范围内，但不是本县的乡镇。",
        "请改填实际管理该处的乡镇代码。",
    ),
    # rows
    "names_nobody": (
        "这一行没有可用的身份证件号码，姓名和出生日期也不齐全，不知道说的是谁。",
        "请补齐身份证件号码，或者同时填写姓名和出生日期。",
    ),
    "duplicate_row": (
        "与第{first}行是同一个人（同一编号），但内容不同，已按先出现的一行登记。",
        "请核对两行，保留正确的一行后重新报送。",
    ),
    "column_not_announced": ("这一行有文件开头没有登记的列：{columns}。", "请在文件开头列出全部列名后整份重新报送。"),
    "no_begin": ("没有收到这份文件的开头，不知道这一行属于哪个数据集。", "请从文件开头起整份重新报送。"),
    "after_end": ("这份文件已经报送完毕，这一行来得太晚，没有登记。", "请作为新的一份文件，或者单行报送。"),
    "no_dataset": ("单独报送的行没有写明数据集。", "请填写 dataset。"),
    "valid_on_future": ("所报内容的日期在将来，已按今天登记。", "请核对 valid_on。"),
    # files
    "column_forbidden": (
        "含有依法封存或不得提供的内容（列名：{columns}），整份没有读取，也没有保存。",
        "请删去这些列后重新报送（预防未成年人犯罪法第59条）。",
    ),
    "column_unknown": ("这些列没有登记，没有读取：{columns}。", "如需报送，请先向县民政局登记该列及用途。"),
    "columns_missing": (
        "没有找到身份证件号码列，姓名、出生日期两列也不齐全，整份没有读取。",
        "请核对表头；可用的列名：{columns}。",
    ),
    "dataset_unknown": ("数据集没有登记目的和依据，不能接收：{dataset}。", "请先向县民政局登记该数据集。"),
    "dataset_of_another_unit": ("数据集不属于本单位：{dataset}。", "请由负责的单位报送，或向县民政局申请调整。"),
    "unit_unknown": ("本单位没有登记。", "请联系县民政局登记本单位。"),
    "header_unreadable": ("列名里有不能识别的字符，整份没有读取。", "请重新导出，或者改用 .xlsx 报送。"),
    "period_unreadable": ("报送期不能识别：{period}。", "请用半角字符填写，如2026年下半年写“2026H2”。"),
    "submission_reused": (
        "这个 submission 编号已经用于另一份文件，这一份没有读取。",
        "请为每一份文件用一个新的编号，整份重新报送。",
    ),
    "unreadable": (
        "内容不合格式（{fields}），没有登记。",
        "请按对接指南核对这些字段后重新报送，可以用同一个 ce_id。",
    ),
    "period_future": ("报送期还没有开始：{period}。", "请核对报送期，如2026年下半年写“2026H2”。"),
    "file_empty": ("这份完整名单没有任何数据行。", "请核对导出的内容；确实没有儿童时请与县民政局联系。"),
    "coverage_missing": (
        "没有写明 coverage（是完整名单，还是只报变化），已按只报变化收下；没有出现的儿童不作为“本期名单未见”处理。",
        "是完整名单的，请在文件开头写 coverage 为 full，用同一个 submission 整份重新报送；只报变化的写 delta。",
    ),
    "coverage_unknown": (
        "coverage 写的既不是 full（完整名单），也不是 delta（只报变化），整份没有读取。",
        "请改正后用同一个 submission 编号整份重新报送。",
    ),
    "mostly_refused": (
        "半数以上的行不知道说的是谁；没有出现的儿童不作为“本期名单未见”处理。",
        "请核对身份证件号码、姓名、出生日期各列后整份重新报送。",
    ),
    "row_count_differs": (
        "收到{read}行，报送方所说的行数是{announced}行，文件可能不完整；没有出现的儿童不作为“本期名单未见”处理。",
        "请核对后整份重新报送。",
    ),
    "same_file": (
        "这份文件已经收到过，没有再次读取。",
        "内容有变化时请重新导出；确无变化但要作为新一期报送时，也请重新导出一份。",
    ),
    "older_period": (
        "已经收到过更晚一期（{period}）的文件，这份只作检查，不改变现有信息。",
        "请核对报送期；若期别写错，请改正后重新报送。",
    ),
}
"""Code -> (what is wrong, what to do). The texts are for the sender and never contain cell content."""
