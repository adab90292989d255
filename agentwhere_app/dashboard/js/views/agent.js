// One agent: every figure with its window and sample, its equity, whom it follows, what it does.
import { html, useState } from "../html.js";
import { ask, useData } from "../data.js";
import { Lines } from "../charts.js";
import { Ask, Card, Empty, Gain, Loaded, Pill, Side, Stat, Table, VenueTag, View } from "../parts.js";
import { count, NONE, percent, price, ratio, time, usd, words } from "../format.js";

const WINDOWS = [["30d", "30 days"], ["90d", "90 days"], ["si", "Since start"]];

export function Agent({ id }) {
  const result = useData(`/api/pages/marketplace/${id}`, ["agents", "deployments", "positions", "signals"]);
  const agent = result.data?.agent;
  return html`<${View}
    title=${agent?.name ?? "Agent"}
    about=${html`<a href="/marketplace">Marketplace</a>${agent && html` · <${Pill} state=${agent.status} /> · <${VenueTag} venue=${agent.venue} /> ·`}`}
    result=${result}
    assets=${["agent_metrics", "signals"]}
  >
    <${Loaded} result=${result}>${(data) => html`<${Body} data=${data} onDone=${result.reload} />`}<//>
  <//>`;
}

function Body({ data, onDone }) {
  const { metrics, agent } = data;
  const capital = data.deployments.reduce((sum, item) => sum + Number(item.capital_usd), 0);
  return html`
    <dl class="stats">
      <${Stat} label="Equity" value=${usd(metrics?.equity_usd)} detail="of ${usd(capital, { digits: 0 })} deployed" />
      <${Stat} label="Net PnL" value=${html`<${Gain} value=${metrics?.net_pnl_usd} />`} detail="${count(metrics?.closed_positions ?? 0)} closed positions" />
      <${Stat} label="APR, 30 days" value=${percent(metrics?.apr_30d, { plus: true })} detail="${count(metrics?.days_30d ?? 0)} days of history" />
      <${Stat} label="Sharpe, 30 days" value=${ratio(metrics?.sharpe_30d)} detail=${interval(metrics, "30d")} />
    </dl>
    <${Equity} points=${data.equity} name=${agent.name} />
    <${Card} title="Figures" note=${metrics ? `computed ${time(metrics.computed_at)} UTC` : null} flush>
      ${metrics ? html`<${Figures} metrics=${metrics} />` : html`<${Empty} title="No figures yet">They are computed when a position closes, and daily.<//>`}
    <//>
    <div class="two">
      <${Card} title="Follows" note="${data.sources.length} sources">
        ${data.sources.length
          ? html`<ul class="plain">${data.sources.map((source) => html`<li>${source.handle ? `@${source.handle}` : source.feed}</li>`)}</ul>`
          : html`<${Empty} title="Follows nobody">Signals come from elsewhere, e.g. the arena.<//>`}
      <//>
      <${Deployments} deployments=${data.deployments} onDone=${onDone} />
    </div>
    <${Card} title="Recent signals" flush>
      <${Table} caption="Recent signals" columns=${SIGNALS} rows=${data.signals} keyOf=${(signal) => signal.id}
        details=${(signal) => html`<p>${signal.reasoning}</p>`}
        empty=${html`<${Empty} title="No signal yet">Posts are read every six hours.<//>`} />
    <//>
    <${Card} title="Recent positions" flush>
      <${Table} caption="Recent positions" columns=${POSITIONS} rows=${data.positions} keyOf=${(position) => position.id}
        empty=${html`<${Empty} title="No position yet">One opens when a signal passes policy and routing.<//>`} />
    <//>
  `;
}

function Deployments({ deployments, onDone }) {
  const [chosen, setChosen] = useState(null);
  const isActive = chosen?.status === "ACTIVE";
  return html`<${Card} title="Deployments" note="${deployments.length}">
    ${deployments.length
      ? html`<ul class="plain">${deployments.map(
          (item) => html`<li class="component" key=${item.id}><${Pill} state=${item.status} /> <span class="name">${item.name}</span>
            <span class="quiet figure">${usd(item.capital_usd, { digits: 0 })}</span>
            <button class="small" aria-label="${item.status === "ACTIVE" ? "Pause" : "Resume"} ${item.name}" onClick=${() => setChosen(item)}>${item.status === "ACTIVE" ? "Pause…" : "Resume…"}</button></li>`,
        )}</ul>`
      : html`<${Empty} title="Nobody runs it">Run it with <code>agentwhere deploy</code>.<//>`}
    <${Ask} title=${isActive ? "Pause this deployment?" : "Resume this deployment?"} isOpen=${chosen !== null} onClose=${() => setChosen(null)} confirm=${isActive ? "Pause" : "Resume"}
      onConfirm=${async () => {
        await ask(`/api/deployments/${chosen.id}/${isActive ? "pause" : "resume"}`, { method: "POST" });
        onDone();
      }}>
      <p><strong>${chosen?.name}</strong> ${isActive ? "opens nothing from now on, until it is resumed. Its open positions stay protected, and are closed as planned." : "opens positions again, from the next signal on."}</p>
    <//>
  <//>`;
}

function Equity({ points, name }) {
  if (points.length < 2) return html`<${Card} title="Equity"><${Empty} title="No history yet">A point is added for every day that ends.<//><//>`;
  const values = points.map((point) => Number(point.equity_usd));
  return html`<${Card} title="Equity" note="${points.length} days">
    <${Lines} times=${points.map((point) => Date.parse(point.as_of) / 1000)} series=${[{ name: "Equity", values, colour: "--accent" }]} height=${240} fill
      label="Equity of ${name}: ${usd(values.at(-1))} after ${points.length} days, from ${usd(values[0])}" />
  <//>`;
}

const FIGURES = [
  ["Return", "total_return", (value) => percent(value, { plus: true })],
  ["APR", "apr", (value) => percent(value, { plus: true })],
  ["CAGR", "cagr", (value) => percent(value, { plus: true })],
  ["Sharpe", "sharpe", ratio],
  ["Sortino", "sortino", ratio],
  ["Volatility", "volatility", percent],
  ["Max. drawdown", "max_drawdown", percent],
  ["Profit factor", "profit_factor", ratio],
  ["Winning days", "win_rate", percent],
];

function Figures({ metrics }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Figures by window">
    <table>
      <caption class="hidden">Figures by window</caption>
      <thead><tr><th scope="col">Figure</th>${WINDOWS.map(([, name]) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>
        ${FIGURES.map(
          ([name, figure, format]) => html`<tr><th scope="row">${name}</th>${WINDOWS.map(([window]) => html`<td class="number">${format(metrics[`${figure}_${window}`])}</td>`)}</tr>`,
        )}
        <tr><th scope="row">95 % interval of Sharpe</th>${WINDOWS.map(([window]) => html`<td class="number pair">${interval(metrics, window)}</td>`)}</tr>
        <tr><th scope="row">Days of history</th>${WINDOWS.map(([window]) => html`<td class="number">${count(metrics[`days_${window}`])}</td>`)}</tr>
      </tbody>
    </table>
  </div>`;
}

function interval(metrics, window) {
  const [low, high] = [metrics?.[`sharpe_low_${window}`], metrics?.[`sharpe_high_${window}`]];
  return low === null || low === undefined ? NONE : `${ratio(low)} to ${ratio(high)}`;
}

const SIGNALS = [
  { label: "Token", sort: (signal) => signal.token, cell: (signal) => signal.token },
  { label: "Side", cell: (signal) => html`<${Side} side=${signal.side} />` },
  { label: "Size", number: true, sort: (signal) => signal.fund_percentage, cell: (signal) => `${ratio(signal.fund_percentage)} %` },
  { label: "Leverage", number: true, wide: true, cell: (signal) => `${ratio(signal.leverage, 1)}×` },
  { label: "Confidence", number: true, wide: true, sort: (signal) => signal.confidence, cell: (signal) => percent(signal.confidence, { digits: 0 }) },
  { label: "Venue", wide: true, cell: (signal) => html`<${VenueTag} venue=${signal.venue} />` },
  { label: "Made", number: true, sort: (signal) => signal.created_at, cell: (signal) => time(signal.created_at) },
];

const POSITIONS = [
  { label: "Token", cell: (position) => position.token },
  { label: "Side", cell: (position) => html`<${Side} side=${position.side} />` },
  { label: "Venue", wide: true, cell: (position) => html`<${VenueTag} venue=${position.venue} />` },
  { label: "Entry", number: true, wide: true, cell: (position) => price(position.entry_price) },
  { label: "PnL", number: true, cell: (position) => html`<${Gain} value=${pnl(position)} />` },
  { label: "State", cell: (position) => (position.status === "OPEN" ? html`<${Pill} state="OPEN" />` : words(position.exit_reason)) },
  { label: "Opened", number: true, wide: true, sort: (position) => position.opened_at, cell: (position) => time(position.opened_at) },
];

export function pnl(position) {
  return Number(position.realized_pnl_usd) + Number(position.unrealized_pnl_usd) - Number(position.fees_usd) + Number(position.funding_usd);
}
