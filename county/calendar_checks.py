"""Checks of the time limits and the working days."""

from collections.abc import Iterator, Mapping
from datetime import date

from pydantic import BaseModel

from contracts.county import County
from contracts.vocabulary import Level
from county.problem import Location, Violation


def clocks(county: County) -> Iterator[Violation]:
    """Every level has a time to accept and a time to report a result."""
    for level in Level:
        clock = county.clocks.get(level)
        if clock is None:
            yield ("clocks",), f"没有 {level} 的时限", "请加上"
            continue
        if clock.accept_hours is None and clock.accept_days is None:
            yield ("clocks", level), f"{level} 没有签收时限", "请写 accept_hours 或 accept_days"
        if clock.result_hours is None and clock.result_days is None:
            yield ("clocks", level), f"{level} 没有反馈时限", "请写 result_hours 或 result_days"
    for part in ("cadence", "thresholds", "clocks", "duty_clocks"):
        yield from _numbers((part,), getattr(county, part))
    for index, due in enumerate(county.cadence.submission_due):
        if not _is_day(due):
            yield ("cadence", "submission_due", index), f"{due} 不是“月-日”", "例如 03-31"
    if not _is_day(county.thresholds.school_cutoff):
        yield ("thresholds", "school_cutoff"), f"{county.thresholds.school_cutoff} 不是“月-日”", "例如 08-31"


_MAY_BE_ZERO = frozenset({"absence_breaks_after_days", "max_returns", "reopen_days", "notice_before_16_days"})


def _numbers(path: Location, part: object) -> Iterator[Violation]:
    """Every duration and limit is positive, except those that may be zero."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _numbers((*path, name), value)
    elif isinstance(part, int) and not isinstance(part, bool) and part < 1:
        if part < 0 or path[-1] not in _MAY_BE_ZERO:
            yield path, f"{path[-1]} 是 {part}，不会有这样的期限", "请写正整数"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(f"2025-{text}")
    except ValueError:
        return False
    return True


def working_days(county: County) -> Iterator[Violation]:
    """The calendar has no gaps and is consistent with the weekdays."""
    at: Location = ("working_days",)
    calendar = county.working_days
    years = sorted(calendar.published_years)
    if not years:
        yield (*at, "published_years"), "一年的节假日安排都没有", "请至少写上方案施行的那一年"
        return
    first = county.policy_effective_from.year
    if years[0] > first:
        yield (*at, "published_years"), f"缺 {first} 年（方案自这一年起施行）", "请补上"
    for year in range(years[0], years[-1] + 1):
        if year not in years:
            yield (*at, "published_years"), f"中间缺 {year} 年", "请补上这一年的安排"
    for year in years:
        if not any(day.year == year for day in calendar.holidays):
            yield (*at, "holidays"), f"{year} 年标为已公布，却没有一天放假", "请补上，或从 published_years 里去掉"
    for name, days, weekend, wrong in (
        ("holidays", calendar.holidays, False, "本来就是周末，不用写"),
        ("make_up_days", calendar.make_up_days, True, "不是周末，不是调休上班日"),
    ):
        for year in sorted({day.year for day in days} - {*years}):
            first_day = next(index for index, day in enumerate(days) if day.year == year)
            yield (*at, name, first_day), f"{year} 年不在 published_years 里，却写了日子", "请加上这一年，或删去这些天"
        for index, day in enumerate(days):
            if (day.weekday() >= 5) != weekend:
                yield (*at, name, index), f"{day} {wrong}", "请核对公布的安排"
