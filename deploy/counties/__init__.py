"""The folders of counties' data that come with Hutong."""

from pathlib import Path

DEMO_COUNTY = Path(__file__).parent / "341722"
"""The demo county, which is invented."""
