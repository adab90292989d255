"""Who signed a request: recover the signer's address from the action's signature.

Trading actions ("L1 actions") are hashed as keccak(msgpack(action) + nonce + vault + expiry), wrapped
into a phantom agent with source "b" (everything that is not mainnet) and signed as EIP-712 typed
data. Account actions are EIP-712 typed data of their own fields, for the chain "Testnet".
The order of an action's keys and the writing of its numbers are part of the message; see ``wire``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TESTNET = "Testnet"
_TESTNET_SOURCE = "b"
_ZERO_ADDRESS = "0x" + "00" * 20
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_L1_CHAIN_ID = 1337

_APPROVE_AGENT = (
    "HyperliquidTransaction:ApproveAgent",
    (
        ("hyperliquidChain", "string"),
        ("agentAddress", "address"),
        ("agentName", "string"),
        ("nonce", "uint64"),
    ),
)


def warm_up() -> None:
    """Load the cryptography ahead of the first signature (it takes half a second)."""
    import eth_keys.datatypes  # noqa: F401
    import msgpack
    from eth_utils.crypto import keccak

    keccak(msgpack.packb({}))


def l1_signer(
    action: Mapping[str, Any],
    nonce: int,
    vault: str | None,
    expires_after: int | None,
    signature: Mapping[str, Any],
) -> str:
    """Recover who signed a trading action; a wrong signature yields an address that nobody has.

    Raises
    ------
    ValueError
        If the signature has no valid form.
    """
    import msgpack
    from eth_utils.crypto import keccak

    packed = msgpack.packb(action) + nonce.to_bytes(8, "big")
    packed += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x"))
    if expires_after is not None:
        packed += b"\x00" + expires_after.to_bytes(8, "big")
    struct = _struct_hash(
        "Agent",
        (("source", "string"), ("connectionId", "bytes32")),
        [_TESTNET_SOURCE, keccak(packed)],
    )
    return _recover(_domain_hash("Exchange", _L1_CHAIN_ID), struct, signature)


def approve_agent_signer(action: Mapping[str, Any], signature: Mapping[str, Any]) -> str:
    """Recover who approved an agent wallet. Raises ``KeyError`` or ``ValueError`` if a field is missing or unfit."""
    name, fields = _APPROVE_AGENT
    values = [_TESTNET, action["agentAddress"], action.get("agentName") or "", action["nonce"]]
    domain = _domain_hash("HyperliquidSignTransaction", int(action["signatureChainId"], 16))
    return _recover(domain, _struct_hash(name, fields, values), signature)


def _domain_hash(name: str, chain_id: int) -> bytes:
    from eth_utils.crypto import keccak

    parts = [keccak(text=_DOMAIN_TYPE), keccak(text=name), keccak(text="1")]
    return keccak(
        b"".join([*parts, chain_id.to_bytes(32, "big"), _encode("address", _ZERO_ADDRESS)])
    )


def _struct_hash(name: str, fields: Sequence[tuple[str, str]], values: Sequence[Any]) -> bytes:
    from eth_utils.crypto import keccak

    type_text = f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})"
    encoded = [_encode(kind, value) for (_, kind), value in zip(fields, values, strict=True)]
    return keccak(keccak(text=type_text) + b"".join(encoded))


def _encode(kind: str, value: Any) -> bytes:
    from eth_utils.crypto import keccak

    match kind:
        case "string":
            return keccak(text=value)
        case "address":
            return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\x00")
        case "bytes32":
            return bytes(value)
        case _:
            return int(value).to_bytes(32, "big")


def _recover(domain: bytes, struct: bytes, signature: Mapping[str, Any]) -> str:
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.crypto import keccak
    from eth_utils.exceptions import ValidationError

    try:
        r, s, v = int(signature["r"], 16), int(signature["s"], 16), int(signature["v"])
        recovered = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(
            keccak(b"\x19\x01" + domain + struct)
        )
    except (BadSignature, ValidationError, KeyError, TypeError) as error:
        raise ValueError(f"not a signature: {error}") from error
    return recovered.to_address()
