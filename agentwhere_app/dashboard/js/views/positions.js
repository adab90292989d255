// Positions and orders: what is held now, how it is protected, what was ordered.
import { html } from "../html.js";
import { useData } from "../data.js";
import { Card, Empty, Gain, Loaded, Pill, Side, Stat, Table, VenueTag, View } from "../parts.js";
import { ago, amount, count, percent, price, ratio, time, usd, words } from "../format.js";
import { pnl } from "./agent.js";

export function Positions() {
  const result = useData("/api/pages/positions", ["positions", "orders"]);
  return html`<${View} title="Positions" about="What is held, how it is protected, and what was ordered." result=${result} assets=${["positions", "orders"]}>
    <${Loaded} result=${result}>
      ${(data) => html`
        <${Totals} data=${data} />
        <${Card} title="Open" note=${data.openTotal > data.open.length ? `the newest ${data.open.length} of ${count(data.openTotal)}` : count(data.openTotal)} flush>
          <${Table} caption="Open positions" columns=${OPEN} rows=${data.open} keyOf=${(item) => item.id} details=${Details}
            empty=${html`<${Empty} title="Nothing is open">A position appears here the moment its entry fills.<//>`} />
        <//>
        <${Card} title="Closed within a week" flush>
          <${Table} caption="Closed positions" columns=${CLOSED} rows=${data.closed} keyOf=${(item) => item.id} details=${Details}
            empty=${html`<${Empty} title="Nothing closed within a week">Exits are decided every five minutes, and by stop orders at the venue at once.<//>`} />
        <//>
        <${Card} title="Newest orders" flush>
          <${Table} caption="Newest orders" columns=${ORDERS} rows=${data.orders} keyOf=${(item) => item.id}
            details=${(order) => html`<p>${order.detail ?? "No remark."}${order.reason ? html` <span class="quiet">${words(order.reason)}</span>` : ""}</p>`}
            empty=${html`<${Empty} title="No order yet">Every order is on record before it is sent.<//>`} />
        <//>
      `}
    <//>
  <//>`;
}

function Totals({ data }) {
  const notional = data.open.reduce((sum, item) => sum + Number(item.size) * Number(item.current_price ?? item.entry_price), 0);
  const unrealized = data.open.reduce((sum, item) => sum + Number(item.unrealized_pnl_usd), 0);
  const closed = data.closed.reduce((sum, item) => sum + pnl(item), 0);
  const bare = data.open.filter((item) => item.protect_by).length;
  return html`<dl class="stats">
    <${Stat} label="Open" value=${count(data.openTotal)} detail="${usd(notional, { digits: 0 })} notional" />
    <${Stat} label="Unrealized" value=${html`<${Gain} value=${unrealized} />`} detail="at the last marks" />
    <${Stat} label="Closed, 7 days" value=${html`<${Gain} value=${closed} />`} detail="${count(data.closed.length)} positions" />
    <${Stat} label="Stop loss owed" value=${count(bare)} mood=${bare ? "warn" : ""} detail=${bare ? "closed unless it rests in time" : "none is missing at a venue"} />
  </dl>`;
}

const change = (item) => (Number(item.current_price ?? item.exit_price) / Number(item.entry_price) - 1) * (item.side === "LONG" ? 1 : -1);

const OPEN = [
  { label: "Token", sort: (item) => item.token, cell: (item) => item.token },
  { label: "Side", sort: (item) => item.side, cell: (item) => html`<${Side} side=${item.side} />` },
  { label: "Venue", wide: true, sort: (item) => item.venue, cell: (item) => html`<${VenueTag} venue=${item.venue} />` },
  { label: "Size", number: true, wide: true, cell: (item) => amount(item.size) },
  { label: "Entry", number: true, wide: true, cell: (item) => price(item.entry_price) },
  { label: "Mark", number: true, wide: true, cell: (item) => price(item.current_price) },
  { label: "Move", number: true, wide: true, sort: change, cell: (item) => html`<${Gain} value=${item.current_price ? change(item) : null} as="percent" />` },
  { label: "Unrealized", number: true, sort: (item) => item.unrealized_pnl_usd, cell: (item) => html`<${Gain} value=${item.unrealized_pnl_usd} />` },
  { label: "Protection", sort: (item) => item.protection, cell: (item) => html`<span title=${PROTECTION[item.protection]}><${Pill} state=${item.protection} /></span>` },
  { label: "Opened", number: true, wide: true, sort: (item) => item.opened_at, cell: (item) => time(item.opened_at) },
];
const PROTECTION = {
  PROTECTED: "Its stop loss rests at the venue.",
  PENDING: "Its stop loss was sent and not seen at the venue yet.",
  MISSING: "Its stop loss is not at the venue; it is placed again.",
  CLOSING: "It is being closed.",
  WAIVED: "It has no stop loss, as its policy allows.",
  OUTSIDE: "Somebody else opened it and protects it.",
};

const CLOSED = [
  { label: "Token", sort: (item) => item.token, cell: (item) => item.token },
  { label: "Side", cell: (item) => html`<${Side} side=${item.side} />` },
  { label: "Venue", wide: true, sort: (item) => item.venue, cell: (item) => html`<${VenueTag} venue=${item.venue} />` },
  { label: "Entry", number: true, wide: true, cell: (item) => price(item.entry_price) },
  { label: "Exit", number: true, wide: true, cell: (item) => price(item.exit_price) },
  { label: "Net PnL", number: true, sort: pnl, cell: (item) => html`<${Gain} value=${pnl(item)} />` },
  { label: "Why", sort: (item) => item.exit_reason, cell: (item) => words(item.exit_reason) },
  { label: "Closed", number: true, wide: true, sort: (item) => item.closed_at, cell: (item) => time(item.closed_at) },
];

const ORDERS = [
  { label: "Time", sort: (order) => order.created_at, cell: (order) => time(order.created_at) },
  { label: "Token", sort: (order) => order.token, cell: (order) => order.token },
  { label: "Purpose", sort: (order) => order.purpose, cell: (order) => words(order.purpose) },
  { label: "Side", wide: true, cell: (order) => html`<${Side} side=${order.side} />` },
  { label: "Venue", wide: true, sort: (order) => order.venue, cell: (order) => html`<${VenueTag} venue=${order.venue} />` },
  { label: "Filled", number: true, wide: true, cell: (order) => `${amount(order.filled_size)} of ${amount(order.size)}` },
  { label: "Price", number: true, wide: true, cell: (order) => price(order.average_price ?? order.trigger_price ?? order.limit_price) },
  { label: "State", sort: (order) => order.state, cell: (order) => html`<${Pill} state=${order.state} />` },
];

function Details(item) {
  const facts = [
    ["Agent", html`<a href="/marketplace/${item.agent_id}">${item.agent}</a>`],
    ["Deployment", item.deployment],
    ["Leverage", `${ratio(item.leverage, 1)}×`],
    ["Largest size", amount(item.peak_size)],
    ["Stop loss", price(item.stop_loss_price)],
    ["Take profit", price(item.take_profit_price)],
    ...(item.protection
      ? [
          ["Protection", PROTECTION[item.protection]],
          ["Stop loss at venue", price(item.resting_stop_price)],
          ["Take profit at venue", price(item.resting_target_price)],
        ]
      : []),
    ...(item.protect_by ? [["Closed unless protected by", time(item.protect_by)]] : []),
    ["Liquidation", price(item.liquidation_price)],
    ["Fees", usd(item.fees_usd)],
    ["Funding", usd(item.funding_usd, { plus: true })],
    ["Realized", usd(item.realized_pnl_usd, { plus: true })],
    ["Move", percent(change(item), { plus: true })],
    ["Marked", ago(item.last_marked)],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
