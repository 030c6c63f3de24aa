"""The doctor's questions to Telegram: is the token good, and are the chats reachable?"""

from __future__ import annotations

from typing import Any

import httpx

from cli.finding import Finding
from core.config import Role, Settings, TelegramSettings, host_of

SECONDS = 10.0
TOKEN_ADVICE = "copy the token from @BotFather into TELEGRAM_BOT_TOKEN"  # noqa: S105  # words, not a secret


async def check_token(telegram: TelegramSettings) -> Finding:
    """Ask who the bot is."""
    answer = await _ask(telegram, "getMe")
    if isinstance(answer, Finding):
        return answer
    if not answer.get("ok"):
        return Finding("", f"refused: {_words(answer)}", TOKEN_ADVICE)
    user = answer.get("result")
    name = user.get("username") if isinstance(user, dict) else None
    return Finding("", f"@{name}") if name else _stranger(telegram)


async def check_chat(telegram: TelegramSettings, chat: int) -> Finding:
    """Ask whether the bot may write to a chat."""
    answer = await _ask(telegram, "getChat", chat_id=chat)
    if isinstance(answer, Finding):
        return answer
    if not answer.get("ok"):
        wrong_token = answer.get("error_code") in (401, 404)
        advice = TOKEN_ADVICE if wrong_token else "open a chat with the bot and press Start, or add it to the group"
        return Finding("", _words(answer), advice)
    return Finding("", "reachable") if isinstance(answer.get("result"), dict) else _stranger(telegram)


def chats(settings: Settings) -> list[int]:
    """Return the chats that get alerts."""
    telegram = settings.telegram
    return list(telegram.telegram_chat_ids) or [operator.id for operator in telegram.telegram_operators]


def check_operators(telegram: TelegramSettings) -> Finding:
    """Tell whether somebody may talk to the bot, and may do everything."""
    operators = telegram.telegram_operators
    if not operators:
        advice = "start the bot (liquidbot bot), send it /id, and add YOUR_ID:admin"
        return Finding("TELEGRAM_OPERATORS", "empty: nobody may talk to the bot", advice)
    if all(operator.role is not Role.ADMIN for operator in operators):
        return Finding("TELEGRAM_OPERATORS", "no admin", "make one operator an admin: only admins switch dry run off")
    return Finding("TELEGRAM_OPERATORS", f"{len(operators)} may talk to the bot")


async def _ask(telegram: TelegramSettings, method: str, **params: int) -> dict[str, Any] | Finding:
    """Return the server's answer, or why there is none; no text holds the token."""
    token = telegram.telegram_bot_token.get_secret_value()
    if not token:
        return Finding("", "TELEGRAM_BOT_TOKEN is not set", TOKEN_ADVICE)
    if not (token.isascii() and token.isprintable()) or " " in token:
        return Finding("", "TELEGRAM_BOT_TOKEN holds a character that no token has", TOKEN_ADVICE)
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            reply = await client.post(f"{telegram.telegram_api_url}/bot{token}/{method}", json=params)
            answer = reply.json()
    except httpx.InvalidURL:
        return Finding("", "TELEGRAM_API_URL is not an address", "correct TELEGRAM_API_URL, or leave it unset")
    except httpx.HTTPError:
        where = host_of(telegram.telegram_api_url)
        return Finding("", f"{where} does not answer", "check the network, and TELEGRAM_API_URL if you set it")
    except ValueError:  # not JSON, or not text
        return _stranger(telegram)
    return answer if isinstance(answer, dict) else _stranger(telegram)


def _stranger(telegram: TelegramSettings) -> Finding:
    where = host_of(telegram.telegram_api_url)
    found = f"{where} answers, but not as Telegram's Bot API does"
    return Finding("", found, "correct TELEGRAM_API_URL, or leave it unset; a proxy may be answering in its place")


def _words(answer: dict[str, Any]) -> str:
    return str(answer.get("description") or "no reason given")[:200]
