"""Briefs that tests of the messenger and of the shield share."""

from datetime import date

from shared.messages import Brief

FULL_BRIEF = Brief(offer_percentage=10, expires_on=date(2025, 12, 7), first_name="Sam", tenure_months=12, plan="Pro")
"""Has every fact but a concern."""
EMPTY_BRIEF = Brief(offer_percentage=0)
