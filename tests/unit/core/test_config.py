"""Settings: every wrong value is refused in one line, and no secret ever leaves by a repr, a row or an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.config import SECTIONS, OperatorEntry, Role, Settings, Source, env_example, host_of, is_later, shown
from core.errors import ConfigError

NAMES = [field.upper() for kind in SECTIONS.values() for field in kind.model_fields]
FEED = "0x" + "Ab" * 20
IDS = f"allowed: Telegram's ids, from 1 to {2**52} (a group's with a minus)"
SECRET = "s3cr3t-never-to-be-seen"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Run each test where no setting is set and no .env lies about."""
    for name in [name for name in os.environ if name.upper() in NAMES]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def load(environment: pytest.MonkeyPatch, **given: str) -> Settings:
    for name, value in given.items():
        environment.setenv(name, value)
    return Settings.load()


def test_without_anything_set_every_default_holds() -> None:
    settings = Settings.load()
    assert {source for _, _, source, _ in settings.rows()} == {Source.DEFAULT}
    assert [name for name, _, _, _ in settings.rows()] == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert all(description for _, _, _, description in settings.rows())
    assert settings.unused() == []
    assert list(settings.secrets()) == []
    assert (settings.chain.chain_id, settings.detection.hf_threshold_wad) == (8453, 10**18)
    assert settings.detection.min_debt_base == 50 * 10**8
    assert settings.detection.hf_threshold_start_wad == 105 * 10**16
    assert (settings.execution.execution_enabled, settings.execution.dry_run_execution) == (False, True)


def test_every_kind_of_value_is_read(environment: pytest.MonkeyPatch) -> None:
    settings = load(
        environment,
        CHAIN_ID="31337",
        RPC_URL="http://one:1/a, https://two/b ,",
        WS_RPC_URL="wss://one/x",
        AAVE_POOL=FEED,
        CHAINLINK_FEEDS=f"eth:{FEED},BTC:{FEED}",
        POLL_INTERVAL_SEC="0.5",
        MIN_DEBT_USD="12.34567891",
        EXECUTION_HF_THRESHOLD_BPS="9950",
        USE_REALTIME_HF="false",
        PREDICTIVE_SCENARIOS="baseline,extreme",
        CLOSE_FACTOR_MODE="fixed50",
        TELEGRAM_CHAT_IDS="12, -100987",
        TELEGRAM_OPERATORS="1:ADMIN, 22:viewer,3:operator",
        LOG_FORMAT="text",
    )
    low = FEED.lower()
    assert settings.chain.rpc_url == ("http://one:1/a", "https://two/b")
    assert (settings.chain.ws_rpc_url, settings.chain.aave_pool) == ("wss://one/x", low)
    assert settings.chain.chainlink_feeds == (("ETH", low), ("BTC", low))
    assert settings.chain.poll_interval_sec == 0.5
    assert settings.detection.min_debt_base == 1_234_567_891
    assert settings.detection.hf_threshold_wad == 995 * 10**15
    assert settings.detection.use_realtime_hf is False
    assert settings.predictive.predictive_scenarios == ("baseline", "extreme")
    assert settings.execution.close_factor_mode == "fixed50"
    assert settings.telegram.telegram_chat_ids == (12, -100987)
    assert settings.telegram.telegram_operators == (
        OperatorEntry(1, Role.ADMIN),
        OperatorEntry(22, Role.VIEWER),
        OperatorEntry(3, Role.OPERATOR),
    )
    rows = {name: (value, source) for name, value, source, _ in settings.rows()}
    assert rows["RPC_URL"] == ("http://one:1,https://two", Source.ENVIRONMENT)
    assert rows["CHAINLINK_FEEDS"][0] == f"ETH:{low},BTC:{low}"
    assert rows["TELEGRAM_OPERATORS"][0] == "1:admin,22:viewer,3:operator"
    assert rows["TELEGRAM_CHAT_IDS"][0] == "12,-100987"
    assert rows["USE_REALTIME_HF"][0] == "false"
    assert rows["STATE_DB"] == ("liquidbot.db", Source.DEFAULT)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("CHAIN_ID", "base", "CHAIN_ID=base: allowed: a whole number and at least 1"),
        ("CHAIN_ID", "0", "CHAIN_ID=0: allowed: a whole number and at least 1"),
        ("POOL_ADDRESSES_PROVIDER", "0x12", "POOL_ADDRESSES_PROVIDER=0x12: allowed: 0x and 40 hex digits"),
        ("AAVE_POOL", "pool", "AAVE_POOL=pool: allowed: 0x and 40 hex digits"),
        ("CHAINLINK_FEEDS", "ETH", "CHAINLINK_FEEDS=ETH: allowed: comma-separated SYMBOL:0xFEED"),
        ("CHAINLINK_FEEDS", "ETH:0x1", "CHAINLINK_FEEDS=ETH:0x1: allowed: 0x and 40 hex digits"),
        ("POLL_INTERVAL_SEC", "0", "POLL_INTERVAL_SEC=0: allowed: a number and at least 0.1 and at most 600"),
        (
            "EXECUTION_HF_THRESHOLD_BPS",
            "10001",
            "EXECUTION_HF_THRESHOLD_BPS=10001: allowed: a whole number and at least 5000 and at most 10000",
        ),
        (
            "HF_THRESHOLD_START",
            "1",
            "HF_THRESHOLD_START=1: allowed: a number and above 1 and at most 10",
        ),
        ("MIN_DEBT_USD", "-1", "MIN_DEBT_USD=-1: allowed: a number and at least 0 and at most 1000000000"),
        ("MIN_DEBT_USD", "nan", "MIN_DEBT_USD=nan: allowed: a number and at least 0 and at most 1000000000"),
        ("USE_REALTIME_HF", "maybe", "USE_REALTIME_HF=maybe: allowed: true or false"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=loud: allowed: debug, info, warning, error"),
        ("CLOSE_FACTOR_MODE", "all", "CLOSE_FACTOR_MODE=all: allowed: auto, fixed50"),
        ("PREDICTIVE_SCENARIOS", "wild", "PREDICTIVE_SCENARIOS=wild: allowed: baseline, adverse, extreme"),
        ("BORROWERS_INDEX_MODE", "disk", "BORROWERS_INDEX_MODE=disk: allowed: memory, sqlite, redis"),
        ("POLL_LIMIT", "0", "POLL_LIMIT=0: allowed: a whole number and at least 1 and at most 1000"),
        ("TELEGRAM_CHAT_IDS", "@ops", "TELEGRAM_CHAT_IDS=@ops: allowed: comma-separated numeric chat ids"),
        (
            "TELEGRAM_OPERATORS",
            "ann:admin",
            "TELEGRAM_OPERATORS=ann:admin: allowed: comma-separated ID:ROLE, a numeric user id and viewer, operator "
            "or admin",
        ),
        (
            "TELEGRAM_OPERATORS",
            "1:root",
            "TELEGRAM_OPERATORS=1:root: allowed: comma-separated ID:ROLE, a numeric user id and viewer, operator or "
            "admin",
        ),
        ("TELEGRAM_CHAT_IDS", "12,\u0663", "TELEGRAM_CHAT_IDS=12,\u0663: allowed: comma-separated numeric chat ids"),
        ("TELEGRAM_CHAT_IDS", f"1,-{2**52 + 1}", f"TELEGRAM_CHAT_IDS=1,-{2**52 + 1}: {IDS}"),
        ("TELEGRAM_CHAT_IDS", "9" * 5_000, f"TELEGRAM_CHAT_IDS={'9' * 5_000}: {IDS}"),
        ("TELEGRAM_CHAT_IDS", "0", f"TELEGRAM_CHAT_IDS=0: {IDS}"),
        (
            "TELEGRAM_OPERATORS",
            "\u00b2:admin",
            "TELEGRAM_OPERATORS=\u00b2:admin: allowed: comma-separated ID:ROLE, a numeric user id and viewer, operator "
            "or admin",
        ),
        ("TELEGRAM_OPERATORS", f"{2**52 + 1}:admin", f"TELEGRAM_OPERATORS={2**52 + 1}:admin: {IDS}"),
        (
            "TELEGRAM_OPERATORS",
            "7:admin,8:viewer,07:viewer",
            "TELEGRAM_OPERATORS=7:admin,8:viewer,07:viewer: allowed: each user id once, and 7 is there 2 times",
        ),
        (
            "WORKER_HTTP_PORT",
            "70000",
            "WORKER_HTTP_PORT=70000: allowed: a whole number and at least 0 and at most 65535",
        ),
        ("REDIS_URL", "http://h", "REDIS_URL=http://h: allowed: an address that starts with redis:// or rediss://"),
        ("WS_RPC_URL", "http://h", "WS_RPC_URL=http://h: allowed: an address that starts with ws:// or wss://"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_value_and_what_is_allowed(
    environment: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environment, **{name: value})
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("name", "value", "shows"),
    [
        ("RPC_URL", f"wss://user:{SECRET}@node.example/v3/{SECRET}?key={SECRET}", "wss://node.example"),
        ("RPC_URL", f"node.example/v3/{SECRET}", "node.example"),
        ("RPC_URL", f"https://good.example/{SECRET},node.example/v3/{SECRET}", "https://good.example,node.example"),
        ("RPC_URL", f"https://good.example/{SECRET},ftp://u:{SECRET}@bad/x", "https://good.example,ftp://bad"),
        ("WS_RPC_URL", f"node.example?key={SECRET}", "node.example"),
        ("WS_RPC_URL", f"user:{SECRET}@node.example/", "node.example"),
        ("REDIS_URL", f"redi://:{SECRET}@cache", "redi://cache"),
        ("SUBGRAPH_URL", f"htp://gateway/{SECRET}?u=http://{SECRET}", "htp://gateway"),
        ("SUBGRAPH_URL", f"gateway/api/{SECRET}/id", "gateway"),
    ],
)
def test_no_credential_is_in_the_line(environment: pytest.MonkeyPatch, name: str, value: str, shows: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environment, **{name: value})
    assert str(refused.value).startswith(f"{name}={shows}: allowed: an address that starts with ")
    assert SECRET not in str(refused.value)


def test_an_unknown_name_in_the_file_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    for wrong, meant in (("MIN_DEPT_USD", "MIN_DEBT_USD"), ("log_level", "LOG_LEVEL")):
        (tmp_path / ".env").write_text(f"CHAIN_ID=1\n{wrong}=5\n")
        with pytest.raises(ConfigError) as refused:
            Settings.load()
        assert str(refused.value) == f"{wrong} in .env: there is no such setting; did you mean {meant}?"
    (tmp_path / ".env").write_text("QQQ=5\n")
    with pytest.raises(ConfigError, match=r"^QQQ in \.env: there is no such setting$"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"CHAIN_ID=1\n\n\n# mine\n\nHTTP_TOKEN {SECRET}\nCHAIN_ID=2\n", 6),
        (f'HTTP_TOKEN="{SECRET}\nCHAIN_ID=1\n', 1),
        (f"CHAIN_ID=1\r\n\r\nHTTP_TOKEN='{SECRET}' x\r\n", 3),
        ("CHAIN_ID=1\nMIN_DEBT_USD\n", 2),
        ("=5\n", 1),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    with pytest.raises(ConfigError) as refused:
        Settings.load()
    assert str(refused.value) == f".env line {line}: allowed: NAME=value, quotes closed, or # and a comment"


def test_a_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    for raw, byte in ((b"CHAIN_ID=1\n# caf\xe9\n", 16), ("CHAIN_ID=1\n".encode("utf-16"), 0)):
        (tmp_path / ".env").write_bytes(raw)
        with pytest.raises(ConfigError) as refused:
            Settings.load()
        assert str(refused.value) == f".env is not text in UTF-8 (byte {byte}): save it as UTF-8"


def test_the_largest_ids_and_marks_of_other_tools_are_read(tmp_path: Path) -> None:
    text = f"\ufeffCHAIN_ID=1\nTELEGRAM_CHAT_IDS=-{2**52},{2**52}\nTELEGRAM_OPERATORS={2**52}:admin\n"
    (tmp_path / ".env").write_text(text, "utf-8")
    settings = Settings.load()
    assert settings.chain.chain_id == 1
    assert settings.telegram.telegram_chat_ids == (-(2**52), 2**52)
    assert settings.telegram.telegram_operators == (OperatorEntry(2**52, Role.ADMIN),)


def test_the_environment_is_over_the_file(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("# mine\nMIN_DEBT_USD=7\nexport LOG_LEVEL=debug\nHF_THRESHOLD_START=\n")
    settings = load(environment, MIN_DEBT_USD="8", UNRELATED="1")
    rows = {name: (value, source) for name, value, source, _ in settings.rows()}
    assert rows["MIN_DEBT_USD"] == ("8", Source.ENVIRONMENT)
    assert rows["LOG_LEVEL"] == ("debug", Source.FILE)
    assert rows["HF_THRESHOLD_START"] == ("1.05", Source.DEFAULT)


def test_a_wrong_value_in_the_file_is_told_alike(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CANDIDATE_MAX=few\n")
    with pytest.raises(ConfigError, match=r"^CANDIDATE_MAX=few: allowed: a whole number and at least 10"):
        Settings.load()


def test_a_name_in_lower_case_counts_in_the_environment(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment, min_debt_usd="9")
    assert settings.detection.min_debt_usd == 9
    assert settings.sources["MIN_DEBT_USD"] is Source.ENVIRONMENT
    with pytest.raises(ConfigError, match=r"^MIN_DEBT_USD=x: allowed: a number"):
        load(environment, min_debt_usd="x")


def test_no_repr_and_no_row_holds_a_secret(environment: pytest.MonkeyPatch) -> None:
    settings = load(
        environment,
        RPC_URL=f"https://u:{SECRET}@a.example/{SECRET},https://b.example/?k={SECRET}",
        WS_RPC_URL=f"wss://a.example/{SECRET}",
        REDIS_URL=f"rediss://:{SECRET}@cache:6379",
        TELEGRAM_BOT_TOKEN=SECRET,
        HTTP_TOKEN=f"{SECRET}-http",
        GRAPH_API_KEY=f"{SECRET}-graph",
        EXECUTION_PRIVATE_KEY=f"{SECRET}-key",
        EXECUTION_KEYSTORE_PASSWORD=f"{SECRET}-password",
    )
    assert SECRET not in repr(settings)
    assert SECRET not in "".join(repr(getattr(settings, key)) + str(getattr(settings, key)) for key in SECTIONS)
    rows = {name: value for name, value, _, _ in settings.rows()}
    assert SECRET not in "".join(rows.values())
    assert rows["TELEGRAM_BOT_TOKEN"] == "••••"
    assert rows["RPC_URL"] == "https://a.example,https://b.example"
    assert set(settings.secrets()) == {SECRET, *(f"{SECRET}-{end}" for end in ("http", "graph", "key", "password"))}
    urls = set(settings.urls())
    assert {f"wss://a.example/{SECRET}", f"rediss://:{SECRET}@cache:6379", "https://api.telegram.org"} <= urls
    assert {f"https://u:{SECRET}@a.example/{SECRET}", f"https://b.example/?k={SECRET}"} <= urls


def test_what_is_set_for_a_later_version_is_named(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment, SPRINTER_ENABLED="true", CHAIN_ID="1", POLL_LIMIT="7")
    assert settings.unused() == ["POLL_LIMIT", "SPRINTER_ENABLED"]


def test_settings_do_not_change_afterwards() -> None:
    settings = Settings.load()
    with pytest.raises(ValueError, match="frozen"):
        settings.chain.chain_id = 2


def test_the_example_is_the_defaults_in_the_order_of_the_sections(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    text = env_example()
    assert [
        line[1:].partition("=")[0] for line in text.splitlines() if line[:1] == "#" and line[1:2].isupper()
    ] == NAMES
    later = [field for kind in SECTIONS.values() for field, info in kind.model_fields.items() if is_later(info)]
    assert text.count("(read, but not used by this version)") == len(later) > 15
    uncommented = [line[1:] if line[:1] == "#" and line[1:2].isupper() else line for line in text.splitlines()]
    (tmp_path / ".env").write_text("\n".join(uncommented))
    settings = Settings.load()
    (tmp_path / ".env").unlink()
    fresh = Settings.load()
    assert [(name, value) for name, value, _, _ in settings.rows()] == [(n, v) for n, v, _, _ in fresh.rows()]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pass@host:1/path?query#part", "https://host:1"),
        ("wss://host", "wss://host"),
        ("redis://:pass@host/0", "redis://host"),
        ("not an address", "(not a URL)"),
    ],
)
def test_host_of_leaves_what_may_be_secret(url: str, host: str) -> None:
    assert host_of(url) == host
    assert shown(True) == "true"
