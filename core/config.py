"""Settings: the only reader of the environment, one frozen section per part.

A setting's name is the environment variable in lower case. A value that is unknown or out of range stops the process
with one line that names the variable, the value and what is allowed. In an `.env` file an unknown name is refused too,
and a line that is not NAME=value, since a misspelt limit is a limit that does not hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.units import Address, BaseUsd, Wad
from core.env_file import read_env_file
from core.errors import ConfigError

LATER: dict[str, Any] = {"later": True}
"""Marks a setting of a part that this version does not have: it is read and checked, and setting it logs a warning."""


def _address(text: str) -> Address:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ValueError("allowed: 0x and 40 hex digits")
    return Address(text.lower())


def _url(*schemes: str) -> AfterValidator:
    def check(text: str) -> str:
        if text and not re.match(rf"({'|'.join(schemes)})://[^\s/]+", text):
            raise ValueError(f"allowed: an address that starts with {' or '.join(s + '://' for s in schemes)}")
        return text

    return AfterValidator(check)


def _commas(text: Any) -> Any:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


ChainAddress = Annotated[Address, AfterValidator(_address)]
TELEGRAM_ID_MAX = 2**52
"""Telegram's ids have at most 52 significant bits (Bot API, User.id and Chat.id)."""
HttpUrls = Annotated[tuple[Annotated[str, _url("http", "https")], ...], BeforeValidator(_commas)]
SocketUrl = Annotated[str, _url("ws", "wss")]


class Role(IntEnum):
    """Order what an operator may do."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """Name a person who may talk to the bot, by Telegram's numeric user id."""

    id: int
    role: Role


def _operators(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    operators = tuple(_operator(part) for part in _commas(text))
    ids = [operator.id for operator in operators]
    if twice := next((number for number in ids if ids.count(number) > 1), None):
        raise ValueError(f"allowed: each user id once, and {twice} is there {ids.count(twice)} times")
    return operators


def _operator(part: str) -> OperatorEntry:
    number, _, role = part.partition(":")
    roles = {r.name.lower(): r for r in Role}
    if not re.fullmatch(r"[0-9]+", number.strip()) or role.strip().lower() not in roles:
        raise ValueError("allowed: comma-separated ID:ROLE, a numeric user id and viewer, operator or admin")
    return OperatorEntry(_telegram_id(number.strip()), roles[role.strip().lower()])


def _telegram_id(text: str) -> int:
    digits = text.removeprefix("-").lstrip("0")
    if not digits or len(digits) > len(str(TELEGRAM_ID_MAX)) or int(digits) > TELEGRAM_ID_MAX:
        raise ValueError(f"allowed: Telegram's ids, from 1 to {TELEGRAM_ID_MAX} (a group's with a minus)")
    return int(text)


def _chat_ids(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    parts = _commas(text)
    if not all(re.fullmatch(r"-?[0-9]+", part) for part in parts):
        raise ValueError("allowed: comma-separated numeric chat ids")
    return tuple(_telegram_id(part) for part in parts)


def _feeds(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    pairs = [part.partition(":") for part in _commas(text)]
    if not all(symbol and feed for symbol, _, feed in pairs):
        raise ValueError("allowed: comma-separated SYMBOL:0xFEED")
    return tuple((symbol.strip().upper(), _address(feed.strip())) for symbol, _, feed in pairs)


class Section(BaseSettings):
    """Be the base of every section: frozen, and silent about secrets in its repr and its errors."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        enable_decoding=False,
        hide_input_in_errors=True,
        validate_default=False,
    )

    def __repr_args__(self) -> Iterator[tuple[str, str]]:
        """Yield each value as `shown` prints it, so that no repr holds a key."""
        return ((name, shown(getattr(self, name))) for name in type(self).model_fields)


class ChainSettings(Section):
    """Chain and contracts"""

    chain_id: int = Field(8453, ge=1, description="The chain that the endpoints must serve (8453: Base).")
    rpc_url: HttpUrls = Field((), description="HTTP endpoints, comma-separated; the next one is used when one fails.")
    ws_rpc_url: SocketUrl = Field("", description="WebSocket endpoint; empty: HTTP polling, slower.")
    pool_addresses_provider: ChainAddress = Field(
        Address("0xe20fcbdbffc4dd138ce8b2e6fbb6cb49777ad64d"),
        description="Aave's PoolAddressesProvider; everything else is found from it.",
    )
    aave_pool: Annotated[str, AfterValidator(lambda v: _address(v) if v else "")] = Field(
        "", description="If given, the pool that the provider must name (an assertion)."
    )
    multicall3_address: ChainAddress = Field(
        Address("0xca11bde05977b3631167028862be2a173976ca11"), description="Multicall3."
    )
    start_block: int = Field(2357114, ge=0, description="First block whose logs may name a borrower (Aave's on Base).")
    borrowers_file: str = Field("", description="Read borrowers from this file (an address a line) instead of logs.")
    chainlink_feeds: Annotated[tuple[tuple[str, Address], ...], BeforeValidator(_feeds)] = Field(
        (), description="Extra price feeds to listen to, SYMBOL:0xFEED; the rest is discovered from Aave's oracle."
    )
    poll_interval_sec: float = Field(
        10.0, ge=0.1, le=600, description="Time between polls where there is no WebSocket."
    )


class DetectionSettings(Section):
    """Detection"""

    use_realtime_hf: bool = Field(True, description="Live detection; false polls over HTTP only.")
    execution_hf_threshold_bps: int = Field(
        10_000, ge=5_000, le=10_000, description="Act below this health factor (10000: 1.0, the protocol's line)."
    )
    hf_threshold_start: Decimal = Field(
        Decimal("1.05"), gt=1, le=10, description="Watch accounts below this health factor."
    )
    min_debt_usd: Decimal = Field(Decimal(50), ge=0, le=10**9, description="Ignore accounts that owe less (USD).")
    riskset_max_users: int = Field(5_000, ge=500, le=1_000_000, description="Cap of the watch list; the worst stay.")
    candidate_max: int = Field(300, ge=10, le=100_000, description="Cap of the hot set inside the watch list.")
    universe_max_candidates: int = Field(
        100_000, ge=100, le=10_000_000, description="Cap of discovered borrowers; reaching it is said aloud."
    )
    borrowers_index_chunk_blocks: int = Field(2_000, ge=1, le=1_000_000, description="Blocks per log request.")
    stale_head_sec: float = Field(
        10.0, ge=1, le=600, description="A head older than this is stale: nothing is acted upon."
    )
    drift_halt_bps: int = Field(
        100, ge=1, le=10_000, description="Nothing is executed while a larger share of audited accounts drifts."
    )
    use_flashblocks: bool = Field(
        False,
        description="Poll the pending block for hints; on Base, with blocks of 200 ms, it warns and changes nothing.",
    )
    flashblocks_ws_url: SocketUrl = Field("", description="Was used by USE_FLASHBLOCKS.", json_schema_extra=LATER)
    flashblocks_tick_ms: int = Field(
        250, ge=50, le=10_000, description="Time between looks at the pending block (milliseconds)."
    )
    realtime_seed_interval_sec: int = Field(
        45, ge=5, le=86_400, description="Subgraph seeding interval.", json_schema_extra=LATER
    )
    realtime_initial_backfill_enabled: bool = Field(
        False, description="Fill the borrowers index from logs at the start, too; known positions are always in it."
    )
    reserve_recheck_top_n: int = Field(
        400, ge=1, le=100_000, description="Largest borrowers of a touched reserve that are compared with the chain."
    )
    micro_verify_enabled: bool = Field(True, description="Check accounts that are about to cross, alone.")
    micro_verify_max_per_block: int = Field(
        25, ge=1, le=10_000, description="Cap of speculative checks a block; suspects are always confirmed."
    )
    micro_verify_interval_ms: int = Field(
        150, ge=0, le=60_000, description="Least time between runs of speculative checks (milliseconds)."
    )
    near_threshold_band_bps: int = Field(
        30, ge=1, le=2_000, description="Band above the threshold that is tracked closely (30: up to 1.0030)."
    )
    reserve_fast_subset_max: int = Field(
        64, ge=1, le=10_000, description="Near-critical borrowers of a touched reserve that are checked first."
    )
    head_critical_batch_size: int = Field(
        120, ge=1, le=10_000, description="Lowest health factors among which a head's critical accounts are sought."
    )

    @property
    def min_debt_base(self) -> BaseUsd:
        """Return MIN_DEBT_USD with the oracle's 8 decimals."""
        return BaseUsd(int(self.min_debt_usd * 10**8))

    @property
    def hf_threshold_start_wad(self) -> Wad:
        """Return HF_THRESHOLD_START as a Wad."""
        return Wad(int(self.hf_threshold_start * 10**18))

    @property
    def hf_threshold_wad(self) -> Wad:
        """Return EXECUTION_HF_THRESHOLD_BPS as a Wad."""
        return Wad(self.execution_hf_threshold_bps * 10**14)


class PredictiveSettings(Section):
    """Prediction and borrowers index"""

    predictive_enabled: bool = Field(True, description="Project health factors ahead and mark the predictions.")
    predictive_hf_buffer_bps: int = Field(
        40, ge=0, le=2_000, description="Candidates are projected below 1 plus this (40: below 1.004)."
    )
    predictive_max_users_per_tick: int = Field(
        800, ge=1, le=100_000, description="Accounts projected a run; the lowest health factors are kept."
    )
    predictive_horizon_sec: int = Field(180, ge=1, le=86_400, description="How far ahead to project (seconds).")
    predictive_scenarios: Annotated[tuple[Literal["baseline", "adverse", "extreme"], ...], BeforeValidator(_commas)] = (
        Field(
            ("baseline", "adverse", "extreme"),
            description="baseline: prices go on as they do; adverse, extreme: 1 % and 2 % against each account.",
        )
    )
    predictive_queue_enabled: bool = Field(True, description="Take candidates into the queue.")
    predictive_micro_verify_enabled: bool = Field(True, description="Ask for single checks of candidates.")
    predictive_fastpath_enabled: bool = Field(False, description="Flag candidates that cross for the fast path.")
    borrowers_index_enabled: bool = Field(True, description="Keep who owes in each reserve.")
    borrowers_index_mode: Literal["memory", "sqlite", "redis"] = Field(
        "memory", description="Where the index is kept; redis falls back to memory in this version."
    )
    borrowers_index_redis_url: Annotated[str, _url("redis", "rediss")] = Field(
        "", description="Its Redis.", json_schema_extra=LATER
    )
    borrowers_index_max_users_per_reserve: int = Field(
        3_000, ge=1, le=1_000_000, description="Cap of borrowers a reserve; the largest debts stay."
    )
    borrowers_index_backfill_blocks: int = Field(
        0, ge=0, description="How far back its logs are read; 0: from START_BLOCK."
    )


class ExecutionSettings(Section):
    """Execution"""

    execution_enabled: bool = Field(False, description="Let operators switch dry run off at all.")
    dry_run_execution: bool = Field(True, description="Force dry run; false permits /dryrun off, it never arms.")
    close_factor_mode: Literal["auto", "fixed50"] = Field(
        "auto", description="auto: the deployed rules; fixed50: half."
    )
    min_profit_after_gas_usd: Decimal = Field(
        Decimal(10), ge=0, le=10**6, description="Least profit to act on (USD).", json_schema_extra=LATER
    )
    max_position_size_usd: Decimal = Field(
        Decimal(1_000), gt=0, le=10**9, description="Largest debt to cover (USD).", json_schema_extra=LATER
    )
    sprinter_enabled: bool = Field(False, description="Prepare plans ahead.", json_schema_extra=LATER)
    prestage_hf_bps: int = Field(10_200, ge=10_000, le=20_000, description="Prepare below.", json_schema_extra=LATER)
    sprinter_max_prestaged: int = Field(1_000, ge=1, description="Cap of plans.", json_schema_extra=LATER)
    sprinter_stale_blocks: int = Field(100, ge=1, description="Plans older are dropped.", json_schema_extra=LATER)
    optimistic_enabled: bool = Field(False, description="Send without confirming.", json_schema_extra=LATER)
    execution_keystore: str = Field("", description="Encrypted keystore file.", json_schema_extra=LATER)
    execution_keystore_password: SecretStr = Field(SecretStr(""), description="Its password.", json_schema_extra=LATER)
    execution_private_key: SecretStr = Field(SecretStr(""), description="Key in hex.", json_schema_extra=LATER)


class SubgraphSettings(Section):
    """Subgraph"""

    graph_api_key: SecretStr = Field(SecretStr(""), description="The Graph's gateway key.", json_schema_extra=LATER)
    subgraph_deployment_id: str = Field(
        "GQFbb95cE6d8mV989mL5figjaGaKCQB3xqYrr1bRyXqF",
        description="Subgraph id (the seeds' name says deployment).",
        json_schema_extra=LATER,
    )
    subgraph_url: Annotated[str, _url("http", "https")] = Field("", description="GraphQL URL.", json_schema_extra=LATER)
    poll_limit: int = Field(5, ge=1, le=1_000, description="Liquidations per poll.", json_schema_extra=LATER)
    liquidation_track_max: int = Field(5_000, ge=1, description="Ids remembered.", json_schema_extra=LATER)
    ignore_bootstrap_batch: bool = Field(True, description="Do not tell of the first batch.", json_schema_extra=LATER)


class StoreSettings(Section):
    """State"""

    state_db: str = Field("liquidbot.db", min_length=1, description="SQLite file that worker and bot share.")
    redis_url: Annotated[str, _url("redis", "rediss")] = Field("", description="Redis store.", json_schema_extra=LATER)
    redis_enable_pipelining: bool = Field(True, description="Pipeline commands.", json_schema_extra=LATER)
    redis_max_pipeline: int = Field(500, ge=1, le=10_000, description="Commands a pipeline.", json_schema_extra=LATER)


class TelegramSettings(Section):
    """Telegram"""

    telegram_bot_token: SecretStr = Field(SecretStr(""), description="From @BotFather.")
    telegram_api_url: Annotated[str, _url("http", "https")] = Field(
        "https://api.telegram.org", description="Bot API server."
    )
    telegram_chat_ids: Annotated[tuple[int, ...], BeforeValidator(_chat_ids)] = Field(
        (), description="Chats that get alerts; empty: the private chats of all operators."
    )
    telegram_operators: Annotated[tuple[OperatorEntry, ...], BeforeValidator(_operators)] = Field(
        (), description="Who may talk to the bot, ID:ROLE with viewer, operator or admin; empty: nobody."
    )


class OpsSettings(Section):
    """Ports and logs"""

    worker_http_port: int = Field(9100, ge=0, le=65_535, description="/metrics /health /ready of the worker; 0: off.")
    bot_http_port: int = Field(9101, ge=0, le=65_535, description="The same of the bot; 0: off.")
    http_token: SecretStr = Field(SecretStr(""), description="Bearer token for all but /health; empty: none.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity logged.")
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for eyes.")


class Source(StrEnum):
    """Name where a value came from."""

    ENVIRONMENT = "environment"
    FILE = ".env"
    DEFAULT = "default"


SECTIONS: dict[str, type[Section]] = {
    "chain": ChainSettings,
    "detection": DetectionSettings,
    "predictive": PredictiveSettings,
    "execution": ExecutionSettings,
    "subgraph": SubgraphSettings,
    "store": StoreSettings,
    "telegram": TelegramSettings,
    "ops": OpsSettings,
}


@dataclass(frozen=True)
class Settings:
    """Hold every section, and where each value came from."""

    chain: ChainSettings
    detection: DetectionSettings
    predictive: PredictiveSettings
    execution: ExecutionSettings
    subgraph: SubgraphSettings
    store: StoreSettings
    telegram: TelegramSettings
    ops: OpsSettings
    sources: Mapping[str, Source]

    @classmethod
    def load(cls, env_file: str = ".env") -> Settings:
        """Read the environment over `env_file`; raise ConfigError for the first value that is not allowed."""
        in_file = read_env_file(env_file, _names())
        outside = {name.upper(): value for name, value in os.environ.items() if value and name.upper() in _names()}
        here = dict.fromkeys(in_file, Source.FILE) | dict.fromkeys(outside, Source.ENVIRONMENT)
        given = in_file | outside
        sections: dict[str, Any] = {key: _section(kind, env_file, given) for key, kind in SECTIONS.items()}
        return cls(**sections, sources={name: here.get(name, Source.DEFAULT) for name in _names()})

    def rows(self) -> Iterator[tuple[str, str, Source, str]]:
        """Yield (name, value with secrets masked, source, description) of every setting, in order."""
        for key, kind in SECTIONS.items():
            section = getattr(self, key)
            for field, info in kind.model_fields.items():
                yield field.upper(), shown(getattr(section, field)), self.sources[field.upper()], info.description or ""

    def secrets(self) -> Iterator[str]:
        """Yield every secret that is set, for a log's redactor."""
        for value in self._values():
            if isinstance(value, SecretStr) and value.get_secret_value():
                yield value.get_secret_value()

    def urls(self) -> Iterator[str]:
        """Yield every URL that is set: what is behind the host may be secret."""
        for value in self._values():
            parts = value if isinstance(value, tuple) else (value,)
            yield from (part for part in parts if isinstance(part, str) and "://" in part)

    def unused(self) -> list[str]:
        """Return the names of settings that were set but belong to parts this version does not have."""
        extras = {n.upper() for kind in SECTIONS.values() for n, f in kind.model_fields.items() if is_later(f)}
        return sorted(name for name in extras if self.sources[name] is not Source.DEFAULT)

    def _values(self) -> Iterator[Any]:
        for key, kind in SECTIONS.items():
            yield from (getattr(getattr(self, key), field) for field in kind.model_fields)


def is_later(info: FieldInfo) -> bool:
    """Tell whether a setting belongs to a part that this version does not have."""
    return info.json_schema_extra is LATER


def shown(value: Any) -> str:
    """Return a setting's value as people read it: secrets masked, credentials cut out of URLs."""
    if isinstance(value, SecretStr):
        return "••••" if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(":".join(part) if isinstance(part, tuple) else shown(part) for part in value)
    if isinstance(value, OperatorEntry):
        return f"{value.id}:{value.role.name.lower()}"
    return host_of(value) if isinstance(value, str) and "://" in value else str(value)


def host_of(url: str) -> str:
    """Return scheme and host of a URL: keys hide in the user part, in the path and in the query."""
    match = re.match(r"(\w+)://(?:[^@/\s]*@)?([^/?#\s]+)", url)
    return f"{match[1]}://{match[2]}" if match else "(not a URL)"


def env_example() -> str:
    """Return the text of .env.example: every setting with its meaning, commented out at its default."""
    lines = ["# Every setting, at its default. Copy to .env and uncomment what you change."]
    for kind in SECTIONS.values():
        lines += ["", f"# --- {kind.__doc__} ---"]
        for field, info in kind.model_fields.items():
            later = " (read, but not used by this version)" if is_later(info) else ""
            default = shown(info.default) if not isinstance(info.default, str) else info.default
            lines += [f"# {info.description}{later}", f"#{field.upper()}={default}"]
    return "\n".join(lines) + "\n"


def _names() -> list[str]:
    return [field.upper() for kind in SECTIONS.values() for field in kind.model_fields]


def _section(kind: type[Section], env_file: str, given: Mapping[str, str]) -> Section:
    try:
        return kind(_env_file=env_file)  # type: ignore[call-arg]  # a pydantic-settings keyword that mypy cannot see
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        raise ConfigError(_one_line(field, given[field.upper()], kind.model_fields[field], first["msg"])) from None


def _one_line(field: str, given: str, info: FieldInfo, message: str) -> str:
    value = "••••" if info.annotation is SecretStr else given
    if "://" in value or "://" in message:  # a URL was given, or is what was wanted
        value = ",".join(map(_harmless, _commas(given)))
    return f"{field.upper()}={value}: allowed: {_allowed(info, message)}"


def _harmless(text: str) -> str:
    """Return what may be shown of a text that should have been a URL, also when its scheme was forgotten."""
    scheme, mark, rest = text.partition("://") if "://" in text else ("", "", text)
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return scheme + mark + host if re.fullmatch(r"[\w.-]+(:\d+)?", host) else "(not a URL)"


def _allowed(info: FieldInfo, message: str) -> str:
    choices = [str(choice) for choice in _choices(info.annotation)]
    if choices:
        return ", ".join(choices)
    if info.annotation is bool:
        return "true or false"
    if info.annotation in (int, float, Decimal):
        return " and ".join(["a whole number" if info.annotation is int else "a number", *_bounds(info)])
    return message.removeprefix("Value error, ").removeprefix("allowed: ")


def _bounds(info: FieldInfo) -> Iterator[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "min_length": "not empty, length at least"}
    for bound in info.metadata:
        for name, word in words.items():
            if hasattr(bound, name):
                yield f"{word} {getattr(bound, name)}"


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := _choices(part))), ())
