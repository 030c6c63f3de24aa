"""Secrets do not get through, and ordinary words do."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.ops.redact import SHORTEST, Redactor

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrbGaT9abcde"
KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"POST /bot{TOKEN}/getMe", "POST /bot***/getMe"),
        (f"ExtBot[token={TOKEN}]", "ExtBot[token=***]"),
        ("at 12:34:56.789, block 12345678", "at 12:34:56.789, block 12345678"),
        ("0x" + "ab" * 32 + ": 12345678:0x" + "ab" * 32, "0x" + "ab" * 32 + ": 12345678:0x" + "ab" * 32),
        ("wss://base.example/v2/abcdef?key=1 is away", "wss://base.example is away"),
        ("https://me:pass@base.example:8545/", "https://base.example:8545"),
        ("url='https://base.example/k', code=1", "url='https://base.example', code=1"),
        ("http://[::1]:8545/key", "http://[::1]:8545"),
        ("redis://:pass@cache:6379/0", "redis://cache:6379"),
        ("rediss://u:p@cache", "rediss://cache"),
        ("HTTPS://U:P@BASE.example/x", "HTTPS://BASE.example"),
        ("https://me:pa/ss@base.example/", "https://***"),
        ("https://base.example?key=1#f and wss://two.example/k", "https://base.example and wss://two.example"),
        ("ftp://host/path", "ftp://host/path"),
        ("", ""),
    ],
)
def test_what_looks_secret_is_cut(text: str, clean: str) -> None:
    assert Redactor().clean(text) == clean


def test_registered_secrets_are_masked_in_every_form() -> None:
    redactor = Redactor()
    redactor.add("p@ss/word", KEY, "")
    assert redactor.clean("p@ss/word p%40ss%2Fword") == "*** ***"
    assert redactor.clean(f"{KEY} {KEY[2:]} {KEY.upper()}") == "*** *** ***"


def test_a_secret_inside_another_one_leaves_no_rest() -> None:
    redactor = Redactor()
    redactor.add("abcd")
    redactor.add("abcdefgh")
    assert redactor.clean("abcdefgh abcd") == "*** ***"


def test_a_url_gives_its_secrets_away_alone_too() -> None:
    redactor = Redactor()
    redactor.add_url("https://ada:l%C3%B6ve@base.example/v2/abcdefghijklmnop?apikey=zyxw9876", "wss://base.example")
    said = redactor.clean("404 for /v2/abcdefghijklmnop?apikey=zyxw9876 of base.example as ada, löve, l%C3%B6ve")
    assert said == "404 for /v2/***?apikey=*** of base.example as ada, ***, ***"


def test_the_redactor_does_not_show_what_it_hides() -> None:
    redactor = Redactor()
    redactor.add("hunter22")
    assert "hunter22" not in repr(redactor)
    assert repr(redactor) == "Redactor(1 secrets)"


@given(st.text(min_size=SHORTEST), st.text(max_size=20), st.text(max_size=20))
def test_no_registered_secret_survives(secret: str, before: str, after: str) -> None:
    assume("*" not in secret and "://" not in before + secret + after)
    redactor = Redactor()
    redactor.add(secret)
    said = redactor.clean(f"{before}{secret}{after}")
    assert secret not in said
    assert quote(secret, safe="") not in redactor.clean(quote(secret, safe=""))


@given(st.text(st.characters(exclude_characters=":")))
def test_text_without_secrets_is_left_alone(text: str) -> None:
    assert Redactor().clean(text) == text
