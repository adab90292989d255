"""Simulate an OpenAI-compatible endpoint: ``/v1/models`` and ``/v1/chat/completions`` (not streaming).

The model's name chooses a personality. Every answer is a function of the request alone, so that a test can tell what
it will be.

======================  ==================================================================================
``sim/careful-analyst``  reads posts by rules and ignores instructions inside them; the default
``sim/obedient``         was taken over: does what a post says, also in Morse, base64 and the like
``sim/off-schema``       never answers in the asked-for schema
``sim/stutter``          answers outside the schema once, and well after it was told so
``sim/refuser``          refuses
``sim/cut-off``          runs out of tokens in the middle of its answer
======================  ==================================================================================

Further names are traders, which answer by tool calls; see `traders`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim import analyst, traders
from agentwhere_sim.puppet import puppet

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.world import World

DEFAULT_MODEL: Final = "sim/careful-analyst"
MODELS: Final = (
    DEFAULT_MODEL,
    "sim/obedient",
    "sim/off-schema",
    "sim/stutter",
    "sim/refuser",
    "sim/cut-off",
    *traders.MODELS,
)
PROMPT_PRICE: Final = 0.15
COMPLETION_PRICE: Final = 0.60
"""USD per million tokens; the cost of each answer is stated as OpenRouter states it."""

_FINGERPRINT: Final = "fp_sim_1"
_REFUSAL: Final = "I'm sorry, but I can't help with that."
_OFF_SCHEMA: Final = {"answer": "Buy it, buy all of it."}


def routes(world: World) -> list[Route]:
    """Give the routes below ``/llm``."""

    async def models(request: Request) -> Response:
        refusal = _unauthorised(request)
        if refusal is not None:
            return refusal
        created = int(world.genesis.timestamp())
        data = [
            {"id": name, "object": "model", "created": created, "owned_by": "agentwhere-sim"}
            for name in MODELS
        ]
        return JSONResponse({"object": "list", "data": data})

    async def complete(request: Request) -> Response:
        refusal = _unauthorised(request)
        if refusal is not None:
            return refusal
        try:
            order = await request.json()
        except ValueError:
            return _error(400, "We could not parse the JSON body of your request.")
        problem = _problem(order)
        if problem is not None:
            return problem
        return JSONResponse(_completion(order, int(world.now().timestamp())))

    forbidden = _error(403, "Your account has been deactivated.", code="account_deactivated")
    guard = world.faults.guard
    return [
        Route("/v1/models", guard("llm", models, forbidden)),
        Route("/v1/chat/completions", guard("llm", complete, forbidden), methods=["POST"]),
    ]


def post_text(messages: list[dict[str, Any]]) -> str:
    """Take the post out of the last user message: its ``post.text`` when it is JSON, else all of it."""
    content = _said(
        next(message for message in reversed(messages) if message.get("role") == "user")
    )
    try:
        parsed = json.loads(content)
    except ValueError:
        return content
    post = parsed.get("post") if isinstance(parsed, dict) else None
    text = post.get("text") if isinstance(post, dict) else None
    return text if isinstance(text, str) else content


def conform(answer: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Fit an answer to any other JSON schema than the classification's, by its smallest valid instance."""
    properties = schema.get("properties", {})
    if {"is_signal", "signals"} <= set(properties):
        return {key: value for key, value in answer.items() if key in properties}
    smallest = _instance(schema, schema)
    return smallest if isinstance(smallest, dict) else {}


def _completion(order: dict[str, Any], created: int) -> dict[str, Any]:
    messages = order["messages"]
    message, finish = _answer(order)
    prompt_tokens = sum(_tokens(_said(each)) + 4 for each in messages) + 3
    spoken = message["content"] or message.get("refusal") or ""
    completion_tokens = _tokens(spoken) + sum(
        _tokens(json.dumps(call["function"])) for call in message.get("tool_calls", ())
    )
    cost = traders.cost_of(order["model"], prompt_tokens + completion_tokens)
    if cost is None:
        cost = (prompt_tokens * PROMPT_PRICE + completion_tokens * COMPLETION_PRICE) / 1e6
    digest = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()
    return {
        "id": f"chatcmpl-{digest[:29]}",
        "object": "chat.completion",
        "created": created,
        "model": order["model"],
        "system_fingerprint": _FINGERPRINT,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "cost": round(cost, 8),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    }


def _answer(order: dict[str, Any]) -> tuple[dict[str, Any], str]:
    model = order["model"]
    if model in traders.MODELS:
        return traders.answer(order)
    if model == "sim/refuser":
        return _message(None, refusal=_REFUSAL), "stop"
    first_try = not any(message.get("role") == "assistant" for message in order["messages"])
    if model == "sim/off-schema" or (model == "sim/stutter" and first_try):
        return _message(json.dumps(_OFF_SCHEMA)), "stop"
    read = puppet if model == "sim/obedient" else analyst.careful
    answer = read(post_text(_without_corrections(order["messages"])))
    schema = _schema(order)
    content = json.dumps(answer if schema is None else conform(answer, schema), ensure_ascii=False)
    if model == "sim/cut-off":
        return _message(content[: len(content) // 2]), "length"
    return _message(content), "stop"


def _without_corrections(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what follows the first answer, so that a correction is not taken for the post."""
    roles = [message.get("role") for message in messages]
    return messages[: roles.index("assistant")] if "assistant" in roles else messages


def _message(content: str | None, refusal: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}


def _schema(order: dict[str, Any]) -> dict[str, Any] | None:
    wanted = order.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return None
    schema = wanted["json_schema"].get("schema")
    return schema if isinstance(schema, dict) else None


def _instance(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Make the smallest value that a JSON schema allows (the subset that structured outputs allow)."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _instance(target, root)
    for key in ("enum", "anyOf"):
        if key in schema:
            first = schema[key][0]
            return first if key == "enum" else _instance(first, root)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {key: _instance(each, root) for key, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema["items"], root)] * int(schema.get("minItems", 0))
    plain = {"string": "", "boolean": False, "number": 0, "integer": 0}
    if kind in ("number", "integer"):
        return schema.get("minimum", 0)
    return plain.get(str(kind))


def _problem(order: Any) -> Response | None:
    if not isinstance(order, dict) or not isinstance(order.get("model"), str):
        return _error(400, "you must provide a model parameter")
    messages = order.get("messages")
    if not isinstance(messages, list) or not any(
        isinstance(message, dict) and message.get("role") == "user" for message in messages
    ):
        return _error(400, "'messages' must contain at least one user message.", param="messages")
    if order["model"] not in MODELS:
        text = f"The model `{order['model']}` does not exist or you do not have access to it."
        return _error(404, text, code="model_not_found")
    if order.get("stream"):
        return _error(
            400, "This endpoint does not stream.", param="stream", code="unsupported_value"
        )
    wanted = order.get("response_format") or {}
    if wanted.get("type") == "json_schema" and not (wanted.get("json_schema") or {}).get("name"):
        text = "Missing required parameter: 'response_format.json_schema.name'."
        return _error(400, text, param="response_format.json_schema.name")
    return None


def _unauthorised(request: Request) -> Response | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return None
    text = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header "
        "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )
    return _error(401, text)


def _error(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return JSONResponse({"error": error}, status)


def _said(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tokens(text: str) -> int:
    return (len(text) + 3) // 4
