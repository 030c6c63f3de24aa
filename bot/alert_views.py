"""Word alerts: one opportunity, and the board of a storm. Pure: from values to HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.amounts import bonus_percent, clock, exact, group, health_factor_floor, percent, usd_half_even
from bot.cards import Button, compose, esc
from core.domain.opportunity import Leg, Opportunity, QuotedLiquidation, SkipReason, State
from core.state.ports import Alert

BASE_CHAIN_ID = 8453
_TOP = 10
_NOTE = 160

_FACES: dict[State, str] = {
    State.DETECTED: "🔴",
    State.CONFIRMED: "🔴",
    State.QUOTED: "🔴",
    State.SIMULATED: "🔴",
    State.REHEARSED: "🧪",
    State.SUBMITTED: "⏳",
    State.LIQUIDATED: "✅",
    State.REVERTED: "❌",
    State.RACED: "⚡",
    State.EXPIRED: "⌛",
    State.SKIPPED: "⏭",
    State.RECOVERED: "🟢",
    State.TAKEN: "⚡",
}

_WORDS: dict[State, str] = {
    State.DETECTED: "detected, being confirmed on chain",
    State.CONFIRMED: "confirmed on chain",
    State.QUOTED: "quoted",
    State.SIMULATED: "simulated",
    State.REHEARSED: "rehearsed · <b>dry run</b>, nothing was sent",
    State.SUBMITTED: "submitted",
    State.LIQUIDATED: "liquidated by us",
    State.REVERTED: "our transaction reverted",
    State.RACED: "somebody else was faster",
    State.EXPIRED: "our transaction expired",
    State.SKIPPED: "skipped",
    State.RECOVERED: "recovered, health factor is 1 or more again",
    State.TAKEN: "liquidated by somebody else",
}

_REASONS: dict[SkipReason, str] = {
    SkipReason.HF_NOT_BELOW_THRESHOLD: "the health factor is not below the threshold",
    SkipReason.USER_NOT_LIQUIDATABLE: "the account cannot be liquidated now",
    SkipReason.STALE_HEAD: "the newest block is too old",
    SkipReason.DEBT_ZERO: "no debt is left",
    SkipReason.NO_EXECUTOR: "this version does not send transactions",
    SkipReason.NO_LIQUIDATION: "no debt and collateral pair can be liquidated",
    SkipReason.UNKNOWN_REVISION: "the protocol's revision is unknown",
    SkipReason.DIVERGED: "our figures and the chain's differ",
}


def opportunity_html(item: Opportunity, chain_id: int) -> str:
    """Return the alert's text: what the account is, what a liquidation would give, and how far we are."""
    figures = item.account
    blocks = [
        f"{_FACES[item.state]} <b>Liquidation opportunity</b> (Real-time) · {item.label}",
        f"User: <code>{esc(item.user)}</code>",
        f"Health factor: <b>{health_factor_floor(figures.health_factor)}</b>",
        f"Trigger: {esc(item.trigger.kind)} ({esc(item.trigger.detail, 80)})",
        f"Block: {group(item.block)}" + (f" · chain {chain_id}" if chain_id != BASE_CHAIN_ID else ""),
        *(_quote_blocks(item.quote) if item.quote else []),
        f"Total debt: {usd_half_even(figures.total_debt_base)}",
        f"Total collateral: {usd_half_even(figures.total_collateral_base)}",
        _state_line(item),
    ]
    return compose(blocks)


def opportunity_buttons(item: Opportunity, chain_id: int) -> tuple[tuple[Button, ...], ...]:
    """Return what a thumb wants with an alert: the address copied, and the explorer where there is one."""
    row = [Button("📋 Copy address", copy=item.user)]
    if chain_id == BASE_CHAIN_ID:
        row.append(Button("🔎 BaseScan", url=f"https://basescan.org/address/{item.user}"))
    return (tuple(row),)


def _quote_blocks(quote: QuotedLiquidation) -> list[str]:
    fee = f"Protocol fee: {_tokens(quote.collateral, quote.protocol_fee)}, already taken off"
    return [
        f"Debt to cover: {_leg(quote.debt)}",
        f"Collateral: {_leg(quote.collateral)}",
        f"Bonus {bonus_percent(quote.liquidation_bonus)} · close factor {percent(quote.close_factor)}",
        fee if quote.protocol_fee else "",
        f"Profit estimate: <b>~{usd_half_even(quote.profit_base)}</b>",
        f"(gas of {usd_half_even(quote.gas_base)} taken off, a swap not)",
        "⚠️ Covering it leaves bad debt behind" if quote.creates_deficit else "",
    ]


def _leg(leg: Leg) -> str:
    return f"{_tokens(leg, leg.amount)} ({usd_half_even(leg.base)})"


def _tokens(leg: Leg, amount: int) -> str:
    return f"{exact(amount, leg.decimals)} {esc(leg.symbol, 16)}"


def _state_line(item: Opportunity) -> str:
    reason = f": {_REASONS[item.reason]} (<code>{item.reason}</code>)" if item.reason else ""
    note = f" · {esc(item.note, _NOTE)}" if item.note else ""
    return f"State: {_WORDS[item.state]}{reason}{note}"


def board_html(alerts: Sequence[Alert], chain_id: int) -> str:
    """Return the storm's board: counts by state, sums, and the ten most profitable, each with its health factor.

    `alerts` are in the order they were opened; there is at least one.
    """
    items = [alert.opportunity for alert in alerts]
    states = Counter(item.state for item in items)
    debt = sum(item.account.total_debt_base for item in items)
    profit = sum(max(0, item.quote.profit_base) for item in items if item.quote)
    best = sorted(items, key=lambda item: (-_profit(item), item.account.health_factor, item.id))[:_TOP]
    began, last = clock(alerts[0].opened_at), clock(alerts[-1].opened_at)
    blocks = [
        f"🌩 <b>Storm board</b> (Real-time) · {group(len(items))} account{'s' if len(items) > 1 else ''} fell below 1",
        f"Opened {began} to {last}",
        " · ".join(f"{_FACES[state]} {state} {count}" for state, count in sorted(states.items(), key=_by_count)),
        f"Total debt: {usd_half_even(debt)}",
        f"Expected profit: <b>~{usd_half_even(profit)}</b>",
        f"Top {len(best)} by profit:",
        *(_board_row(item, chain_id) for item in best),
    ]
    return compose(blocks)


def _by_count(pair: tuple[State, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _profit(item: Opportunity) -> int:
    return item.quote.profit_base if item.quote else 0


def _board_row(item: Opportunity, chain_id: int) -> str:
    """Return one row: its label leads to the explorer, or the address stands below it to be copied."""
    label, below = item.label, f"\n<code>{esc(item.user)}</code>"
    if chain_id == BASE_CHAIN_ID:
        label, below = f'<a href="https://basescan.org/address/{esc(item.user)}">{label}</a>', ""
    gain = f"~{usd_half_even(_profit(item))}" if item.quote else "not quoted"
    return f"{_FACES[item.state]} {label} · HF {health_factor_floor(item.account.health_factor)} · {gain}{below}"
