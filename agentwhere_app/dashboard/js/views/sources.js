// Sources: whom agents follow, and what following them was worth.
import { html } from "../html.js";
import { useData } from "../data.js";
import { Card, Empty, Gain, Loaded, Pill, Table, View } from "../parts.js";
import { ago, count, NONE, percent, ratio } from "../format.js";

export function Sources() {
  const result = useData("/api/pages/sources", ["signals", "positions", "agents"]);
  return html`<${View} title="Sources" about="Whom agents follow, and what following them was worth." result=${result} assets=${["posts", "source_scores"]}>
    <${Loaded} result=${result}>
      ${(data) => html`<${Card} flush>
        <${Table} caption="Sources" columns=${COLUMNS} rows=${data.sources} keyOf=${(source) => source.id} order=${{ label: "PnL", down: true }}
          empty=${html`<${Empty} title="No source yet">An agent brings its sources: <code>agentwhere agents create NAME --x HANDLE --feed URL</code>.<//>`} />
      <//>
      <p class="quiet foot">A hit is a closed trade that made money. The bar is the 95 % interval of the hit rate: the fewer closed trades, the wider. The weight scales the size of a source's next signals; for it, a result counts half after 90 days, while the other figures are of all time.</p>`}
    <//>
  <//>`;
}

const COLUMNS = [
  { label: "Source", sort: (source) => source.name, cell: (source) => html`<span class="clip" title=${source.url || source.name}>${source.name}</span>` },
  { label: "Kind", wide: true, sort: (source) => source.kind, cell: (source) => (source.kind === "X" ? "X account" : "feed") },
  { label: "Agents", number: true, wide: true, sort: (source) => source.agents, cell: (source) => count(source.agents) },
  { label: "Posts, 7 d", number: true, wide: true, sort: (source) => source.posts_7d, cell: (source) => count(source.posts_7d) },
  { label: "Signals", number: true, wide: true, sort: (source) => source.signals, cell: (source) => count(source.signals) },
  { label: "Closed", number: true, sort: (source) => source.closed, cell: (source) => count(source.closed) },
  { label: "Hit rate", number: true, sort: (source) => source.hit_rate, cell: (source) => percent(source.hit_rate, { digits: 0 }) },
  { label: "Interval", wide: true, cell: Interval },
  { label: "PnL", number: true, sort: (source) => source.pnl_usd, cell: (source) => html`<${Gain} value=${source.pnl_usd} />` },
  { label: "Weight", number: true, wide: true, sort: (source) => source.weight, cell: (source) => ratio(source.weight) },
  { label: "Read", wide: true, sort: (source) => source.last_fetched, cell: (source) => (source.last_error ? html`<span title=${source.last_error}><${Pill} state="failed" /></span>` : source.last_fetched ? ago(source.last_fetched) : NONE) },
];

function Interval(source) {
  if (source.hit_rate_low === null || source.hit_rate_low === undefined) return html`<span class="quiet">${NONE}</span>`;
  const [low, high, mid] = [source.hit_rate_low, source.hit_rate_high, source.hit_rate].map((value) => Number(value) * 100);
  return html`<svg class="interval" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label="between ${Math.round(low)} and ${Math.round(high)} percent">
    <line class="base" x1="0" y1="6" x2="100" y2="6" /><line class="band" x1=${low} y1="6" x2=${high} y2="6" /><line class="mid" x1=${mid} y1="1" x2=${mid} y2="11" />
  </svg>`;
}
