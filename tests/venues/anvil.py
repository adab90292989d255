"""A real EVM for tests: anvil, with our double of Ostium's contracts compiled and deployed on it.

Both tools come from npm: ``npm install --prefix DIR @foundry-rs/anvil solc``, and ``DIR/node_modules/.bin`` on PATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO, Any

import httpx
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

SOURCE = Path(__file__).parent / "contracts" / "OstiumDouble.sol"
TOOLS = ("anvil", "solcjs")
PATIENCE_S, KEEPER_DELAY_S = 60.0, 0.4
DEPLOYER = Account.from_key("0x" + "17" * 32)


def require_tools() -> None:
    """Skip, and say what is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(
            f"no {' and no '.join(missing)} on PATH: npm install --prefix DIR @foundry-rs/anvil solc"
        )


@dataclass
class Evm:
    """A running chain, with Ostium's double and a dollar on it."""

    url: str
    http: httpx.Client
    dollar: str = ""
    ostium: str = ""

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.http.post(self.url, json=body).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def transact(self, to: str | None, data: str, key: str | None = None) -> Any:
        """Send a call in a transaction of its own, and return its receipt."""
        account = DEPLOYER if key is None else Account.from_key(key)
        transaction = {
            "chainId": int(self.ask("eth_chainId"), 16),
            "nonce": int(self.ask("eth_getTransactionCount", account.address, "latest"), 16),
            "value": 0,
            "data": data,
            "gas": 12_000_000,
            "gasPrice": 3 * 10**9,
        } | ({"to": to} if to else {})
        signed = account.sign_transaction(transaction)
        tx_hash = self.ask("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        # Its block is made a moment after the answer.
        while (receipt := self.ask("eth_getTransactionReceipt", tx_hash)) is None:
            time.sleep(0.001)
        if receipt["status"] != "0x1":
            raise RuntimeError(f"{data[:10]} was reverted")
        created = receipt["contractAddress"]
        return receipt | {"contractAddress": created and to_checksum_address(created)}

    def call(self, contract: str, function: str, *arguments: Any, key: str | None = None) -> Any:
        """Call a function of ``Dollar`` or ``OstiumDouble`` in a transaction."""
        data = interface(contract).encode_abi(function, args=list(arguments))
        to = self.dollar if contract == "Dollar" else self.ostium
        return self.transact(to, data, key)

    def fund(self, address: str, usdc: int) -> None:
        self.ask("anvil_setBalance", address, hex(10**18))
        if usdc:
            self.call("Dollar", "mint", address, usdc * 10**6)

    def settle(self, order_id: int, price: int, reason: int = 0) -> None:
        """Be the keeper; prices in dollars."""
        self.call("OstiumDouble", "settle", order_id, price * 10**18, reason)

    def settle_later(self, order_id: int, price: int, reason: int = 0) -> Thread:
        """Be the keeper beside the caller: wait for an order of that number, let a moment pass, and settle it."""

        def work() -> None:
            wish = interface("OstiumDouble").encode_abi(
                "settle", args=[order_id, price * 10**18, reason]
            )
            call = {"from": DEPLOYER.address, "to": self.ostium, "data": wish}
            _await(lambda: self._would_succeed(call))
            time.sleep(KEEPER_DELAY_S)
            self.settle(order_id, price, reason)

        return _beside(work)

    def mine_once_replaced(self) -> Thread:
        """Mine a block beside the caller, as soon as another transaction stands in the place of the one that waits."""
        waiting = self._pool()

        def work() -> None:
            _await(lambda: self._pool() != waiting)
            self.ask("evm_mine")

        return _beside(work)

    def _pool(self) -> set[str]:
        pending = self.ask("txpool_content")["pending"]
        return {one["hash"] for of_sender in pending.values() for one in of_sender.values()}

    def _would_succeed(self, call: dict[str, str]) -> bool:
        try:
            self.ask("eth_call", call, "latest")
        except RuntimeError:
            return False
        return True


def _beside(work: Callable[[], None]) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def _await(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.01)


@contextmanager
def running() -> Iterator[Evm]:
    """Start a chain of our own and deploy on it."""
    closing, reader = ExitStack(), None
    process = subprocess.Popen(
        ["anvil", "--port", "0", "--chain-id", "31337", "--accounts", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What npm puts on PATH starts the program as a child of its own, which would outlive it.
        start_new_session=True,
    )
    try:
        output = process.stdout
        found = None
        while output is not None and found is None:
            line = output.readline()
            if not line:
                raise RuntimeError("anvil ended before it listened")
            found = re.search(r"Listening on (\S+)", line)
        # It tells of every request, and stands still once nobody reads that.
        reader = Thread(target=_drain, args=(output,), daemon=True)
        reader.start()
        # A client of its own costs each request a hundred times what the request does.
        http = closing.enter_context(httpx.Client(trust_env=False, timeout=10))
        evm = Evm(f"http://{found[1] if found else ''}", http)
        evm.ask("anvil_setBalance", DEPLOYER.address, hex(10**20))
        evm.dollar = evm.transact(None, compiled()["Dollar"]["bytecode"])["contractAddress"]
        argument = evm.dollar[2:].rjust(64, "0")
        double = compiled()["OstiumDouble"]["bytecode"] + argument
        evm.ostium = evm.transact(None, double)["contractAddress"]
        yield evm
    finally:
        closing.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        if reader is not None:
            reader.join()
        if process.stdout is not None:
            process.stdout.close()


def _drain(output: IO[str] | None) -> None:
    for _ in output or ():
        pass


@cache
def compiled() -> dict[str, dict[str, Any]]:
    """Return interface and bytecode of each contract."""
    wish = {
        "language": "Solidity",
        "sources": {"double": {"content": SOURCE.read_text(encoding="utf-8")}},
        "settings": {
            "optimizer": {"enabled": True, "runs": 1},
            "viaIR": True,
            "evmVersion": "shanghai",
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    answer = subprocess.run(
        ["solcjs", "--standard-json"],
        input=json.dumps(wish),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    result = json.loads(answer[answer.index("{") :])
    errors = [e["formattedMessage"] for e in result.get("errors", []) if e["severity"] == "error"]
    if errors:
        raise RuntimeError("\n".join(errors))
    return {
        name: {"abi": one["abi"], "bytecode": "0x" + one["evm"]["bytecode"]["object"]}
        for name, one in result["contracts"]["double"].items()
    }


@cache
def interface(contract: str) -> Any:
    from web3 import Web3
    from web3.providers.base import BaseProvider

    return Web3(BaseProvider()).eth.contract(abi=compiled()[contract]["abi"])
