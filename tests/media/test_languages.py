"""Languages are known by code and by name."""

from __future__ import annotations

from typing import get_args, get_type_hints

from groq.types.audio import transcription_create_params

from chuk.media.languages import LANGUAGES, code_of


def test_names_and_codes_lead_to_codes() -> None:
    assert code_of("English") == "en"
    assert code_of(" haitian creole ") == "ht"
    assert code_of("de") == "de"
    assert code_of("Cantonese") == "yue"
    assert code_of("Klingon") is None


def test_all_that_may_be_asked_for_is_taken_by_the_service() -> None:
    params = transcription_create_params.TranscriptionCreateParams
    _, known = get_args(get_type_hints(params)["language"])
    assert set(get_args(known)) >= LANGUAGES
    assert all(len(code) == 2 for code in LANGUAGES) and len(LANGUAGES) > 90
