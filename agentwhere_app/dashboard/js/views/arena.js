// The arena: language models that trade side by side, what their accounts were worth, and what they said and did.
import { html, useEffect, useMemo, useState } from "../html.js";
import { ask, useData } from "../data.js";
import { Lines, SERIES_COLOURS } from "../charts.js";
import { Card, Choice, Empty, Gain, Loaded, Pill, Table, View } from "../parts.js";
import { ago, count, milliseconds, percent, span, time, usd, words } from "../format.js";

const RANGES = [["day", "Day"], ["week", "Week"], ["all", "All"]];
const FIRST_SHOWN = 12;
const LENGTHS = { day: 86_400, week: 604_800 };
const SCALES = [["usd", "USD"], ["log", "Log"]];

export function Arena() {
  const performance = useData("/performance", ["arena"]);
  const standing = useData("/api/pages/arena", ["arena"]);
  const invocations = useData("/invocations?limit=60", ["arena"]);
  return html`<${View} title="Arena" about="Language models that trade side by side, net of what they cost." result=${performance} assets=${["model_invocations", "portfolio_snapshots"]}>
    <${Loaded} result=${performance} lines=${9}>${(data) => html`<${Performance} data=${data} models=${standing.data?.models ?? []} />`}<//>
    <${Loaded} result=${invocations}>${(data) => html`<${Invocations} data=${data} />`}<//>
  <//>`;
}

/** Points of all models on one axis of time; a model without a point at a moment has a gap there. */
function align(points) {
  const names = [...new Set(points.map((point) => point.model.name))].sort();
  const times = [...new Set(points.map((point) => Math.round(Date.parse(point.createdAt) / 1000)))].sort((a, b) => a - b);
  const places = new Map(times.map((time, place) => [time, place]));
  const values = Object.fromEntries(names.map((name) => [name, Array(times.length).fill(null)]));
  for (const point of points) values[point.model.name][places.get(Math.round(Date.parse(point.createdAt) / 1000))] = Number(point.totalValue);
  return { names, times, values };
}

const isBaseline = (name) => /baseline|hold|nothing/i.test(name);

function Performance({ data, models }) {
  const [hidden, setHidden] = useState(new Set());
  const [range, setRange] = useState("all");
  const [scale, setScale] = useState("usd");
  const [isZoomed, setZoomed] = useState(false);
  const { names, times, values } = useMemo(() => align(data.data), [data]);
  const series = useMemo(
    () => names.map((name, place) => ({ name, values: values[name], colour: `--series-${(place % SERIES_COLOURS) + 1}`, shown: !hidden.has(name), dashed: isBaseline(name) })),
    [names, values, hidden],
  );
  const window = useMemo(() => (range === "all" || !times.length ? null : [times.at(-1) - LENGTHS[range], times.at(-1)]), [range, times]);
  if (!names.length) {
    return html`<${Card} title="Performance"><${Empty} title="No model trades yet">When models are added, with <code>agentwhere models add</code>, their accounts are drawn here against buy-and-hold and doing nothing.<//><//>`;
  }
  const turn = (name) => setHidden((before) => new Set(before.has(name) ? [...before].filter((item) => item !== name) : [...before, name]));
  const last = (name) => values[name].findLast((value) => value !== null);
  const first = (name) => values[name].find((value) => value !== null);
  const said = names.map((name) => `${name} ${usd(last(name))}`).join(", ");
  return html`<${Card} title="Performance" note="account value of each model"
    tools=${html`
      ${isZoomed && range === "all" && html`<button onClick=${() => { setRange("day"); queueMicrotask(() => setRange("all")); }}>Show all</button>`}
      <${Choice} label="Scale" options=${SCALES} value=${scale} onChange=${setScale} />
      <${Choice} label="Range" options=${RANGES} value=${range} onChange=${setRange} />`}>
    <${Lines} times=${times} series=${series} height=${340} log=${scale === "log"} range=${window} onZoom=${setZoomed} label="Account values over time. Now: ${said}" />
    <p class="quiet hint">Drag over the chart to zoom, double-click to see all. Press a name to hide or show its line.</p>
    <ul class="legend toggles">
      ${series.map(
        (line) => html`<li><button aria-pressed=${line.shown} onClick=${() => turn(line.name)}>
          <i class="swatch c${(names.indexOf(line.name) % SERIES_COLOURS) + 1} ${line.dashed ? "dashed" : ""}" aria-hidden="true"></i>
          ${line.name} <span class="figure">${usd(last(line.name))}</span> <${Gain} value=${last(line.name) / first(line.name) - 1} as="percent" />
        </button></li>`,
      )}
    </ul>
  <//>
  <${Standing} models=${models} />`;
}

const MODELS = [
  { label: "Model", sort: (model) => model.name, cell: (model) => html`<span title=${model.openrouter_model}>${model.name}</span>` },
  { label: "Status", wide: true, sort: (model) => model.status, cell: (model) => html`<${Pill} state=${model.status} />` },
  { label: "Value", number: true, sort: (model) => model.total_value, cell: (model) => usd(model.total_value) },
  { label: "Return", number: true, sort: gain, cell: (model) => html`<${Gain} value=${gain(model)} as="percent" />` },
  { label: "Open", number: true, wide: true, sort: (model) => model.open_positions, cell: (model) => count(model.open_positions) },
  { label: "Invocations", number: true, wide: true, sort: (model) => model.invocations, cell: (model) => count(model.invocations) },
  { label: "LLM cost", number: true, sort: (model) => model.llm_cost_usd, cell: (model) => usd(model.llm_cost_usd) },
  { label: "Every", number: true, wide: true, cell: (model) => span(model.interval_s) },
  { label: "Last", number: true, wide: true, sort: (model) => model.last_invoked_at, cell: (model) => ago(model.last_invoked_at) },
];

function gain(model) {
  return model.total_value === null || !Number(model.first_value) ? null : Number(model.total_value) / Number(model.first_value) - 1;
}

function Standing({ models }) {
  if (!models.length) return null;
  return html`<${Card} title="Standing" flush>
    <${Table} caption="Models" columns=${MODELS} rows=${models} keyOf=${(model) => model.id} order=${{ label: "Return", down: true }} />
  <//>`;
}

function Invocations({ data }) {
  const [model, setModel] = useState("");
  const [shownMost, setShownMost] = useState(FIRST_SHOWN);
  const names = [...new Set(data.data.map((item) => item.model.name))].sort();
  const shown = data.data
    .filter((item) => !model || item.model.name === model)
    .sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
  return html`<${Card} title="Recent invocations" note=${data.data.length ? "newest first" : null}
    tools=${names.length > 1 && html`<label class="hidden" for="model">Model</label><select id="model" value=${model} onChange=${(event) => setModel(event.target.value)}><option value="">All models</option>${names.map((name) => html`<option value=${name}>${name}</option>`)}</select>`}>
    ${shown.length
      ? html`<ol class="invocations">${shown.slice(0, shownMost).map((item) => html`<${Invocation} key=${item.id} item=${item} />`)}</ol>
          ${shown.length > shownMost && html`<p class="more"><button class="link" onClick=${() => setShownMost(shown.length)}>Show all ${shown.length}</button></p>`}`
      : html`<${Empty} title="No invocation yet">Each time a model is asked, its prompt, its answer and its tool calls are kept here.<//>`}
  <//>`;
}

function Invocation({ item }) {
  const [isOpen, setOpen] = useState(false);
  return html`<li>
    <button class="opener" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      <span class="chevron" aria-hidden="true"></span>
      <span class="name">${item.model.name}</span>
      <span class="calls">${item.toolCalls.length ? item.toolCalls.map(say).join("; ") : "no tool call"}</span>
      <span class="quiet figure">${time(item.createdAt)}</span>
    </button>
    <p class="answer">${item.response || html`<span class="quiet">No words, only tool calls.</span>`}</p>
    ${isOpen && html`<${Full} id=${item.id} item=${item} />`}
  </li>`;
}

function parsed(metadata) {
  if (typeof metadata !== "string") return metadata ?? {};
  try {
    return JSON.parse(metadata);
  } catch {
    return { text: metadata };
  }
}

function say(call) {
  const facts = parsed(call.metadata);
  const asked = facts.arguments ?? facts;
  const parts = [asked.side, asked.quantity, asked.symbol].filter((part) => part !== undefined && part !== null);
  return parts.length ? `${words(call.toolCallType)}: ${parts.join(" ")}` : words(call.toolCallType);
}

function Full({ id, item }) {
  const [full, setFull] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    ask(`/api/pages/invocations/${id}`).then(setFull, setError);
  }, [id]);
  const calls = full?.toolCalls ?? item.toolCalls;
  return html`<div class="full">
    ${full &&
    html`<p class="quiet">Invocation ${count(full.number)}, ${words(full.state)}, ${full.provider_model ?? "model unknown"}: ${count(full.prompt_tokens)} tokens in, ${count(full.completion_tokens)} out, ${usd(full.cost_usd, { digits: 4 })}, ${milliseconds(full.latency_ms)}.${full.error ? ` ${full.error}` : ""}</p>`}
    ${calls.map(
      (call) => html`<div class="call"><p><strong>${words(call.tool_call_type ?? call.toolCallType)}</strong> ${call.status && html`<${Pill} state=${call.status} />`} ${call.reason && html`<span class="quiet">${words(call.reason)}. ${call.detail}</span>`}</p>
        <pre tabindex="0">${JSON.stringify(parsed(call.metadata), null, 2)}</pre></div>`,
    )}
    ${error ? html`<p class="banner">The prompt could not be loaded: ${error.message}</p>` : full ? html`<details><summary>Prompt</summary><pre tabindex="0">${full.prompt}</pre></details>` : html`<p class="quiet">Loading the prompt…</p>`}
  </div>`;
}
