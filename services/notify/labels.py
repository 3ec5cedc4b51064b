"""What the codes in notices are called when a person reads them. In Chinese."""

from services.notify.domain.wording import DUTIES, OTHER_REFUSAL, REASONS, REFUSALS, VERBS, WHY

__all__ = ["DUTIES", "OTHER_REFUSAL", "REASONS", "REFUSALS", "VERBS", "WHY"]
