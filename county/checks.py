"""What must hold of a county's data before it is put in force."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from contracts.county import County
from county.calendar_checks import clocks, working_days
from county.citations import PolicyText, catalogue_rows, citations, rule_citations
from county.dataset_checks import datasets
from county.problem import Location, Problem, Violation
from county.reader import build, read
from county.requirements import Requirements
from county.route_checks import catalogue, criteria, holders, routes
from county.unit_checks import divisions, offices, public_keys, roles, units


def check(folder: Path | str, requirements: Requirements, source: Path | None = None) -> list[Problem]:
    """Return every problem of a folder, in order of file and line.

    ``requirements`` holds what the rules in force ask of a county. With ``source``, the policy's text, every citation,
    the rules' included, is looked up in the article or row it names, and every row of the list in the catalogue.

    Raises:
        OSError: the policy's text cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    draft = read(Path(folder))
    county = build(draft)
    if county is None:
        return sorted(set(draft.problems))
    # While names are ambiguous, further problems could point to the wrong item.
    violations = list(unique_names(county)) or [
        *(finding for examine in CHECKS for finding in examine(county)),
        *criteria(county, requirements.terms),
    ]
    if source is not None:
        text = PolicyText.read(source)
        violations += [
            *citations(county, text),
            *rule_citations(county, requirements, text),
            *catalogue_rows(county, text),
        ]
    return sorted({draft.problem(*violation) for violation in violations})


def _duplicates(values: Iterable[tuple[Location, str]], what: str) -> Iterator[Violation]:
    seen: dict[str, Location] = {}
    for path, value in values:
        if value in seen:
            yield path, f"{what} {value} 写了两次", "请只留一处"
        seen.setdefault(value, path)


def unique_names(county: County) -> Iterator[Violation]:
    """Every name is unique."""
    people = [
        (("units", index, "people", position, "id"), person.id)
        for index, unit in enumerate(county.units)
        for position, person in enumerate(unit.people)
    ]
    yield from _duplicates(people, "人员")
    for part, key, what in (
        ("divisions", "code", "代码"),
        ("townships", "code", "乡镇代码"),
        ("units", "id", "单位"),
        ("datasets", "id", "数据集"),
        ("catalogue", "id", "清单项"),
        ("routes", "id", "路线"),
        ("criteria", "term", "口径"),
    ):
        yield from _duplicates(
            (((part, index, key), getattr(entry, key)) for index, entry in enumerate(getattr(county, part))), what
        )


CHECKS: tuple[Callable[[County], Iterator[Violation]], ...] = (
    offices,
    divisions,
    units,
    public_keys,
    roles,
    datasets,
    catalogue,
    routes,
    clocks,
    holders,
    working_days,
)
