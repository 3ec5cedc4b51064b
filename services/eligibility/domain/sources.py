"""The texts that the rules rest on besides the items' own phrases, each with its certainty."""

from dataclasses import dataclass

from contracts.vocabulary import Certainty


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in the plan (``article`` with a verbatim quotation) or in another text."""

    article: str | None = None
    """``opening``, ``一`` .. ``八``, ``row 1`` .. ``row 21`` of the plan; None for any other text."""
    phrase: str | None = None
    """The verbatim quotation; None if the wording was not available and the text is cited by number only."""
    place: str = "石民函〔2025〕3号"
    certainty: Certainty = Certainty.STATED

    @property
    def where(self) -> str:
        """Return the place in the form in which a person looks it up."""
        if self.article is None:
            return self.place
        if self.article == "opening":
            return f"{self.place} 正文开头"
        if self.article.startswith("row "):
            return f"{self.place} 附件第{self.article[4:]}行"
        return f"{self.place}（{self.article}）"


SOURCES: dict[str, Citation] = {
    "definition": Citation("opening", "跨县域异地居住或生活6个月以上、不满十六周岁的未成年人"),
    "accompanied": Citation("opening", "随父母或其他监护人双方或一方离开户籍地"),
    "districts": Citation(
        None, "城市中心城区的市辖区之间异地居住或生活的除外", "民政部等21部门流动儿童关爱保护行动方案", Certainty.SEEN
    ),
    "statistical": Citation(None, None, "流动儿童统计分析对象：离开户籍所在乡镇6个月以上", Certainty.SEEN),
    "request": Citation("二", "主动提出救助帮扶需求的跨乡镇的流动儿童"),
    "absence": Citation(None, None, "县参数：离开居住地超过规定天数须核实", Certainty.INFERRED),
    "caretaker": Citation(None, None, "最高人民法院关于适用民法典总则编若干问题的解释第13条", Certainty.LAW),
    "childhood": Citation(None, None, "未成年人保护法第2条", Certainty.LAW),
    "alone": Citation(None, None, "未成年人保护法第21条", Certainty.LAW),
    "entrusted": Citation(None, None, "未成年人保护法第22条、第23条", Certainty.LAW),
    "guardianship": Citation(None, None, "监护缺失与风险的工作口径（据未成年人保护法第92、94条）", Certainty.INFERRED),
    "health-norm": Citation(None, None, "国家基本公共卫生服务规范：0-6岁儿童健康管理", Certainty.SEEN),
    "vaccination": Citation("四", "协同当地疾控部门做好适龄儿童国家免疫规划疫苗接种服务工作"),
    "preschool": Citation(None, None, "学前教育法第2条", Certainty.LAW),
    "compulsory": Citation(None, None, "义务教育法第2条、第11条", Certainty.LAW),
    "school-cutoff": Citation(None, None, "入学年龄截止日（通行做法8月31日，县参数）", Certainty.RECALLED),
    "student-status": Citation(None, None, "满16周岁后按学籍继续享受（政策第3.17部分的处理）", Certainty.INFERRED),
    "permit-signature": Citation(
        None, None, "居住证暂行条例第10条：每年签注（一年之外宽一个月，是我们的处理）", Certainty.INFERRED
    ),
    "aid-groups": Citation(None, None, "低保、特困、孤儿、残疾等通常受资助（提示，不是认定）", Certainty.INFERRED),
    "insurance": Citation("四", "持续推动流动儿童在居住地参加居民医保工作"),
    "rehabilitation": Citation(None, None, "残疾预防和残疾人康复条例第26条", Certainty.LAW),
    "rehabilitation-age": Citation(None, None, "残疾儿童康复救助年龄（县参数，默认不满7周岁）", Certainty.INFERRED),
    "subsidies": Citation(None, None, "国发〔2015〕52号 残疾人两项补贴", Certainty.RECALLED),
    "unsupported": Citation(None, None, "民发〔2019〕62号、民发〔2020〕125号 事实无人抚养儿童", Certainty.SEEN),
    "assistance": Citation(None, None, "社会救助暂行办法第9条、第11条", Certainty.LAW),
    "relief": Citation(None, None, "社会救助暂行办法第47条、第48条", Certainty.LAW),
    "difficulty": Citation(None, None, "国发〔2016〕36号 困境儿童", Certainty.SEEN),
    "no-guardian": Citation(None, None, "未成年人保护法第94条", Certainty.LAW),
    "school-duty": Citation(None, None, "未成年人保护法第28条、第83条；义务教育法第13条", Certainty.LAW),
}
"""Code of a published citation -> the text."""
