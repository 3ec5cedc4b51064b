"""One word for one thing: what people read in notices and what the code calls it stand side by side in the glossary."""

import re
from pathlib import Path

from contracts.vocabulary import ReferralState, Verb
from services.notify.domain.wording import VERBS

GLOSSARY = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")
IDENTIFIERS = {word for part in re.findall(r"`([^`]+)`", GLOSSARY) for word in re.split(r" / |\s", part)}


def test_every_verb_has_its_chinese_term_in_the_glossary() -> None:
    rows = [line.split("|")[1:3] for line in GLOSSARY.splitlines() if line.startswith("| ")]
    for verb in Verb:
        assert any(f"`{verb.value}`" in english and VERBS[verb][:2] in chinese for chinese, english, *_ in rows), verb


def test_every_state_of_a_referral_is_in_the_glossary() -> None:
    assert {state.value for state in ReferralState} - {"draft"} <= IDENTIFIERS
