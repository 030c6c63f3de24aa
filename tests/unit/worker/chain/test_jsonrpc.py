"""What a reply means, decided without a socket."""

from __future__ import annotations

import json
import random

import pytest

from core.errors import ChainError, RpcRejected, RpcThrottled, RpcUnavailable
from worker.chain import jsonrpc
from worker.chain.jsonrpc import BlockNotThere


def test_a_request_is_what_the_specification_says() -> None:
    assert json.loads(jsonrpc.request(7, "eth_call", [{"to": "0x00"}, "latest"])) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "eth_call",
        "params": [{"to": "0x00"}, "latest"],
    }


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:secret@base.example.org/v2/secret?key=secret", "base.example.org"),
        ("ws://127.0.0.1:8545/secret", "127.0.0.1:8545"),
        ("nonsense", "?"),
        ("http://[secret", "?"),
        ("http://host:secret", "?"),
    ],
)
def test_an_endpoint_is_named_without_its_secrets(url: str, name: str) -> None:
    assert jsonrpc.endpoint_name(url) == name


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<!DOCTYPE html><title>Bad gateway</title>", "HTML"),
        (b"  <html>", "HTML"),
        ("", "nothing"),
        ('{"jsonrpc":"2.0","result":"0x', "cut-off JSON"),
        (b"\xff\xfe\x00", "garbage"),
        ("[1, 2]", "a JSON list"),
        ("null", "a JSON NoneType"),
    ],
)
def test_what_is_no_reply_says_what_it_is(body: str | bytes, kind: str) -> None:
    with pytest.raises(RpcUnavailable, match=f"node answered {kind}"):
        jsonrpc.parse("node", body)


def test_a_result_may_be_null_but_must_be_there() -> None:
    assert jsonrpc.result("node", {"id": 1, "result": None}) is None
    with pytest.raises(RpcUnavailable, match="neither a result nor an error"):
        jsonrpc.result("node", {"id": 1})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 3, "message": "execution reverted", "data": "0x930bb771"}, RpcRejected),
        ({"code": -32000, "message": "execution reverted", "data": {"data": "0x930bb771"}}, RpcRejected),
        ({"code": -32601, "message": "the method eth_foo does not exist"}, RpcRejected),
        ({"code": -32602, "message": "query exceeds max block range 1000"}, RpcRejected),
        ({"code": -32005, "message": "query returned more than 10000 results"}, RpcRejected),
        ({"code": -32005, "message": "daily request count exceeded, request rate limited"}, RpcThrottled),
        ({"code": 429, "message": "slow down"}, RpcThrottled),
        ({"code": -32000, "message": "Your app has exceeded its compute units per second capacity"}, RpcThrottled),
        ({"code": -32000, "message": "header not found"}, BlockNotThere),
        ({"code": -32602, "message": "BlockOutOfRangeError: block height is 5 but requested was 9"}, BlockNotThere),
        ({"code": -32011, "message": "no backend is currently healthy to serve traffic"}, RpcUnavailable),
        ({"code": -32603, "message": "Internal error"}, RpcUnavailable),
        ({"code": -32603, "message": "execution reverted"}, RpcRejected),
        ({"message": "no code"}, RpcUnavailable),
        ("a string", RpcUnavailable),
    ],
)
def test_error_objects_are_classified(error: object, kind: type[ChainError]) -> None:
    found = jsonrpc.error_of("node", error)
    assert type(found) is kind
    assert jsonrpc.retryable(found) is (kind is not RpcRejected)


def test_revert_data_is_kept_wherever_the_node_puts_it() -> None:
    for data in ("0x930bb771", {"data": "0x930bb771"}):
        found = jsonrpc.error_of("node", {"code": 3, "message": "execution reverted", "data": data})
        assert isinstance(found, RpcRejected)
        assert found.data == "0x930bb771"


@pytest.mark.parametrize(
    "message",
    [
        "out of gas: gas required exceeds: 50000000",
        "query returned more than 10000 results",
        "block range is too wide",
        "response size exceeded",
        "query timeout",
    ],
)
def test_too_much_is_told_from_other_refusals(message: str) -> None:
    assert jsonrpc.too_much(RpcRejected(-32000, message))
    assert not jsonrpc.too_much(RpcRejected(3, "execution reverted"))
    assert not jsonrpc.too_much(RpcUnavailable(message))


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (200, {}, b"<html>", type(None)),
        (400, {}, b'{"error":{}}', type(None)),
        (429, {"Retry-After": "7"}, b"", RpcThrottled),
        (503, {"Retry-After": "7"}, b"", RpcThrottled),
        (503, {}, b"<html>", RpcUnavailable),
        (401, {}, b"no", RpcUnavailable),
        (301, {"Location": "https://host/secret"}, b"", RpcUnavailable),
        (413, {}, b"", RpcRejected),
    ],
)
def test_http_answers_are_classified(status: int, headers: dict[str, str], body: bytes, kind: type) -> None:
    found = jsonrpc.http_failure("node", status, headers, body)
    assert type(found) is kind
    if isinstance(found, RpcThrottled):
        assert found.retry_after == 7
    if status == 401:
        assert "is the key in its URL right?" in str(found)
    if status == 413:
        assert found is not None
        assert jsonrpc.too_much(found)


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("0", 0.1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)])
def test_retry_after_is_at_least_a_tenth_and_dates_are_a_second(value: str, seconds: float) -> None:
    assert jsonrpc.retry_after({"Retry-After": value}) == seconds


def test_waits_double_to_thirty_seconds_and_vary_by_at_most_a_quarter() -> None:
    rng = random.Random(1)
    assert jsonrpc.backoff(1, rng) == 2.0
    for attempt, full in enumerate([4, 8, 16, 30, 30, 30], start=2):
        assert 0.75 * full <= jsonrpc.backoff(attempt, rng) <= full
    assert jsonrpc.backoff(1_000, rng, first=0.5) <= 30
