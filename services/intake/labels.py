"""Chinese texts for what intake's codes and fields mean."""

from services.intake.domain.problem import TEXTS

__all__ = ["IDENTITY_LABELS", "TEXTS"]

IDENTITY_LABELS = {
    "name": "姓名",
    "id_number": "身份证件号码",
    "birth_date": "出生日期",
    "sex": "性别",
    "phone": "电话",
    "guardian_name": "监护人姓名",
    "guardian_id_number": "监护人证件号码",
    "guardian_phone": "监护人电话",
    "father_name": "父亲姓名",
    "father_id_number": "父亲证件号码",
    "father_phone": "父亲电话",
    "mother_name": "母亲姓名",
    "mother_id_number": "母亲证件号码",
    "mother_phone": "母亲电话",
    "household_size": "家庭人口",
}
"""Identity field -> label, for the content of a cell that could not be read as what it was given as."""
