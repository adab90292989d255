"""Who may do what: keys and scopes, this machine without keys, other origins and hosts, too much and too often."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from agentwhere_app.api.app import binds_loopback
from agentwhere_app.api.gate import allowed_hosts
from agentwhere_app.api.routes import pages
from agentwhere_core.domain.enums import Scope
from agentwhere_core.domain.errors import AlreadyThereError, ConfigurationError, NoSuchThingError
from agentwhere_flow import access
from agentwhere_flow.settings import Profile
from agentwhere_flow.system import System
from tests.app.api.served import Served, serving
from tests.flow.world import rows, utc_now

PUBLIC = (
    "/healthz",
    "/api/monitoring/health",
    "/performance",
    "/invocations",
    "/api/events",
    "/api/agents",
    "/api/agents/{agent_id}",
    "/api/sources",
)
PUBLIC_PAGES = ("/api/pages/session", "/api/pages/marketplace")
WRITE = {"failoverEnabled": False}


def write(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/api/venue-routing/config", json=WRITE, headers=headers)


def operations(api: Served) -> list[tuple[str, str, dict[str, Any]]]:
    described = api.get("/openapi.json")["paths"]
    return [
        (method, path, operation)
        for path, methods in described.items()
        for method, operation in methods.items()
    ]


def fill(path: str) -> str:
    return re.sub(r"\{\w+\}", "00000000-0000-7000-8000-000000000000", path)


def test_a_key_is_kept_as_a_digest_only(empty: System) -> None:
    made = access.create_key(empty, utc_now(), "grafana", [Scope.READ])
    secret = made.token.rsplit("_", 1)[1]
    [kept] = rows(empty, "SELECT * FROM agentwhere.api_keys")
    assert secret not in repr(kept)
    assert access.find_key(access.valid_keys(empty, utc_now()), made.token, utc_now()) == made.key


@pytest.mark.parametrize("change", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), str.upper])
def test_a_key_with_one_letter_changed_opens_nothing(empty: System, change: Any) -> None:
    made = access.create_key(empty, utc_now(), "grafana", [Scope.READ])
    assert access.find_key([made.key], change(made.token), utc_now()) is None


def test_keys_expire_and_are_revoked(empty: System) -> None:
    now = utc_now()
    made = access.create_key(empty, now, "a", [Scope.READ], expires_at=now + timedelta(days=1))
    assert access.find_key([made.key], made.token, now + timedelta(days=2)) is None
    access.revoke_key(empty, now, "a")
    assert access.valid_keys(empty, now) == []
    with pytest.raises(NoSuchThingError):
        access.revoke_key(empty, now, "a")
    access.create_key(empty, now, "a", [Scope.READ])
    with pytest.raises(AlreadyThereError):
        access.create_key(empty, now, "a", [Scope.READ])
    with pytest.raises(ConfigurationError):
        access.create_key(empty, now, "b", [])


def test_without_keys_this_machine_may_read_and_write(api: Served) -> None:
    with api.client() as client:
        assert client.get("/api/monitoring/dashboard").status_code == 200
        assert write(client).status_code == 200


def test_with_a_key_everything_private_needs_one(api: Served) -> None:
    api.key(Scope.READ)
    with api.client() as client:
        for method, path, operation in operations(api):
            asked = client.build_request(method, fill(path), json={} if method != "get" else None)
            # Not read to its end: one of them is a stream.
            answer = client.send(asked, stream=True)
            answer.close()
            is_public = method == "get" and path in PUBLIC
            found = {404} if "{" in path else {200}
            assert answer.status_code in (found if is_public else {401}), path
            assert ("security" in operation) != is_public, path
            assert is_public or answer.headers["www-authenticate"] == "Bearer"


def test_with_a_key_the_dashboards_own_answers_need_one_too(api: Served) -> None:
    api.key(Scope.READ)
    with api.client() as client:
        for route in pages.router.routes:
            path = fill(getattr(route, "path", ""))
            expected = 200 if path in PUBLIC_PAGES else 401
            assert client.get(path).status_code == expected, path


def test_a_scope_opens_what_it_says(api: Served) -> None:
    reader, operator = api.key(Scope.READ, name="r"), api.key(Scope.OPERATE, name="o")
    with api.client(reader) as client:
        assert client.get("/api/monitoring/dashboard").status_code == 200
        refused = write(client)
    assert refused.status_code == 403
    assert "operate" in refused.json()["detail"]
    with api.client(operator) as client:
        assert client.get("/api/monitoring/dashboard").status_code == 200
        assert write(client).status_code == 200


def test_a_revoked_key_opens_nothing_within_seconds(api: Served) -> None:
    token = api.key(Scope.READ)
    api.key(Scope.READ, name="another")
    with api.client(token) as client:
        assert client.get("/api/monitoring/analytics").status_code == 200
        access.revoke_key(api.system, utc_now(), "test")
        deadline = time.monotonic() + 60
        while client.get("/api/monitoring/analytics").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert client.get("/api/monitoring/analytics").status_code == 401


def test_who_tries_wrong_keys_must_wait(api: Served) -> None:
    right = api.key(Scope.READ)
    with api.client("aw_000000000000_" + "x" * 43) as client:
        found = [client.get("/api/monitoring/analytics").status_code for _ in range(12)]
    assert set(found[:10]) == {401}
    assert set(found[10:]) == {429}
    with api.client(right) as client:
        answer = client.get("/api/monitoring/analytics")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_writes_nothing(api: Served, headers: dict[str, str]) -> None:
    before = rows(api.system, "SELECT version FROM agentwhere.venue_routing_config")
    with api.client() as client:
        assert write(client, **headers).status_code == 403
        assert rows(api.system, "SELECT version FROM agentwhere.venue_routing_config") == before
        assert write(client, Origin=api.url).status_code == 200


def test_a_form_of_another_page_cannot_pass_for_json(api: Served) -> None:
    with api.client() as client:
        answer = client.post(
            "/api/venue-routing/config",
            content='{"failoverEnabled": false}',
            headers={"Content-Type": "text/plain"},
        )
    assert answer.status_code == 422


def test_a_name_that_points_at_this_machine_reads_nothing(api: Served) -> None:
    with api.client() as client:
        for path in ("/api/monitoring/dashboard", "/", "/healthz"):
            assert client.get(path, headers={"Host": "rebound.example"}).status_code == 421
        assert client.get("/healthz", headers={"Host": "localhost:1"}).status_code == 200


def test_hosts_are_checked_where_no_key_is_needed() -> None:
    assert allowed_hosts("0.0.0.0", (), is_loopback=False) is None
    assert allowed_hosts("0.0.0.0", ("Desk.example",), is_loopback=False) == {"desk.example"}
    assert "localhost" in (allowed_hosts("127.0.0.1", (), is_loopback=True) or ())
    assert binds_loopback("127.0.0.2")
    assert binds_loopback("::1")
    assert not binds_loopback("0.0.0.0")
    assert not binds_loopback("desk.example")


def test_real_money_is_not_traded_without_a_key(empty: System) -> None:
    live = {"profile": Profile.LIVE, "x_bearer_token": "x", "llm_api_key": "x"}
    with serving(empty, **live) as served, served.client() as client:
        assert client.get("/api/monitoring/analytics").status_code == 200
        assert write(client).status_code == 200


def test_a_server_that_others_can_reach_opens_nothing_without_keys(empty: System) -> None:
    # The test's own listener is bound to the loopback interface; the settings say what the server was told.
    with serving(empty, api_host="0.0.0.0") as served, served.client() as client:
        assert client.get("/api/monitoring/dashboard").status_code == 401
        assert write(client).status_code == 401
        assert client.get("/api/monitoring/health").status_code == 200


def test_an_address_that_comes_too_often_must_wait(empty: System) -> None:
    proxied = {"api_trusted_proxies": ("127.0.0.1",), "api_requests_per_minute": 5}
    with serving(empty, **proxied) as served, served.client() as client:
        found = [client.get("/healthz") for _ in range(7)]
    assert [answer.status_code for answer in found] == [200] * 5 + [429] * 2
    assert int(found[-1].headers["retry-after"]) >= 1


def test_a_body_beyond_the_limit_is_not_read(empty: System) -> None:
    with serving(empty, api_body_limit_bytes=1024) as served, served.client() as client:
        big = b"[" + b" " * 5000 + b"]"
        declared = client.post("/api/venue-routing/config", content=big)
        streamed = client.post("/api/venue-routing/config", content=iter([big[:900], big[900:]]))
    assert declared.status_code == streamed.status_code == 413


def test_every_write_is_on_record_with_who_and_what(api: Served) -> None:
    token = api.key(Scope.OPERATE, name="ops")
    with api.client(token) as client:
        assert write(client).status_code == 200
        nobody = {"agentId": "00000000-0000-7000-8000-000000000000", **WRITE}
        assert client.post("/api/venue-routing/config", json=nobody).status_code == 404
    found = rows(
        api.system,
        "SELECT actor, address, method, path, body->>'failoverEnabled', status FROM agentwhere.api_writes ORDER BY id",
    )
    path = "/api/venue-routing/config"
    assert found == [
        ("ops", "127.0.0.1", "POST", path, "false", 200),
        ("ops", "127.0.0.1", "POST", path, "false", 404),
    ]
    assert token not in repr(rows(api.system, "SELECT * FROM agentwhere.api_writes"))


def test_cross_origin_reads_are_closed_until_they_are_opened(empty: System) -> None:
    theirs = "https://desk.example"
    with serving(empty) as served, served.client(Origin=theirs) as client:
        assert "access-control-allow-origin" not in client.get("/healthz").headers
    with (
        serving(empty, api_cors_origins=(theirs,)) as served,
        served.client(Origin=theirs) as client,
    ):
        assert client.get("/healthz").headers["access-control-allow-origin"] == theirs
        assert write(client).status_code == 200


def test_every_answer_carries_the_security_headers(api: Served) -> None:
    with api.client() as client:
        for path in ("/healthz", "/nothing", "/api/venue-routing/stats?timeWindow=x"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "server" not in headers
