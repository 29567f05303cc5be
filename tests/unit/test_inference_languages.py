import pytest

from coordinator.errors import BadInput
from coordinator.inference.languages import LanguageTable

M2M = ("ar", "de", "en", "fr", "ga", "gd", "hr", "no", "pt", "sr", "zh")
NLLB = ("arb_Arab", "eng_Latn", "fra_Latn", "pes_Arab", "prs_Arab", "zho_Hans", "zho_Hant")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"), ("eng", "en"), ("fra-CA", "fr"), ("por", "pt"), ("arb", "ar"),
        ("nob", "no"), ("srp-Cyrl", "sr"), ("hrv", "hr"), ("zho-TW", "zh"),
    ],
)  # fmt: skip
def test_short_codes_are_found(language: str, code: str) -> None:
    assert LanguageTable(M2M).find(language) == code


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("eng", "eng_Latn"), ("eng-US", "eng_Latn"), ("zho-CN", "zho_Hans"),
        ("zho-TW", "zho_Hant"), ("zho_Hant", "zho_Hant"), ("fas", "pes_Arab"), ("arb", "arb_Arab"),
    ],
)  # fmt: skip
def test_codes_with_a_script_are_found(language: str, code: str) -> None:
    assert LanguageTable(NLLB).find(language) == code


@pytest.mark.parametrize("language", ["bos", "xx", "", "English", "swe", "deu/../x", "q" * 99])
def test_another_language_never_stands_in(language: str) -> None:
    with pytest.raises(BadInput, match="does not know the language") as caught:
        LanguageTable(M2M).find(language)
    assert repr(language) in str(caught.value) and "nearest" in str(caught.value)


def test_the_folder_s_table_decides_where_the_name_is_not_known() -> None:
    assert LanguageTable(M2M, {"tlh": "de"}).find("tlh") == "de"
    with pytest.raises(BadInput):
        LanguageTable(M2M, {"eng": "english"}).find("eng")
