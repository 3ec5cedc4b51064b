"""The policy's text, and the check that quotations are in the article or row they name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.county import Citation, County
from county.problem import Location, Violation
from county.requirements import Requirements


@dataclass(frozen=True, slots=True)
class PolicyText:
    """The policy's text by article and row, without white space."""

    parts: dict[str, str]
    """``opening``, ``一`` .. ``八``, ``三、工作要求``, ``row 1`` .. and, under the empty name, the whole text."""

    @classmethod
    def read(cls, file: Path) -> "PolicyText":
        lines = file.read_text("utf-8").splitlines()
        parts: dict[str, list[str]] = {"": lines}
        part, row, attached = "opening", 0, False
        for line in lines:
            text = line.strip()
            if text == "附件":
                attached, part = True, ""
            elif attached and text == str(row + 1):
                row += 1
                part = f"row {row}"
            elif not attached and (article := re.match(r"（([一二三四五六七八九十]+)）", text)):
                part = article[1]
            elif not attached and re.match(r"[一二三四五六七八九十]+、", text):
                part = text
            parts.setdefault(part, [])
            if part:
                parts[part].append(text)
        return cls({name: _squeezed("".join(paragraphs)) for name, paragraphs in parts.items()})

    def has(self, article: str | None, phrase: str) -> bool:
        return _squeezed(phrase) in self.parts.get(article or "", "")


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def citations(county: County, source: PolicyText) -> Iterator[Violation]:
    """Every cited phrase is in the article or row that the citation names."""
    for path, citation in _cited(county):
        if citation.article is None and not citation.place.startswith(county.policy_source):
            continue
        if citation.article is not None and citation.article not in source.parts:
            yield (*path, "article"), f"原文里没有 {citation.article}", "条写 一、二……，清单写 row 1、row 2……"
        elif not source.has(citation.article, citation.phrase):
            yield (
                (*path, "phrase"),
                f"“{citation.phrase}”不在原文 {citation.article or citation.place} 里",
                "请照原文引一小段，或改正出处",
            )


def rule_citations(county: County, requirements: Requirements, source: PolicyText) -> Iterator[Violation]:
    """The rules' quotations are in the policy too; a county with another policy needs other rules."""
    listed = {item.id: index for index, item in enumerate(county.catalogue)}
    of_items = [(item, quoted) for item, quoted in requirements.items.items() if item in listed]
    for code, quoted in (*of_items, *requirements.sources.items()):
        if source.has(quoted.article, quoted.phrase):
            continue
        path: Location = ("catalogue", listed[code], "id") if code in listed else ("policy_source",)
        yield (
            path,
            f"规则 {code} 引的“{quoted.phrase}”不在原文 {quoted.article} 里",
            "规则与这份方案不符：请核对原文，或请维护规则的人改正",
        )


def catalogue_rows(county: County, source: PolicyText) -> Iterator[Violation]:
    """Every row of the policy's list is in the catalogue."""
    for part in source.parts:
        if part.startswith("row ") and county.item(f"B-{part[4:]}") is None:
            yield ("catalogue",), f"没有原文清单里的第{part[4:]}行", f"请在 catalogue.yaml 里写 B-{part[4:]}"


def _cited(county: County) -> Iterator[tuple[Location, Citation]]:
    for index, item in enumerate(county.catalogue):
        yield ("catalogue", index, "citation"), item.citation
    for index, route in enumerate(county.routes):
        for position, basis in enumerate(route.basis):
            yield ("routes", index, "basis", position), basis
    for index, criterion in enumerate(county.criteria):
        yield ("criteria", index, "citation"), criterion.citation
