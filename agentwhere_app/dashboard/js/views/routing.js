// Routing: which venues were chosen, what that cost, and why each decision fell as it did.
import { html, useState } from "../html.js";
import { useData } from "../data.js";
import { Shares } from "../charts.js";
import { Card, Choice, Empty, Loaded, Pill, Table, VenueTag, View } from "../parts.js";
import { bps, count, milliseconds, percent, ratio, time, venueName, words } from "../format.js";

const SPANS = [["hour", "Hour"], ["day", "Day"], ["week", "Week"]];
const ORDER = ["HYPERLIQUID", "OSTIUM", "LIGHTER", "GMX", "SPOT"];

export function Routing() {
  const [span, setSpan] = useState("day");
  const result = useData(`/api/pages/routing?span=${span}`, ["decisions", "routing", "positions"]);
  return html`<${View}
    title="Routing"
    about="Where signals went, what it cost, and what it would have cost elsewhere."
    result=${result}
    assets=${["routing_decisions", "routing_regret", "venue_markets"]}
    tools=${html`<${Choice} label="Time span" options=${SPANS} value=${span} onChange=${setSpan} />`}
  >
    <${Loaded} result=${result}>
      ${(data) => html`
        <${Config} config=${data.config} />
        <${ShareCard} data=${data} />
        <${Costs} costs=${data.costs} />
        <${Card} title="Decisions" note="newest first" flush>
          <${Table} caption="Routing decisions" columns=${DECISIONS} rows=${data.decisions} keyOf=${(item) => item.id}
            details=${Story}
            empty=${html`<${Empty} title="No decision in this span">Signals are routed within seconds of being made. See a dry run with <code>agentwhere route TOKEN</code>.<//>`} />
        <//>
      `}
    <//>
  <//>`;
}

function Config({ config }) {
  if (!config) return null;
  return html`<p class="config"><span class="quiet">In force: </span>${words(config.routing_strategy)}<span class="quiet"> over </span>${config.venue_priority.map(venueName).join(" → ")}<span class="quiet">, failover ${config.failover_enabled ? "on" : "off"}, version ${config.version}</span></p>`;
}

function ShareCard({ data }) {
  const buckets = fill(data);
  const totals = {};
  for (const share of data.shares) totals[share.venue] = (totals[share.venue] ?? 0) + share.decisions;
  const all = Object.values(totals).reduce((sum, part) => sum + part, 0);
  const others = Object.keys(totals).filter((venue) => venue !== "NONE" && !ORDER.includes(venue));
  const venues = [...ORDER, ...others.sort(), "NONE"].filter((venue) => totals[venue]);
  const said = venues.map((venue) => `${venueName(venue)} ${percent(totals[venue] / all, { digits: 0 })}`).join(", ");
  return html`<${Card} title="Venue share" note="${count(all)} decisions">
    ${all
      ? html`<${Shares} buckets=${buckets} venues=${venues} label="Decisions over time: ${said}" />
          <ul class="legend">${venues.map((venue) => html`<li><${VenueTag} venue=${venue} /> <span class="figure">${percent(totals[venue] / all)}</span> <span class="quiet">${count(totals[venue])}</span></li>`)}</ul>`
      : html`<${Empty} title="No decision in this span">Choose a longer one, or wait for the next signal.<//>`}
  <//>`;
}

function fill({ since, at, stepSeconds, shares }) {
  const buckets = new Map();
  for (let moment = Date.parse(since); moment < Date.parse(at); moment += stepSeconds * 1000) buckets.set(moment, {});
  for (const share of shares) {
    const parts = buckets.get(Date.parse(share.at)) ?? {};
    parts[share.venue] = share.decisions;
    buckets.set(Date.parse(share.at), parts);
  }
  return [...buckets].map(([moment, parts]) => ({ at: new Date(moment).toISOString(), parts }));
}

const COSTS = [
  { label: "Venue", sort: (row) => row.venue, cell: (row) => html`<${VenueTag} venue=${row.venue} />` },
  { label: "Strategy", sort: (row) => row.strategy, cell: (row) => words(row.strategy) },
  { label: "Closed trades", number: true, wide: true, sort: (row) => row.trades, cell: (row) => count(row.trades) },
  { label: "Cost", number: true, title: "Realized round trip: fees, slippage and funding", sort: (row) => row.cost_bps, cell: (row) => bps(row.cost_bps) },
  { label: "Regret", number: true, title: "How much less the cheapest alternative would have cost, zero where none would", sort: (row) => row.regret_bps, cell: (row) => bps(row.regret_bps) },
  { label: "Beaten", number: true, wide: true, title: "Trades that another venue would have done for less", sort: (row) => row.beaten, cell: (row) => `${count(row.beaten)} of ${count(row.trades)}` },
];

function Costs({ costs }) {
  return html`<${Card} title="Cost and regret" note="average over closed trades, in basis points of notional" flush>
    <${Table} caption="Cost and regret by venue and strategy" columns=${COSTS} rows=${costs} keyOf=${(row) => row.venue + row.strategy}
      empty=${html`<${Empty} title="No routed trade has closed in this span">Cost is known when a trade is over.<//>`} />
  <//>`;
}

const DECISIONS = [
  { label: "Time", sort: (item) => item.created_at, cell: (item) => time(item.created_at) },
  { label: "Token", sort: (item) => item.token_symbol, cell: (item) => item.token_symbol },
  { label: "Asked for", wide: true, cell: (item) => html`<${VenueTag} venue=${item.requested_venue} />` },
  { label: "Went to", sort: (item) => item.selected_venue, cell: (item) => (item.selected_venue ? html`<${VenueTag} venue=${item.selected_venue} />` : html`<${Pill} state="skipped" mood="warn" />`) },
  { label: "Reason", wide: true, sort: (item) => item.routing_reason, cell: (item) => words(item.routing_reason) },
  { label: "Deployment", wide: true, sort: (item) => item.deployment, cell: (item) => item.deployment },
  { label: "Took", number: true, wide: true, sort: (item) => item.routing_duration_ms, cell: (item) => milliseconds(item.routing_duration_ms) },
];

function Story(item) {
  return html`<div class="story">
    <p>${item.story}</p>
    <ol>
      ${item.venue_availability.map(
        (checked) => html`<li><${VenueTag} venue=${checked.venue} />
          <${Pill} state=${checked.available ? "available" : "refused"} mood=${checked.available ? "good" : "warn"} />
          <span class="figure">${checked.cost_bps ? `${ratio(checked.cost_bps.total)} bp expected` : "cost not known"}</span>
          <span class="quiet">${checked.available ? breakdown(checked.cost_bps) : checked.detail || words(checked.reason)}</span></li>`,
      )}
    </ol>
    <p class="quiet">By ${words(item.routing_strategy)}, configuration version ${item.config_version}. Decision ${item.id}.</p>
  </div>`;
}

function breakdown(cost) {
  if (!cost) return "";
  return ["taker_fee", "spread", "impact", "funding", "fixed"].map((part) => `${words(part)} ${ratio(cost[part])}`).join(", ");
}
