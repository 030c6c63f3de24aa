"""Cards survive the store, buttons stay within 64 bytes, and whole blocks are kept or left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards import (
    MAX_CALLBACK_BYTES,
    Button,
    Card,
    Handle,
    compose,
    decode_card,
    esc,
    parse_press,
    plain,
    visible_length,
)
from bot.replies import command_id, new_handle, reply_key, reply_of


def test_card_survives_the_store() -> None:
    card = Card(
        "<b>é</b>", ((Button("a", data="1|x|||k"), Button("b", url="https://x")),), True, 7, 9, "t", 3, "{}", {"a": "b"}
    )
    assert decode_card(card.encode()) == card
    assert decode_card(Card("x").encode()) == Card("x")


@given(st.integers(1, 2**52), st.sampled_from(["status", "watch", "settings", "cancel"]), st.integers(1, 99_999))
def test_buttons_fit_and_are_read_back(update_id: int, action: str, page: int) -> None:
    handle = new_handle(reply_key(update_id))
    button = handle.button("x", action, str(page))
    assert len(button.data.encode()) <= MAX_CALLBACK_BYTES
    press = parse_press(button.data)
    assert press
    assert (press.action, press.arg, press.token, press.key) == (action, str(page), handle.token, handle.key)


def test_too_long_a_button_is_an_error_here_and_not_at_telegram() -> None:
    with pytest.raises(ValueError, match="65 bytes"):
        Handle("k" * 49, "t" * 8).button("x", "abc")


@pytest.mark.parametrize("data", ["", "status", "0|status|||k", "1|a|b|c", "1|a|b|c|d|e"])
def test_foreign_callback_data_is_no_press(data: str) -> None:
    assert parse_press(data) is None


def test_secrets_of_handles_differ() -> None:
    assert new_handle("a").token != new_handle("a").token


def test_command_ids_lead_back_to_their_reply() -> None:
    assert reply_of(command_id(812, -100123)) == (reply_key(812), -100123)
    assert reply_of("") is None
    assert reply_of("made elsewhere") is None


@given(st.lists(st.text(max_size=700).map(lambda text: esc(text, 700)), max_size=30), st.integers(100, 4_096))
def test_compose_keeps_whole_blocks_within_the_limit(blocks: list[str], limit: int) -> None:
    text = compose(blocks, "the end", limit)
    assert visible_length(text) <= limit
    assert text.endswith("the end")
    given_blocks = [block for block in blocks if block]
    if visible_length("\n".join([*given_blocks, "the end"])) <= limit:
        assert text == "\n".join([*given_blocks, "the end"])
    else:
        assert "more\nthe end" in text


@given(st.text(max_size=300))
def test_escaping_leaves_no_markup_and_no_control(text: str) -> None:
    escaped = esc(text, 50)
    assert "<" not in escaped
    assert ">" not in escaped
    assert len(plain(escaped)) <= 50
    assert plain(escaped).isprintable()


def test_bidi_overrides_are_taken_out_and_lines_joined() -> None:
    assert esc("a\nb\u2028c") == "a b c"
    assert esc("a\u202eb\u2066c\x00d") == "abcd"
