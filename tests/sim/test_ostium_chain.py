"""The simulated chain and contracts of Ostium, asked as a node is asked: by JSON-RPC, with transactions made here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.crypto import keccak

if TYPE_CHECKING:
    from agentwhere_sim.testing import Simulator

CHAIN_ID = 412_346
USDC, TRADING, STORAGE, CALLBACKS = (
    f"0x057100000000000000000000000000000000000{digit}" for digit in "1234"
)
TRADE = "(uint256,uint192,uint192,uint192,address,uint32,uint16,uint8,bool,bool)"
OPEN = f"openTrade({TRADE},(address,uint32),uint8,uint256)"
CLOSE = "closeTradeMarket(uint16,uint8,uint16,uint192,uint32)"
NOBODY = "0x" + 40 * "0"
ONE = 10**18
TRADER = Account.from_key("0x" + "24" * 32)
GOLD = 5


class Refused(Exception):  # noqa: N818 - an answer
    """The node's error."""


@dataclass
class Wallet:
    """A wallet at the simulated node."""

    sim: Simulator

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = self.sim.http.post("/ostium/rpc", json=body).json()
        if "error" in answer:
            raise Refused(f"{answer['error']['message']} {answer['error'].get('data', '')}")
        assert answer["id"] == 7
        return answer["result"]

    def nonce(self, tag: str = "latest") -> int:
        return int(self.ask("eth_getTransactionCount", TRADER.address, tag), 16)

    def signed(self, to: str, data: bytes, **changes: Any) -> str:
        transaction = {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": self.nonce(),
            "to": bytes.fromhex(to[2:]),
            "value": 0,
            "data": data,
            "gas": 600_000,
            "maxFeePerGas": 20_000_000,
            "maxPriorityFeePerGas": 1,
        } | changes
        if "gasPrice" in changes:
            for name in ("type", "maxFeePerGas", "maxPriorityFeePerGas"):
                del transaction[name]
        return str(TRADER.sign_transaction(transaction).raw_transaction.to_0x_hex())

    def send(self, to: str, data: bytes, **changes: Any) -> Any:
        """Send a transaction and return its receipt."""
        tx_hash = self.ask("eth_sendRawTransaction", self.signed(to, data, **changes))
        return self.ask("eth_getTransactionReceipt", tx_hash)

    def usdc(self) -> Decimal:
        data = "0x" + call("balanceOf(address)", TRADER.address).hex()
        return Decimal(int(self.ask("eth_call", {"to": USDC, "data": data}), 16)) / 10**6

    def open_gold(self, collateral: int = 100, price: int = 4100, **changes: int) -> Any:
        return self.send(TRADING, open_gold(collateral, price, **changes))

    def logs(self, event: str) -> list[Any]:
        wish = {"fromBlock": "0x0", "address": CALLBACKS, "topics": [topic(event)]}
        found: list[Any] = self.ask("eth_getLogs", wish)
        return found

    def settled(self, event: str) -> Any:
        """Wait for the keeper."""
        for _ in range(50):
            if found := self.logs(event):
                return found[-1]
            time.sleep(0.05)
        raise AssertionError(f"the keeper never emitted {event}")


OPENED = f"MarketOpenExecuted(uint256,{TRADE},uint256,uint256)"
OPEN_CANCELED = "MarketOpenCanceled(uint256,address,uint256,uint8)"
CLOSED = "MarketCloseExecutedV2(uint256,uint256,uint256,uint256,int256,uint256,uint256)"
CLOSE_CANCELED = "MarketCloseCanceled(uint256,uint256,address,uint256,uint256,uint8)"


def topic(event: str) -> str:
    return "0x" + keccak(text=event).hex()


def call(signature: str, *arguments: Any) -> bytes:
    types = signature[signature.index("(") :]
    return keccak(text=signature)[:4] + encode([types], [arguments])


def open_gold(collateral: int, price: int, leverage: int = 500, tp: int = 0, sl: int = 0) -> bytes:
    trade = (
        collateral * 10**6,
        price * ONE,
        tp * ONE,
        sl * ONE,
        TRADER.address,
        leverage,
        GOLD,
        0,
        True,
        False,
    )
    arguments = [trade, (NOBODY, 0), 0, 0]
    types = [TRADE, "(address,uint32)", "uint8", "uint256"]
    return keccak(text=OPEN)[:4] + encode(types, arguments)


def close_gold(share: int = 10_000, price: int = 3900, index: int = 0) -> bytes:
    types = ["uint16", "uint8", "uint16", "uint192", "uint32"]
    return keccak(text=CLOSE)[:4] + encode(types, [GOLD, index, share, price * ONE, 0])


def approve(amount: int) -> bytes:
    data = encode(["address", "uint256"], [STORAGE, amount * 10**6])
    return keccak(text="approve(address,uint256)")[:4] + data


@pytest.fixture
def wallet(sim: Simulator) -> Wallet:
    """A wallet with 1,000 approved dollars; gold costs 4,000."""
    sim.control("prices", XAU="4000")
    sim.control("accounts", venue="OSTIUM", address=TRADER.address, usdc="1000")
    wallet = Wallet(sim)
    assert wallet.send(USDC, approve(1000))["status"] == "0x1"
    return wallet


def test_the_node_says_which_chain_it_is_and_counts_blocks(wallet: Wallet, sim: Simulator) -> None:
    assert int(wallet.ask("eth_chainId"), 16) == CHAIN_ID
    before = int(wallet.ask("eth_blockNumber"), 16)
    sim.control("clock", advance_s=30)
    assert int(wallet.ask("eth_blockNumber"), 16) >= before + 90
    block = wallet.ask("eth_getBlockByNumber", "latest", False)
    history = wallet.ask("eth_feeHistory", "0x2", "latest", [50])
    assert history["baseFeePerGas"][-1] == block["baseFeePerGas"] == wallet.ask("eth_gasPrice")


def test_an_opening_is_filed_at_once_and_executed_by_the_keeper(wallet: Wallet) -> None:
    receipt = wallet.open_gold(tp=4400, sl=3800)
    assert receipt["status"] == "0x1"
    events = [entry["topics"][0] for entry in receipt["logs"]]
    assert events[-1] == topic("MarketOpenOrderInitiated(uint256,address,uint16)")
    assert wallet.usdc() == 900
    executed = wallet.settled(OPENED)
    trade, _, size = decode([TRADE, "uint256", "uint256"], bytes.fromhex(executed["data"][2:]))
    assert trade[4].lower() == TRADER.address.lower()
    assert (trade[2], trade[3]) == (4400 * ONE, 3800 * ONE)
    # 3 basis points of 500 dollars and the oracle's 10 cents are taken from the collateral.
    assert trade[0] == 100 * 10**6 - 150_000 - 100_000
    assert size == trade[0] * 5 * 10**12 * ONE // trade[1]


def test_a_partial_and_a_whole_close_pay_out_what_the_price_says(
    wallet: Wallet, sim: Simulator
) -> None:
    wallet.open_gold()
    wallet.settled(OPENED)
    sim.control("prices", XAU="4200")
    wallet.send(TRADING, close_gold(share=5000))
    first = wallet.settled(CLOSED)
    half = wallet.usdc() - 900
    assert half == pytest.approx(Decimal("49.875") * Decimal("1.25"), rel=Decimal("0.01"))
    wallet.send(TRADING, close_gold())
    for _ in range(50):
        if wallet.settled(CLOSED) != first:
            break
        time.sleep(0.05)
    assert wallet.usdc() - 900 == pytest.approx(2 * half, rel=Decimal("0.001"))


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [({"hours": {"markets": {"XAU": "closed"}}}, 2), ({"prices": {"XAU": "4200"}}, 3)],
)
def test_the_keeper_cancels_with_a_reason_and_keeps_its_fee(
    wallet: Wallet, sim: Simulator, prepare: dict[str, Any], reason: int
) -> None:
    for path, body in prepare.items():
        sim.control(path, **body)
    wallet.open_gold()
    canceled = wallet.settled(OPEN_CANCELED)
    assert int(canceled["data"], 16) == reason
    assert wallet.usdc() == Decimal("999.9")


def test_a_close_of_what_was_closed_meanwhile_is_cancelled(wallet: Wallet) -> None:
    wallet.open_gold()
    wallet.settled(OPENED)
    wallet.send(TRADING, close_gold())
    wallet.send(TRADING, close_gold())
    wallet.settled(CLOSED)
    canceled = wallet.settled(CLOSE_CANCELED)
    assert decode(["uint256"] * 3, bytes.fromhex(canceled["data"][2:]))[2] == 9


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"leverage": 99}, "WrongLeverage(uint32)"),
        ({"leverage": 10_100}, "WrongLeverage(uint32)"),
        ({"tp": 4000}, "WrongTP()"),
        ({"sl": 4200}, "WrongSL()"),
        ({"collateral": 1}, "BelowMinLevPos()"),
        ({"collateral": 1001}, "ERC20InsufficientAllowance(address,uint256,uint256)"),
    ],
)
def test_what_the_contract_refuses_reverts_and_costs_only_gas(
    wallet: Wallet, changes: dict[str, int], error: str
) -> None:
    data = open_gold(**({"collateral": 100, "price": 4100} | changes))
    with pytest.raises(Refused, match="0x" + keccak(text=error)[:4].hex()):
        wallet.ask(
            "eth_estimateGas", {"from": TRADER.address, "to": TRADING, "data": "0x" + data.hex()}
        )
    nonce = wallet.nonce()
    receipt = wallet.send(TRADING, data)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert (wallet.nonce(), wallet.usdc()) == (nonce + 1, 1000)


def test_an_estimate_changes_nothing(wallet: Wallet) -> None:
    data = "0x" + open_gold(100, 4100).hex()
    wallet.ask("eth_estimateGas", {"from": TRADER.address, "to": TRADING, "data": data})
    assert wallet.usdc() == 1000
    assert wallet.sim.http.get("/control/orders?venue=OSTIUM").json() == {"orders": []}


def test_nonces_are_used_once_and_in_order(wallet: Wallet) -> None:
    raw = wallet.signed(TRADER.address, b"", gas=21_000)
    tx_hash = wallet.ask("eth_sendRawTransaction", raw)
    assert wallet.ask("eth_getTransactionByHash", tx_hash)["from"] == TRADER.address.lower()
    with pytest.raises(Refused, match="nonce too low"):
        wallet.ask("eth_sendRawTransaction", raw)
    ahead = wallet.signed(TRADER.address, b"", nonce=wallet.nonce() + 1)
    ahead_hash = wallet.ask("eth_sendRawTransaction", ahead)
    assert wallet.ask("eth_getTransactionReceipt", ahead_hash) is None
    with pytest.raises(Refused, match="already known"):
        wallet.ask("eth_sendRawTransaction", ahead)
    wallet.send(TRADER.address, b"")
    assert wallet.ask("eth_getTransactionReceipt", ahead_hash)["status"] == "0x1"


def test_a_stuck_transaction_leaves_only_by_a_dearer_one(wallet: Wallet, sim: Simulator) -> None:
    nonce = wallet.nonce()
    sim.fault("ostium", "stuck")
    assert wallet.open_gold() is None
    assert (wallet.nonce(), wallet.nonce("pending")) == (nonce, nonce + 1)
    with pytest.raises(Refused, match="replacement transaction underpriced"):
        wallet.ask("eth_sendRawTransaction", wallet.signed(TRADER.address, b""))
    dearer = {"maxFeePerGas": 30_000_000, "maxPriorityFeePerGas": 2}
    assert wallet.send(TRADER.address, b"", **dearer)["status"] == "0x1"
    assert wallet.usdc() == 1000


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"chainId": 42_161}, "invalid chain id"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"maxFeePerGas": 10}, "less than block base fee"),
        ({"gas": 10**10, "maxFeePerGas": 10**10}, "insufficient funds"),
    ],
)
def test_the_node_refuses_what_no_block_would_take(
    wallet: Wallet, changes: dict[str, int], error: str
) -> None:
    with pytest.raises(Refused, match=error):
        wallet.ask("eth_sendRawTransaction", wallet.signed(TRADER.address, b"", **changes))


def test_a_legacy_transaction_is_read_too(wallet: Wallet) -> None:
    assert wallet.send(TRADER.address, b"", gasPrice=20_000_000)["type"] == "0x0"
    with pytest.raises(Refused, match="rlp"):
        wallet.ask("eth_sendRawTransaction", "0x02ff")


def test_a_dead_keeper_leaves_the_stake_until_the_timeout(wallet: Wallet, sim: Simulator) -> None:
    sim.fault("ostium", "keeper_dead")
    wallet.open_gold()
    time.sleep(0.5)
    early = wallet.send(TRADING, call("openTradeMarketTimeout(uint256)", 1))
    assert early["status"] == "0x0"
    sim.control("clock", advance_s=30)
    assert wallet.send(TRADING, call("openTradeMarketTimeout(uint256)", 1))["status"] == "0x1"
    assert wallet.usdc() == 1000
    assert wallet.logs(OPENED) == []


def test_holding_gold_costs_rollover_and_holding_bitcoin_does_not(
    wallet: Wallet, sim: Simulator
) -> None:
    sim.control("accounts", venue="OSTIUM", address=TRADER.address, usdc="0")
    wallet.open_gold()
    wallet.settled(OPENED)
    sim.control("clock", advance_s=365 * 86_400 // 10)
    wallet.send(TRADING, close_gold())
    wallet.settled(CLOSED)
    query = "{ orders { orderAction rolloverFee } }"
    answer = sim.http.post("/ostium/subgraph", json={"query": query}).json()["data"]["orders"]
    paid = Decimal(answer[-1]["rolloverFee"]) / 10**6
    assert paid == pytest.approx(Decimal("498.75") * Decimal("0.004"), rel=Decimal("0.01"))


def test_what_was_accepted_survives_kill_9(wallet: Wallet, sim: Simulator) -> None:
    receipt = wallet.open_gold()
    sim.kill()
    sim.start()
    assert wallet.ask("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
    wallet.settled(OPENED)
    assert wallet.usdc() == 900


def test_the_subgraph_lists_trades_and_orders_as_they_are_asked_for(wallet: Wallet) -> None:
    wallet.open_gold()
    wallet.settled(OPENED)
    address = TRADER.address.lower()
    query = f"""{{
      trades(where: {{trader: "{address}", isOpen: true}}) {{ tradeID index isBuy pair {{ from to }} }}
      orders(where: {{trader: "{address}", isPending: false, executedAt_gte: 1}}, orderBy: executedAt) {{
        id orderAction isCancelled
      }}
      _meta {{ block {{ number }} hasIndexingErrors }}
    }}"""
    data = wallet.sim.http.post("/ostium/subgraph", json={"query": query}).json()["data"]
    assert data["trades"] == [
        {"tradeID": "1", "index": "0", "isBuy": True, "pair": {"from": "XAU", "to": "USD"}}
    ]
    assert data["orders"] == [{"id": "1", "orderAction": "Open", "isCancelled": False}]
    assert data["_meta"]["block"]["number"] > 1000
