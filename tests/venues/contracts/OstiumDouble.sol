// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

// A double of Ostium for tests on a real EVM: the same calls, events and units, with one account of everything and
// without its markets. Prices are set by the test, and the test is the keeper.

contract Dollar {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error ERC20InsufficientBalance(address owner, uint256 held, uint256 needed);
    error ERC20InsufficientAllowance(address spender, uint256 allowed, uint256 needed);

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < value) revert ERC20InsufficientAllowance(msg.sender, allowed, value);
        allowance[from][msg.sender] = allowed - value;
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) private {
        if (balanceOf[from] < value) revert ERC20InsufficientBalance(from, balanceOf[from], value);
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

contract OstiumDouble {
    struct Trade {
        uint256 collateral;
        uint192 openPrice;
        uint192 tp;
        uint192 sl;
        address trader;
        uint32 leverage;
        uint16 pairIndex;
        uint8 index;
        bool buy;
        bool isDayTrade;
    }

    struct TradeInfo {
        uint256 tradeId;
        uint256 oiNotional;
        uint32 initialLeverage;
        uint32 tpLastUpdated;
        uint32 slLastUpdated;
        uint32 createdAt;
        bool deprecatedBeingMarketClosed;
    }

    struct BuilderFee {
        address builder;
        uint32 builderFee;
    }

    struct Pending {
        uint256 block;
        uint192 wantedPrice;
        uint32 slippageP;
        Trade trade;
        uint16 percentage;
    }

    event MarketOpenOrderInitiated(
        uint256 indexed orderId, address indexed trader, uint16 indexed pairIndex
    );
    event MarketCloseOrderInitiatedV2(
        uint256 indexed orderId,
        uint256 indexed tradeId,
        address indexed trader,
        uint16 pairIndex,
        uint16 closePercentage
    );
    event MarketOpenTimeoutExecutedV2(uint256 indexed orderId, Pending order);
    event MarketCloseTimeoutExecutedV2(
        uint256 indexed orderId, uint256 indexed tradeId, Pending order
    );
    event MarketOpenExecuted(
        uint256 indexed orderId, Trade t, uint256 priceImpactP, uint256 tradeNotional
    );
    event MarketOpenCanceled(
        uint256 indexed orderId, address indexed trader, uint256 indexed pairIndex, uint8 cancelReason
    );
    event MarketCloseExecutedV2(
        uint256 indexed orderId,
        uint256 indexed tradeId,
        uint256 price,
        uint256 priceImpactP,
        int256 percentProfit,
        uint256 usdcSentToTrader,
        uint256 percentageClosed
    );
    event MarketCloseCanceled(
        uint256 indexed orderId,
        uint256 indexed tradeId,
        address indexed trader,
        uint256 pairIndex,
        uint256 index,
        uint8 cancelReason
    );
    event LimitCloseExecuted(
        uint256 indexed orderId,
        uint256 indexed tradeId,
        uint8 orderType,
        uint256 price,
        uint256 priceImpactP,
        int256 percentProfit,
        uint256 usdcSentToTrader
    );
    event TpUpdated(
        uint256 indexed tradeId, address indexed trader, uint16 indexed pairIndex, uint8 index, uint192 newTp
    );
    event SlUpdated(
        uint256 indexed tradeId, address indexed trader, uint16 indexed pairIndex, uint8 index, uint192 newSl
    );
    event DelegateAdded(address indexed delegator, address indexed delegate);

    error WrongParams();
    error WrongLeverage(uint32 leverage);
    error WrongTP();
    error WrongSL();
    error BelowMinLevPos();
    error NoTradeFound(address trader, uint16 pairIndex, uint8 index);
    error NoTradeToTimeoutFound(uint256 order);
    error NotYourOrder(uint256 order, address trader);
    error WaitTimeout(uint256 order);
    error NotDelegate(address trader, address caller);

    uint16 public constant marketOrdersTimeout = 30;
    uint8 public constant maxTradesPerPair = 3;
    uint8 constant NOTHING = 0;
    uint8 constant SLIPPAGE = 3;
    uint8 constant NO_TRADE = 9;

    address public usdc;
    mapping(address => address) public delegations;
    mapping(address => mapping(uint16 => mapping(uint8 => Trade))) private trades;
    mapping(address => mapping(uint16 => mapping(uint8 => TradeInfo))) private infos;
    mapping(uint256 => Pending) private pending;
    mapping(uint256 => uint256) private closes;
    mapping(address => uint256[]) private waiting;
    uint256 private orders;
    address private acting;

    constructor(address dollar) {
        usdc = dollar;
    }

    function registry() external view returns (address) {
        return address(this);
    }

    function getContractAddress(bytes32) external view returns (address) {
        return address(this);
    }

    function setDelegate(address delegate) external {
        delegations[msg.sender] = delegate;
        emit DelegateAdded(msg.sender, delegate);
    }

    function delegatedAction(address trader, bytes calldata data) external returns (bytes memory) {
        if (delegations[trader] != msg.sender) revert NotDelegate(trader, msg.sender);
        acting = trader;
        (bool done, bytes memory result) = address(this).delegatecall(data);
        acting = address(0);
        if (!done) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }

    function openTrade(Trade calldata t, BuilderFee calldata, uint8 orderType, uint256 slippageP) external {
        address trader = caller();
        if (slippageP >= 10000 || orderType != 0) revert WrongParams();
        if (t.leverage < 100 || t.leverage > 20000) revert WrongLeverage(t.leverage);
        if (t.collateral * t.leverage / 100 < 5e6) revert BelowMinLevPos();
        if (t.tp != 0 && (t.buy ? t.tp <= t.openPrice : t.tp >= t.openPrice)) revert WrongTP();
        if (t.sl != 0 && (t.buy ? t.sl >= t.openPrice : t.sl <= t.openPrice)) revert WrongSL();
        Dollar(usdc).transferFrom(trader, address(this), t.collateral);
        uint256 id = ++orders;
        Pending storage order = pending[id];
        order.block = block.number;
        order.wantedPrice = t.openPrice;
        order.slippageP = uint32(slippageP);
        order.trade = t;
        order.trade.trader = trader;
        order.trade.openPrice = 0;
        waiting[trader].push(id);
        emit MarketOpenOrderInitiated(id, trader, t.pairIndex);
    }

    function closeTradeMarket(
        uint16 pairIndex,
        uint8 index,
        uint16 closePercentage,
        uint192 marketPrice,
        uint32 slippageP
    ) external {
        address trader = caller();
        if (closePercentage > 10000 || slippageP >= 10000) revert WrongParams();
        if (trades[trader][pairIndex][index].leverage == 0) revert NoTradeFound(trader, pairIndex, index);
        uint256 id = ++orders;
        Pending storage order = pending[id];
        order.block = block.number;
        order.wantedPrice = marketPrice;
        order.slippageP = slippageP;
        order.trade.trader = trader;
        order.trade.pairIndex = pairIndex;
        order.trade.index = index;
        order.percentage = closePercentage == 0 ? 10000 : closePercentage;
        closes[id] = infos[trader][pairIndex][index].tradeId;
        waiting[trader].push(id);
        emit MarketCloseOrderInitiatedV2(id, closes[id], trader, pairIndex, order.percentage);
    }

    function openTradeMarketTimeout(uint256 id) external {
        Pending memory order = timedOut(id);
        Dollar(usdc).transfer(order.trade.trader, order.trade.collateral);
        forget(id);
        emit MarketOpenTimeoutExecutedV2(id, order);
    }

    function closeTradeMarketTimeout(uint256 id, bool) external {
        Pending memory order = timedOut(id);
        uint256 tradeId = closes[id];
        forget(id);
        emit MarketCloseTimeoutExecutedV2(id, tradeId, order);
    }

    function updateTp(uint16 pairIndex, uint8 index, uint192 newTp) external {
        address trader = caller();
        Trade storage t = trades[trader][pairIndex][index];
        if (t.leverage == 0) revert NoTradeFound(trader, pairIndex, index);
        t.tp = newTp;
        emit TpUpdated(infos[trader][pairIndex][index].tradeId, trader, pairIndex, index, newTp);
    }

    function updateSl(uint16 pairIndex, uint8 index, uint192 newSl) external {
        address trader = caller();
        Trade storage t = trades[trader][pairIndex][index];
        if (t.leverage == 0) revert NoTradeFound(trader, pairIndex, index);
        t.sl = newSl;
        emit SlUpdated(infos[trader][pairIndex][index].tradeId, trader, pairIndex, index, newSl);
    }

    // What the keeper does: settle an order at a price, or cancel it for a reason that is not zero.
    function settle(uint256 id, uint192 price, uint8 reason) external {
        if (closes[id] != 0) settleClose(id, price, reason);
        else settleOpen(id, price, reason);
    }

    // What the keeper does when a price reaches a take profit (0), a stop loss (1) or a liquidation (2).
    function trigger(address trader, uint16 pairIndex, uint8 index, uint8 kind, uint192 price) external {
        Trade memory t = trades[trader][pairIndex][index];
        if (t.leverage == 0) revert NoTradeFound(trader, pairIndex, index);
        uint256 tradeId = infos[trader][pairIndex][index].tradeId;
        (int256 profit, uint256 worth) = value(t, t.collateral, price);
        pay(trader, kind == 2 ? 0 : worth);
        delete trades[trader][pairIndex][index];
        delete infos[trader][pairIndex][index];
        emit LimitCloseExecuted(++orders, tradeId, kind, price, 0, profit, worth);
    }

    function getOpenTrade(address trader, uint16 pairIndex, uint8 index) external view returns (Trade memory) {
        return trades[trader][pairIndex][index];
    }

    function getOpenTradeInfo(address trader, uint16 pairIndex, uint8 index)
        external
        view
        returns (TradeInfo memory)
    {
        return infos[trader][pairIndex][index];
    }

    function getPendingOrderIds(address trader) external view returns (uint256[] memory) {
        return waiting[trader];
    }

    function reqID_pendingMarketOrder(uint256 id)
        external
        view
        returns (uint256, uint192, uint32, Trade memory, uint16)
    {
        Pending memory order = pending[id];
        return (order.block, order.wantedPrice, order.slippageP, order.trade, order.percentage);
    }

    function caller() private view returns (address) {
        return acting == address(0) ? msg.sender : acting;
    }

    function settleOpen(uint256 id, uint192 price, uint8 reason) private {
        Pending memory order = pending[id];
        if (order.block == 0) return;
        Trade memory t = order.trade;
        uint8 why = reason;
        if (why == NOTHING && isBeyond(order, price, t.buy)) why = SLIPPAGE;
        forget(id);
        if (why != NOTHING) {
            Dollar(usdc).transfer(t.trader, t.collateral - 1e5);
            emit MarketOpenCanceled(id, t.trader, t.pairIndex, why);
            return;
        }
        while (trades[t.trader][t.pairIndex][t.index].leverage != 0) t.index++;
        t.openPrice = price;
        t.collateral -= 1e5;
        uint256 size = t.collateral * t.leverage / 100 * 1e12 * 1e18 / price;
        trades[t.trader][t.pairIndex][t.index] = t;
        infos[t.trader][t.pairIndex][t.index] =
            TradeInfo(id, size, t.leverage, 0, 0, uint32(block.number), false);
        emit MarketOpenExecuted(id, t, 0, size);
    }

    function settleClose(uint256 id, uint192 price, uint8 reason) private {
        Pending memory order = pending[id];
        if (order.block == 0) return;
        uint256 tradeId = closes[id];
        address trader = order.trade.trader;
        (uint16 pair, uint8 index) = (order.trade.pairIndex, order.trade.index);
        Trade memory t = trades[trader][pair][index];
        uint8 why = reason;
        if (why == NOTHING && infos[trader][pair][index].tradeId != tradeId) why = NO_TRADE;
        if (why == NOTHING && isBeyond(order, price, !t.buy)) why = SLIPPAGE;
        forget(id);
        if (why != NOTHING) {
            emit MarketCloseCanceled(id, tradeId, trader, pair, index, why);
            return;
        }
        uint256 part = t.collateral * order.percentage / 10000;
        (int256 profit, uint256 worth) = value(t, part, price);
        pay(trader, worth);
        if (order.percentage == 10000) {
            delete trades[trader][pair][index];
            delete infos[trader][pair][index];
        } else {
            trades[trader][pair][index].collateral -= part;
            infos[trader][pair][index].oiNotional -=
                infos[trader][pair][index].oiNotional * order.percentage / 10000;
        }
        emit MarketCloseExecutedV2(id, tradeId, price, 0, profit, worth, order.percentage);
    }

    function isBeyond(Pending memory order, uint192 price, bool buys) private pure returns (bool) {
        uint256 room = uint256(order.wantedPrice) * order.slippageP / 10000;
        return buys ? price > order.wantedPrice + room : price < order.wantedPrice - room;
    }

    function value(Trade memory t, uint256 part, uint192 price) private pure returns (int256, uint256) {
        int256 move = int256(uint256(price)) - int256(uint256(t.openPrice));
        if (!t.buy) move = -move;
        int256 profit = move * int256(uint256(t.leverage)) * 1e6 / int256(uint256(t.openPrice));
        int256 worth = int256(part) + int256(part) * profit / 1e8;
        return (profit, worth > 0 ? uint256(worth) : 0);
    }

    function pay(address trader, uint256 amount) private {
        uint256 held = Dollar(usdc).balanceOf(address(this));
        if (held < amount) Dollar(usdc).mint(address(this), amount - held);
        if (amount > 0) Dollar(usdc).transfer(trader, amount);
    }

    function timedOut(uint256 id) private view returns (Pending memory order) {
        order = pending[id];
        if (order.block == 0) revert NoTradeToTimeoutFound(id);
        if (order.trade.trader != caller()) revert NotYourOrder(id, order.trade.trader);
        if (block.number < order.block + marketOrdersTimeout) revert WaitTimeout(id);
    }

    function forget(uint256 id) private {
        uint256[] storage ids = waiting[pending[id].trade.trader];
        for (uint256 i = 0; i < ids.length; i++) {
            if (ids[i] == id) {
                ids[i] = ids[ids.length - 1];
                ids.pop();
                break;
            }
        }
        delete pending[id];
    }
}
