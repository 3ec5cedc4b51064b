"""The Chinese labels of the codes in notices, for the command line."""

from services.notify.domain.templates import DUTIES, OTHER_REFUSAL, REASONS, REFUSALS, VERBS, WHY

__all__ = ["DUTIES", "OTHER_REFUSAL", "REASONS", "REFUSALS", "VERBS", "WHY"]
