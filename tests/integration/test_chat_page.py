"""The chat page in a real headless browser, with a small bot behind it that answers through the Bot API."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect
from telegram import Bot, BotCommand, CallbackQuery, CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import NetworkError

from devnet.botapi import BotApi, BotApiOptions, Chat
from tests.botapi_client import ANN, BEN, TOKEN, png
from tests.browser import chromium

PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=900)


def card(state: str) -> InlineKeyboardMarkup:
    row = [InlineKeyboardButton(f"Turn {state}", callback_data=f"turn:{state}", style="danger")]
    return InlineKeyboardMarkup([row, [InlineKeyboardButton("Copy address", copy_text=CopyTextButton("0xabc"))]])


async def answer_forever(bot: Bot) -> None:
    """Answer /status with a card whose button edits it, and anything else with an echo."""
    offset = 0
    while True:
        try:
            updates = await bot.get_updates(offset=offset, timeout=10)
        except NetworkError:
            await asyncio.sleep(0.1)
            continue
        for update in updates:
            offset = update.update_id + 1
            if update.callback_query:
                await turn(bot, update.callback_query)
            elif update.message and update.message.text == "/status":
                await bot.send_message(update.message.chat.id, "<b>Dry run</b> is on", "HTML", reply_markup=card("off"))
            elif update.message and update.message.text:
                await bot.send_message(update.message.chat.id, f"You said: {update.message.text}")


async def turn(bot: Bot, query: CallbackQuery) -> None:
    assert query.message is not None
    state = str(query.data).removeprefix("turn:")
    await query.answer(f"Dry run {state}", show_alert=state == "on")
    other = card("off" if state == "on" else "on")
    text = f"<b>Dry run</b> is {state}"
    await bot.edit_message_text(
        text, query.message.chat.id, query.message.message_id, parse_mode="HTML", reply_markup=other
    )


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi.running(BotApiOptions(TOKEN, limits=False)) as running:
        yield running


@pytest.fixture
async def ann(api: BotApi) -> Chat:
    return api.private_chat(ANN, "Ann")


@pytest.fixture
async def bot(api: BotApi, ann: Chat) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=f"{api.url}/bot", base_file_url=f"{api.url}/file/bot") as connected:
        commands = [
            BotCommand("status", "how it is"),
            BotCommand("start", "say hello"),
            BotCommand("help", "what there is"),
        ]
        await connected.set_my_commands(commands)
        answering = asyncio.create_task(answer_forever(connected))
        yield connected
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering


@contextlib.asynccontextmanager
async def page_of(
    browser: Browser, api: BotApi, viewport: ViewportSize = PHONE, dark: bool = False
) -> AsyncIterator[Page]:
    """Open the page; whatever it throws, or its policy blocks, fails the test."""
    context = await browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)
    await page.goto(api.page_url)
    await expect(page.get_by_test_id("phone")).to_have_attribute("data-connection", "online")
    try:
        yield page
    finally:
        await context.close()
    assert problems == []


async def say(page: Page, text: str) -> None:
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("composer").press("Enter")


@pytest.mark.parametrize(("viewport", "dark"), [(PHONE, False), (PHONE, True), (DESKTOP, False), (DESKTOP, True)])
async def test_a_person_commands_presses_and_sees_the_edit(
    browser: Browser, api: BotApi, bot: Bot, ann: Chat, viewport: ViewportSize, dark: bool
) -> None:
    async with page_of(browser, api, viewport, dark) as page:
        await say(page, "/status")
        reply = page.get_by_test_id("message").filter(has_text="Dry run is on")
        await expect(reply.locator("strong")).to_have_text("Dry run")
        await reply.get_by_role("button", name="Turn off").click()
        await expect(page.get_by_test_id("toast")).to_have_text("Dry run off")
        edited = page.get_by_test_id("message").filter(has_text="Dry run is off")
        await expect(edited.get_by_text("edited")).to_be_visible()
        await edited.get_by_role("button", name="Turn on").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Dry run on")
        await page.get_by_role("button", name="OK").click()
        await expect(page.get_by_test_id("message")).to_have_count(2)
        assert ann.messages[-1].edits == 2
        await fits(page, viewport, dark)


async def fits(page: Page, viewport: ViewportSize, dark: bool) -> None:
    """Check the frame, the scheme and that nothing runs out of the window sideways."""
    box = await page.get_by_test_id("phone").bounding_box()
    assert box is not None
    assert box["width"] == (390 if viewport == PHONE else 428)
    assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    ink = await page.evaluate("getComputedStyle(document.body).color")
    brightness = sum(int(part) for part in re.findall(r"\d+", ink)[:3]) / 3
    assert (brightness > 128) is dark


async def test_commands_are_completed_by_keyboard(browser: Browser, api: BotApi, bot: Bot, ann: Chat) -> None:
    async with page_of(browser, api) as page:
        composer = page.get_by_test_id("composer")
        await composer.press_sequentially("/st")
        await expect(page.get_by_role("option")).to_have_count(2)
        await composer.press("ArrowDown")
        await expect(page.get_by_role("option", name="/start")).to_have_attribute("aria-selected", "true")
        await composer.press("ArrowUp")
        await composer.press("Enter")
        await expect(page.get_by_test_id("message").filter(has_text="Dry run is on")).to_be_visible()
        await composer.press_sequentially("/he")
        await composer.press("Tab")
        await expect(composer).to_have_value("/help ")
        await composer.fill("")
        await page.get_by_role("button", name="Show commands").click()
        await page.get_by_role("option", name="/start").click()
        await expect(page.get_by_text("You said: /start")).to_be_visible()
        assert [message.text for message in ann.messages if not message.from_bot] == ["/status", "/start"]


async def test_hostile_text_is_inert(browser: Browser, api: BotApi, bot: Bot, ann: Chat) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    async with page_of(browser, api) as page:
        await say(page, hostile)
        await expect(page.get_by_text(f"You said: {hostile}", exact=True)).to_be_visible()
        escaped = hostile.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        buttons = InlineKeyboardMarkup([[InlineKeyboardButton(hostile[:60], callback_data="x")]])
        await bot.send_message(ANN, f"<b>{escaped}</b><pre>{escaped}</pre>", "HTML", reply_markup=buttons)
        await bot.send_document(ANN, b"<script>document.title='owned'</script>", filename="<b>.html")
        await bot.send_message(ANN, "<a href='tg://user?id=5'>you</a> <a href='data:text/html,x'>data</a>", "HTML")
        await expect(page.get_by_test_id("message")).to_have_count(5)
        log = page.get_by_test_id("messages")
        assert await log.locator("img, script, iframe, [onerror]").count() == 0
        assert await log.locator("a:not([href^='/media/'])").count() == 0
        assert "owned" not in await page.title()
        response = await page.request.get(f"{api.url}/media/{ann.messages[-2].document.unique_id}")  # type: ignore[union-attr]
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["content-type"] == "application/octet-stream"


async def test_formatting_media_replies_and_marks(browser: Browser, api: BotApi, bot: Bot) -> None:
    html = (
        "<i>i</i><u>u</u><s>s</s> <code>0xabc</code> <a href='https://basescan.org/tx/1'>scan</a> 😀<b>after</b>\n"
        "<pre>a  b</pre>\n<blockquote expandable>one\ntwo\nthree\nfour\nfive</blockquote>\n"
        "<tg-spoiler>hidden</tg-spoiler>"
    )
    async with page_of(browser, api) as page:
        await bot.send_message(ANN, html, "HTML", disable_notification=True)
        message = page.get_by_test_id("message").last
        await expect(message.locator("em, u, s, code, pre, blockquote, strong")).to_have_text(
            ["i", "u", "s", "0xabc", "after", "a  b", "one\ntwo\nthree\nfour\nfive"]
        )
        await expect(message.get_by_role("link", name="scan")).to_have_attribute("href", "https://basescan.org/tx/1")
        await expect(message.get_by_role("img", name="sent without sound")).to_be_visible()
        await message.locator("blockquote").click()
        await expect(message.locator("blockquote")).to_have_attribute("aria-expanded", "true")
        await message.get_by_role("button", name="Hidden text").click()
        await expect(message.locator(".spoiler")).to_have_class(re.compile("shown"))
        await message.hover()
        await message.get_by_role("button", name="Reply to Liquidbot").click()
        await say(page, "why?")
        await expect(page.get_by_text("You said: why?")).to_be_visible()
        await expect(page.locator(".reply-quote strong")).to_have_text("Liquidbot")
        await bot.send_photo(ANN, png(300, 200), caption="HF, 24 h")
        await page.get_by_role("button", name="Enlarge the photo").click()
        assert await page.locator("#viewer-image").evaluate("image => image.naturalWidth") == 300
        await page.get_by_role("button", name="Close the photo").click()
        await bot.send_document(ANN, b"a,b\n", filename="audit.csv")
        await expect(page.get_by_role("link", name="audit.csv")).to_be_visible()
        await bot.delete_message(ANN, 1)
        await expect(page.get_by_role("link", name="scan")).to_have_count(0)


async def test_two_persons_and_a_group(browser: Browser, api: BotApi, bot: Bot) -> None:
    api.private_chat(BEN, "Ben")
    room = api.group_chat("Ops room", {ANN: "Ann", BEN: "Ben"})
    async with page_of(browser, api) as page:
        await expect(page.get_by_test_id("chat-row")).to_have_count(2)
        await bot.send_message(room.id, "storm ahead")
        await page.get_by_role("button", name="Ops room, 1 unread").click()
        await say(page, "seen")
        await page.get_by_label("You are").select_option("Ben")
        await page.get_by_role("button", name=re.compile("Ops room")).click()
        await expect(page.get_by_test_id("message").filter(has_text="seen").first).to_contain_text("Ann")
        await say(page, "me too")
        await expect(page.get_by_text("You said: me too")).to_be_visible()
        assert [message.sender.name for message in room.messages] == [
            "Liquidbot",
            "Ann",
            "Liquidbot",
            "Ben",
            "Liquidbot",
        ]
        await bot.send_message(BEN, "only for Ben")
        await page.get_by_test_id("banner").click()
        await expect(page.get_by_test_id("chat-title")).to_have_text("Liquidbot")
        await expect(page.get_by_test_id("text")).to_have_text("only for Ben")
        await expect(page.get_by_test_id("banner")).to_be_hidden()


async def test_it_comes_back_after_an_outage(browser: Browser, api: BotApi, bot: Bot, ann: Chat) -> None:
    async with page_of(browser, api) as page:
        await say(page, "before")
        await expect(page.get_by_text("You said: before")).to_be_visible()
        async with api.outage():
            await expect(page.get_by_test_id("connection")).to_have_text(re.compile("waiting|connecting"))
            await say(page, "kept in the row")
            await expect(page.get_by_test_id("toast")).to_have_text("The server cannot be reached")
            await ann.say("typed elsewhere")
        await expect(page.get_by_test_id("phone")).to_have_attribute("data-connection", "online")
        await expect(page.get_by_text("typed elsewhere", exact=True)).to_be_visible()
        await expect(page.get_by_test_id("composer")).to_have_value("kept in the row")
        await page.get_by_test_id("send").click()
        await expect(page.get_by_text("You said: kept in the row")).to_be_visible()


async def test_a_long_talk_scrolls_and_counts(browser: Browser, api: BotApi, bot: Bot) -> None:
    async with page_of(browser, api) as page:
        for number in range(40):
            await bot.send_message(ANN, f"line {number}")
        await expect(page.get_by_text("line 39", exact=True)).to_be_in_viewport()
        await page.get_by_text("line 0", exact=True).scroll_into_view_if_needed()
        await bot.send_message(ANN, "news below")
        jump = page.get_by_role("button", name="Jump to the latest message")
        await expect(jump).to_contain_text("1")
        await expect(page.get_by_text("news below")).not_to_be_in_viewport()
        await jump.click()
        await expect(page.get_by_text("news below")).to_be_in_viewport()
        await expect(jump).to_be_hidden()
        await bot.pin_chat_message(ANN, 1)
        await page.get_by_test_id("pinned").click()
        await expect(page.get_by_text("line 0", exact=True).last).to_be_in_viewport()
