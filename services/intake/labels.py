"""What intake's codes are called when a person reads them. In Chinese."""

from services.intake.domain.problem import TEXTS

__all__ = ["TEXTS"]
