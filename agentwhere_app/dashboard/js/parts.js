// Parts that all views are made of.
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { key, useNow } from "./data.js";
import { ago, NONE, percent, tone, usd, venueName, words } from "./format.js";

const STALE_AFTER_MS = 150_000;

export function View({ title, about, result, assets = [], tools, children }) {
  useEffect(() => {
    document.title = `${title} · Agent Where`;
  }, [title]);
  return html`
    <header class="view-head">
      <div>
        <h1 tabindex="-1" id="view-title">${title}</h1>
        <p class="about">${about} <${Age} result=${result} /></p>
      </div>
      <div class="tools">${tools}<${AssetLinks} assets=${assets} /></div>
    </header>
    ${children}
  `;
}

/** Where the data of a view comes from: its assets in the Dagster UI. */
function AssetLinks({ assets }) {
  const base = window.agentWhere?.dagsterUrl;
  if (!base || !assets.length) return null;
  return html`<nav class="assets" aria-label="Assets in Dagster">
    ${assets.map(
      (asset) => html`<a href="${base}/assets/${asset}" target="_blank" rel="noreferrer">${words(asset)}<span aria-hidden="true"> ↗</span></a>`,
    )}
  </nav>`;
}

function Age({ result }) {
  const now = useNow();
  if (!result?.loadedAt) return null;
  const isOld = Boolean(result.data?.stale);
  const isStale = isOld || Boolean(result.error) || now - result.loadedAt > STALE_AFTER_MS;
  const text = `Updated ${ago(isOld ? result.data.lastUpdated : result.loadedAt, now)}`;
  return html`<span class=${isStale ? "age stale" : "age"}>${isStale ? `Stale. ${text}.` : `${text}.`}</span>`;
}

/** Shows what `result` has: data by `children`, else why there is none. */
export function Loaded({ result, children, lines = 6 }) {
  const { data, error, reload } = result;
  if (!data && error) return html`<${Failure} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} lines=${lines} />`;
  return html`
    ${error &&
    html`<p class="banner" role="status">
      ${error.message} You see the last answer. <button class="link" onClick=${reload}>Try again</button>
    </p>`}
    ${children(data)}
  `;
}

function Loading({ lines }) {
  return html`<div class="card loading" role="status" aria-label="Loading">
    ${Array.from({ length: lines }, (_, line) => html`<div class="bone" key=${line}></div>`)}
  </div>`;
}

function Failure({ error, retry }) {
  if (error.status === 401 || error.status === 403) return html`<${KeyForm} error=${error} />`;
  return html`<div class="card notice" role="alert">
    <h2>This could not be loaded</h2>
    <p>${error.message}</p>
    <button onClick=${retry}>Try again</button>
  </div>`;
}

function KeyForm({ error }) {
  const field = useRef(null);
  const enter = (event) => {
    event.preventDefault();
    key.set(field.current.value.trim());
  };
  return html`<form class="card notice" onSubmit=${enter}>
    <h2>This needs an API key</h2>
    <p>${error.message}</p>
    <label for="api-key">Key, kept until this tab is closed</label>
    <div class="row">
      <input id="api-key" type="password" autocomplete="off" spellcheck="false" ref=${field} required />
      <button class="primary">Use it</button>
    </div>
    <p class="quiet">Make one with <code>agentwhere keys create NAME --scope read</code>.</p>
  </form>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p><p>${children}</p></div>`;
}

export function Card({ title, note, tools, children, flush }) {
  return html`<section class=${flush ? "card flush" : "card"}>
    ${title &&
    html`<header class="card-head">
      <h2>${title}</h2>
      ${note && html`<span class="quiet">${note}</span>`}
      ${tools && html`<div class="tools">${tools}</div>`}
    </header>`}
    ${children}
  </section>`;
}

export function Stat({ label, value, detail, mood }) {
  return html`<div class="stat">
    <dt>${label}</dt>
    <dd class=${mood ?? ""}>${value}</dd>
    ${detail && html`<dd class="detail">${detail}</dd>`}
  </div>`;
}

const MOODS = {
  healthy: "good", active: "good", open: "good", filled: "good", acked: "calm", protected: "good", executed: "good",
  degraded: "warn", warning: "warn", paused: "warn", partial: "warn", pending: "warn", closing: "warn", unknown: "bad", refused: "warn",
  critical: "bad", rejected: "bad", missing: "bad", failed: "bad",
};

/** A state in a word, with a mark whose shape tells it too. */
export function Pill({ state, children, mood }) {
  const found = mood ?? MOODS[String(state).toLowerCase()] ?? "calm";
  return html`<span class="pill ${found}"><span class="mark" aria-hidden="true"></span>${children ?? capital(words(state))}</span>`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Text of the system as a sentence; what stands between backticks is shown as code. */
export function Prose({ text }) {
  const said = /[.!?]$/.test(text) ? text : `${text}.`;
  // A name of code keeps its spelling at the beginning of a sentence, too.
  const whole = /^[a-z]+[ ,]/.test(said) ? capital(said) : said;
  return whole.split("`").map((part, place) => (place % 2 ? html`<code>${part}</code>` : part));
}

export function Side({ side }) {
  const isUp = side === "LONG" || side === "BUY";
  return html`<span class=${isUp ? "side up" : "side down"}><span aria-hidden="true">${isUp ? "▲" : "▼"}</span> ${words(side)}</span>`;
}

export function VenueTag({ venue }) {
  return html`<span class="venue" data-venue=${String(venue ?? "NONE").toUpperCase()}><i aria-hidden="true"></i>${venueName(venue)}</span>`;
}

export function Gain({ value, as = "usd" }) {
  const text = as === "usd" ? usd(value, { plus: true }) : percent(value, { plus: true });
  return html`<span class=${tone(value)}>${text}</span>`;
}

/**
 * A table. Columns: {label, cell, sort, number, wide, title}: `sort` gives the value to order by, `number` aligns to
 * the right, `wide` leaves the column out on a phone. Rows that open give `details(row)`.
 */
export function Table({ caption, columns, rows, keyOf, order, details, empty, limit = 25 }) {
  const [by, setBy] = useState(order ?? null);
  const [isWhole, setWhole] = useState(false);
  const [openRow, setOpenRow] = useState(null);
  const sorted = useMemo(() => sort(rows, columns, by), [rows, columns, by]);
  if (!rows.length) return empty;
  const turn = (label) =>
    setBy((before) => ({ label, down: before?.label === label ? !before.down : true }));
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption class="hidden">${caption}</caption>
      <thead>
        <tr>
          ${columns.map(
            (column) => html`<th
              scope="col"
              class=${classes(column)}
              aria-sort=${by?.label === column.label ? (by.down ? "descending" : "ascending") : undefined}
            >
              ${column.sort
                ? html`<button class="sorter" title=${column.title} onClick=${() => turn(column.label)}>
                    ${column.label}<span class="arrow" aria-hidden="true">${by?.label === column.label ? (by.down ? "↓" : "↑") : ""}</span>
                  </button>`
                : html`<span title=${column.title}>${column.label}</span>`}
            </th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${(isWhole ? sorted : sorted.slice(0, limit)).map((item) => {
          const id = keyOf(item);
          const isOpen = openRow === id;
          return html`
            <tr key=${id} class=${isOpen ? "opened" : ""}>
              ${columns.map((column, place) => {
                const content = column.cell(item);
                const inside =
                  details && place === 0
                    ? html`<button class="opener" aria-expanded=${isOpen} onClick=${() => setOpenRow(isOpen ? null : id)}>
                        <span class="chevron" aria-hidden="true"></span>${content}
                      </button>`
                    : content;
                return place === 0
                  ? html`<th scope="row" class=${classes(column)}>${inside}</th>`
                  : html`<td class=${classes(column)}>${inside}</td>`;
              })}
            </tr>
            ${isOpen && html`<tr key=${`${id} details`} class="details"><td colspan=${columns.length}>${details(item)}</td></tr>`}
          `;
        })}
      </tbody>
    </table>
    ${!isWhole && sorted.length > limit && html`<p class="more"><button class="link" onClick=${() => setWhole(true)}>Show all ${sorted.length}</button></p>`}
  </div>`;
}

const classes = (column) => [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ");

function sort(rows, columns, by) {
  const column = by && columns.find((candidate) => candidate.label === by.label);
  if (!column?.sort) return rows;
  const value = (item) => {
    const found = column.sort(item);
    if (found === null || found === undefined || found === "") return null;
    return typeof found === "string" && !Number.isNaN(Number(found)) ? Number(found) : found;
  };
  // Unknown values come last, whichever way the rest is ordered.
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return by.down ? -order : order;
  });
}

export function Choice({ label, options, value, onChange }) {
  return html`<div class="choice" role="group" aria-label=${label}>
    ${options.map(
      ([option, text]) => html`<button aria-pressed=${option === value} onClick=${() => onChange(option)}>${text}</button>`,
    )}
  </div>`;
}

/** A curve without axes; its words for a screen reader are first, last and change. */
export function Spark({ values, label }) {
  if (!values || values.length < 2) return html`<span class="quiet">${NONE}</span>`;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const height = (value) => (high === low ? 12 : 22 - ((value - low) / (high - low)) * 20);
  const points = values.map((value, place) => `${((place / (values.length - 1)) * 100).toFixed(2)},${height(value).toFixed(2)}`);
  const change = values.at(-1) / values[0] - 1;
  return html`<svg class="spark ${tone(change)}" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="${label}: ${percent(change, { plus: true })} over ${values.length} days">
    <polyline points=${points.join(" ")} vector-effect="non-scaling-stroke" />
  </svg>`;
}

/** Asks before something that cannot be taken back; `children` are the fields. */
export function Ask({ title, isOpen, onClose, onConfirm, confirm, danger, children }) {
  const dialog = useRef(null);
  const [state, setState] = useState({ busy: false, error: null });
  useEffect(() => {
    if (isOpen && !dialog.current.open) {
      setState({ busy: false, error: null });
      dialog.current.showModal();
    }
    if (!isOpen && dialog.current.open) dialog.current.close();
  }, [isOpen]);
  const submit = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      await onConfirm(new FormData(event.target));
      setState({ busy: false, error: null });
      onClose();
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-label=${title}>
    <form onSubmit=${submit}>
      <h2>${title}</h2>
      ${children}
      ${state.error && html`<p class="banner bad" role="alert">${state.error.message}</p>`}
      <div class="row end">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button class=${danger ? "danger" : "primary"} disabled=${state.busy}>${state.busy ? "Working…" : confirm}</button>
      </div>
    </form>
  </dialog>`;
}
