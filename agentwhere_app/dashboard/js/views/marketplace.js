// The marketplace: agents by their figures, each with the sample that it rests on.
import { html, useState } from "../html.js";
import { useData } from "../data.js";
import { Card, Choice, Empty, Gain, Loaded, Pill, Spark, Table, VenueTag, View } from "../parts.js";
import { count, NONE, percent, ratio, usd } from "../format.js";

const WINDOWS = [["30d", "30 days"], ["90d", "90 days"], ["si", "Since start"]];

export function Marketplace() {
  const [window, setWindow] = useState("30d");
  const result = useData("/api/pages/marketplace", ["agents", "deployments", "positions"]);
  return html`<${View}
    title="Marketplace"
    about="Agents by what they earned, net of fees and funding."
    result=${result}
    assets=${["agent_metrics"]}
    tools=${html`<${Choice} label="Window" options=${WINDOWS} value=${window} onChange=${setWindow} />`}
  >
    <${Loaded} result=${result}>
      ${(data) => html`<${Card} flush>
        <${Table}
          caption="Agents"
          columns=${columns(window)}
          rows=${data.agents}
          keyOf=${(agent) => agent.id}
          order=${{ label: "APR", down: true }}
          empty=${html`<${Empty} title="No agent yet">Make one with <code>agentwhere agents create NAME --x HANDLE</code>.<//>`}
        />
      <//>
      <p class="quiet foot">APR is the return of the window times 365 over its days, Sharpe is annualized over daily returns. Both need seven days; “days” and “closed” say how much they rest on.</p>`}
    <//>
  <//>`;
}

function columns(window) {
  const apr = (agent) => agent[`apr_${window}`];
  const sharpe = (agent) => agent[`sharpe_${window}`];
  return [
    { label: "Agent", sort: (agent) => agent.name, cell: (agent) => html`<a class="row-link" href="/marketplace/${agent.id}">${agent.name}</a>` },
    { label: "Status", wide: true, sort: (agent) => agent.status, cell: (agent) => html`<${Pill} state=${agent.status} />` },
    { label: "Venue", wide: true, sort: (agent) => agent.venue, cell: (agent) => html`<${VenueTag} venue=${agent.venue} />` },
    { label: "APR", number: true, sort: apr, cell: (agent) => (apr(agent) === null ? html`<span title="Needs seven days">${NONE}</span>` : html`<${Gain} value=${apr(agent)} as="percent" />`) },
    { label: "Sharpe", number: true, sort: sharpe, cell: (agent) => ratio(sharpe(agent)) },
    { label: "Days", number: true, sort: (agent) => agent.days_si, cell: (agent) => count(agent.days_si) },
    { label: "Closed", number: true, wide: true, sort: (agent) => agent.closed_positions, cell: (agent) => count(agent.closed_positions) },
    { label: "Max. drawdown", number: true, wide: true, sort: (agent) => agent.max_drawdown_si, cell: (agent) => percent(agent.max_drawdown_si) },
    { label: "Net PnL", number: true, wide: true, sort: (agent) => agent.net_pnl_usd, cell: (agent) => html`<${Gain} value=${agent.net_pnl_usd} />` },
    { label: "Equity", number: true, wide: true, sort: (agent) => agent.equity_usd, cell: (agent) => usd(agent.equity_usd) },
    { label: "60 days", wide: true, cell: (agent) => html`<${Spark} values=${agent.curve} label="Equity of ${agent.name}" />` },
  ];
}
