// The overview: how it feels, what is wrong, what to do, and the switch that stops it.
import { html, useState } from "../html.js";
import { ask, useData } from "../data.js";
import { Lines } from "../charts.js";
import { Ask, Card, Empty, Gain, Loaded, Pill, Prose, Stat, Table, View } from "../parts.js";
import { ago, count, milliseconds, span, time, usd, venueName, words } from "../format.js";

export function Overview() {
  const health = useData("/api/monitoring/health", ["health", "alerts", "kill_switches", "positions", "orders"]);
  const result = useData("/api/pages/overview", ["alerts", "kill_switches", "positions", "health", "signals", "agents", "deployments"]);
  return html`<${View}
    title="Overview"
    about="Health, incidents and money at a glance."
    result=${result}
    assets=${["health_report", "positions", "agent_metrics"]}
    tools=${html`<${KillSwitch} venues=${Object.keys(health.data?.venues ?? {})} onDone=${result.reload} />`}
  >
    <${Loaded} result=${result}>
      ${(data) => html`
        <${Switches} switches=${data.killSwitches} onDone=${result.reload} />
        <${Counts} counts=${data.counts} />
        <div class="two">
          <${Health} result=${health} />
          <${Incidents} data=${data} onDone=${result.reload} />
        </div>
        <${Earned} points=${data.earned} />
        <${Steps} steps=${data.steps} />
      `}
    <//>
  <//>`;
}

function Counts({ counts }) {
  return html`<dl class="stats">
    <${Stat} label="Capital deployed" value=${usd(counts.capital_usd, { digits: 0 })} detail="${count(counts.deployments)} deployments" />
    <${Stat} label="Open positions" value=${count(counts.open_positions)} detail=${html`<${Gain} value=${counts.unrealized_pnl_usd} /> unrealized`} />
    <${Stat} label="Realized, 24 h" value=${html`<${Gain} value=${counts.realized_24h_usd} />`} detail="after fees and funding" />
    <${Stat} label="Active agents" value=${count(counts.active_agents)} detail="${count(counts.signals_24h)} signals in 24 h${counts.arena_models ? `; ${count(counts.arena_models)} arena models apart` : ""}" />
  </dl>`;
}

function Health({ result }) {
  return html`<${Card} title="Health" tools=${result.data && html`<${Pill} state=${result.data.status} />`}>
    <${Loaded} result=${result}>${(report) => html`<ul class="components">${components(report).map(Component)}</ul>`}<//>
  <//>`;
}

function Component([name, verdict, figure]) {
  return html`<li key=${name}>
    <div class="component">
      <${Pill} state=${verdict.status} /><span class="name">${name}</span><span class="quiet figure">${figure}</span>
    </div>
    ${verdict.findings.map(
      (finding) => html`<p class="finding"><strong><${Prose} text=${finding.text} /></strong> <${Prose} text=${finding.remedy} /></p>`,
    )}
  </li>`;
}

function components(report) {
  const venues = Object.entries(report.venues).map(([venue, verdict]) => [
    venueName(venue),
    verdict,
    `${count(verdict.availableMarkets)} markets, ${verdict.ageSeconds === null ? "never synced" : `${span(verdict.ageSeconds)} old`}`,
  ]);
  return [
    ...venues,
    ["Database", report.database, milliseconds(report.database.responseMs)],
    ["Routing", report.routing, `${count(report.routing.decisions)} decisions, ${milliseconds(report.routing.avgRoutingTimeMs)}`],
    ["Position monitor", report.positionMonitor, report.positionMonitor.lastRunAt ? `ran ${ago(report.positionMonitor.lastRunAt)}` : "never ran"],
    ["Execution", report.execution, report.execution.executionRate === null ? "no recent entries" : `${report.execution.executionRate} % filled`],
    ["Posts", report.posts, `${count(report.posts.pending)} waiting`],
    ["Errors", report.errors, `${count(report.errors.count)} recently`],
  ];
}

function Incidents({ data, onDone }) {
  const [taken, setTaken] = useState(null);
  return html`<${Card} title="Open incidents" note=${data.alerts.length ? count(data.alerts.length) : null}>
    ${data.undelivered > 0 && html`<p class="banner" role="status">${count(data.undelivered)} notices could not be delivered yet; see <code>agentwhere alerts list</code>.</p>`}
    ${data.alerts.length
      ? html`<ul class="incidents">
          ${data.alerts.map(
            (alert) => html`<li key=${alert.incident}>
              <div class="component"><${Pill} state=${alert.severity} /><span class="name">${alert.title}</span><span class="quiet figure">${ago(alert.opened_at)}</span></div>
              <p class="finding"><${Prose} text=${alert.detail} /></p>
              ${alert.acknowledged_by
                ? html`<p class="finding quiet">Taken on by ${alert.acknowledged_by}.</p>`
                : html`<p class="finding"><button class="small" aria-label="Take on: ${alert.title}" onClick=${() => setTaken(alert)}>Take on…</button></p>`}
            </li>`,
          )}
        </ul>`
      : html`<${Empty} title="Nothing is wrong">Incidents appear here while they last, and are told to your alert targets.<//>`}
    <${Ask} title="Take this incident on?" isOpen=${taken !== null} onClose=${() => setTaken(null)} confirm="Take on"
      onConfirm=${async () => {
        await ask(`/api/alerts/${taken.id}/acknowledge`, { method: "POST" });
        onDone();
      }}>
      <p><strong>${taken?.title}.</strong> Nobody is reminded of it any more; its end is told.</p>
    <//>
  <//>`;
}

function Earned({ points }) {
  if (points.length < 2) return html`<${Card} title="Net PnL of all agents"><${Empty} title="No history yet">A point is added for every day that ends.<//><//>`;
  const times = points.map((point) => Date.parse(point.as_of) / 1000);
  const values = points.map((point) => Number(point.net_pnl_usd));
  return html`<${Card} title="Net PnL of all agents" note="daily, after fees and funding">
    <${Lines} times=${times} series=${[{ name: "Net PnL", values, colour: "--accent" }]} height=${190} fill
      label="Net PnL of all agents, now ${usd(values.at(-1))}, ${points.length} days ago ${usd(values[0])}" />
  <//>`;
}

const STEP_COLUMNS = [
  { label: "Step", cell: (step) => words(step.step), sort: (step) => step.step },
  { label: "Ended", cell: (step) => ago(step.finished_at), sort: (step) => step.finished_at, number: true },
  { label: "Took", cell: (step) => milliseconds(step.seconds * 1000), sort: (step) => step.seconds, number: true, wide: true },
  { label: "In", cell: (step) => count(step.rows_in), number: true, wide: true },
  { label: "Out", cell: (step) => count(step.rows_out), number: true, wide: true },
  { label: "Result", cell: (step) => html`<${Pill} state=${step.ok ? "done" : "problems"} mood=${step.ok ? "good" : "warn"} />` },
];

function Steps({ steps }) {
  return html`<${Card} title="Last run of each step" flush>
    <${Table}
      caption="Last run of each step"
      columns=${STEP_COLUMNS}
      rows=${steps}
      keyOf=${(step) => step.step}
      order=${{ label: "Ended", down: true }}
      details=${(step) => html`<p>${step.error ?? `Ended at ${time(step.finished_at)} UTC without a problem.`}</p>`}
      empty=${html`<${Empty} title="Nothing ran yet">Start the system with <code>agentwhere up</code>, or run <code>agentwhere cycle</code>.<//>`}
    />
  <//>`;
}

function Switches({ switches, onDone }) {
  const [released, setReleased] = useState(null);
  return html`${switches.map(
    (item) => html`<div class="banner bad" role="alert" key=${item.scope + item.target}>
      <span><strong>Kill switch engaged: ${item.scope === "GLOBAL" ? "everything" : `${words(item.scope)} ${item.target}`}.</strong>
      ${" "}No new entries. ${item.reason} (${item.author}, ${ago(item.engaged_at)})</span>
      <button onClick=${() => setReleased(item)}>Release…</button>
    </div>`,
  )}
  <${Ask} title="Release this kill switch?" isOpen=${released !== null} onClose=${() => setReleased(null)} confirm="Release"
    onConfirm=${async (form) => {
      await ask("/api/kill-switches/release", { method: "POST", body: { scope: released.scope, target: released.target, reason: form.get("reason") } });
      onDone();
    }}>
    <p>New entries are allowed again at once, as far as no other switch stops them.</p>
    <${Reason} />
  <//>`;
}

function KillSwitch({ venues, onDone }) {
  const [isOpen, setOpen] = useState(false);
  const [scope, setScope] = useState("GLOBAL");
  return html`<button class="danger-quiet" onClick=${() => setOpen(true)}>Stop trading…</button>
    <${Ask} title="Stop new entries?" danger isOpen=${isOpen} onClose=${() => setOpen(false)} confirm="Stop trading"
      onConfirm=${async (form) => {
        await ask("/api/kill-switches", {
          method: "POST",
          body: { scope, target: scope === "VENUE" ? form.get("venue") : "", reason: form.get("reason"), close_all: form.get("close") === "on" },
        });
        onDone();
      }}>
      <p>No new position is opened from now on, also after a restart, until the switch is released. Protective orders and exits go on.</p>
      <label for="kill-scope">What to stop</label>
      <select id="kill-scope" value=${scope} onChange=${(event) => setScope(event.target.value)}>
        <option value="GLOBAL">Everything</option>
        <option value="VENUE">One venue</option>
      </select>
      ${scope === "VENUE" &&
      html`<label for="kill-venue">Venue</label>
        <select id="kill-venue" name="venue">${venues.map((venue) => html`<option value=${venue.toUpperCase()}>${venueName(venue)}</option>`)}</select>`}
      <${Reason} />
      <label class="check"><input type="checkbox" name="close" /> Also close all open positions there, at the market</label>
    <//>`;
}

function Reason() {
  return html`<label for="reason">Reason, kept on record</label><input id="reason" name="reason" required maxlength="300" autocomplete="off" />`;
}
