"""Read signed transactions: legacy ones and those of EIP-1559, with their signers recovered."""

from __future__ import annotations

from typing import Any

from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.chain import Transaction

_DYNAMIC_FEE = 2


class UnreadableError(Exception):
    """The bytes are no transaction of this chain; the text is for the client."""


def read_transaction(raw: str) -> Transaction:
    """Decode a raw transaction and recover its sender. Raises ``UnreadableError``."""
    import rlp
    from eth_account import Account
    from eth_keys.exceptions import BadSignature
    from eth_utils.crypto import keccak
    from eth_utils.exceptions import ValidationError

    try:
        data = bytes.fromhex(raw.removeprefix("0x"))
        kind = data[0]
        fields = rlp.decode(data if kind > 0x7F else data[1:])
        sender = str(Account.recover_transaction(data)).lower()
    except (
        ValueError,
        TypeError,
        IndexError,
        rlp.DecodingError,
        BadSignature,
        ValidationError,
    ) as error:
        raise UnreadableError(f"rlp: {error}") from None
    if kind == _DYNAMIC_FEE:
        return _dynamic_fee(fields, sender, "0x" + keccak(data).hex())
    if kind > 0x7F:
        return _legacy(fields, sender, "0x" + keccak(data).hex())
    raise UnreadableError("transaction type not supported")


def _dynamic_fee(fields: Any, sender: str, tx_hash: str) -> Transaction:
    chain_id, nonce, tip, max_fee, gas, to, value, data = fields[:8]
    _check_chain(_int(chain_id))
    return Transaction(
        hash=tx_hash,
        sender=sender,
        nonce=_int(nonce),
        to="0x" + to.hex(),
        value=_int(value),
        data="0x" + data.hex(),
        gas=_int(gas),
        max_fee=_int(max_fee),
        tip=_int(tip),
        kind=_DYNAMIC_FEE,
    )


def _legacy(fields: Any, sender: str, tx_hash: str) -> Transaction:
    nonce, price, gas, to, value, data, v = fields[:7]
    if _int(v) < 35:
        raise UnreadableError("only replay-protected (EIP-155) transactions allowed over RPC")
    _check_chain((_int(v) - 35) // 2)
    return Transaction(
        hash=tx_hash,
        sender=sender,
        nonce=_int(nonce),
        to="0x" + to.hex(),
        value=_int(value),
        data="0x" + data.hex(),
        gas=_int(gas),
        max_fee=_int(price),
        tip=_int(price),
        kind=0,
    )


def _check_chain(chain_id: int) -> None:
    if chain_id != abi.CHAIN_ID:
        raise UnreadableError(f"invalid chain id for signer: have {chain_id} want {abi.CHAIN_ID}")


def _int(value: bytes) -> int:
    return int.from_bytes(value)
