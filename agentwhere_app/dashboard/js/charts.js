// Charts: lines over time by uPlot, and columns of shares. Colours come from the style sheet, so both themes fit.
import { html, useEffect, useRef, useState } from "./html.js";
import { count, NONE, time, usd, venueName } from "./format.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The colour that a name of the style sheet stands for in the present theme; a canvas does not read `light-dark()`. */
function colour(name) {
  const probe = document.body;
  probe.style.setProperty("outline-color", `var(${name})`);
  const found = getComputedStyle(probe).outlineColor;
  probe.style.removeProperty("outline-color");
  return found;
}

export const SERIES_COLOURS = 8;

function useTheme() {
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const changed = () => setTheme((before) => before + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", changed);
    addEventListener("themechange", changed);
    return () => {
      media.removeEventListener("change", changed);
      removeEventListener("themechange", changed);
    };
  }, []);
  return theme;
}

/**
 * Lines over time. `series`: [{name, values, colour, shown, dashed}], `times` in seconds; drag to zoom, double-click to
 * see everything. `range` is a pair of seconds or null.
 */
export function Lines({ times, series, label, height = 280, log = false, format = usd, range = null, onZoom, fill = false }) {
  const place = useRef(null);
  const chart = useRef(null);
  const theme = useTheme();
  const identity = `${theme}|${log}|${height}|${fill}|${series.map((line) => `${line.name}${line.colour}`).join()}`;

  useEffect(() => {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style("--font")}` };
    const options = {
      width: place.current.clientWidth,
      height,
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { x: { time: true }, y: { distr: log ? 3 : 1, range: log ? undefined : padded } },
      axes: [{ ...axis, values: DATES, space: 80 }, { ...axis, size: 72, values: (_, splits) => splits.map((value) => (value === null ? "" : format(value, { digits: Math.abs(value) < 10 ? 2 : 0 }))) }],
      cursor: { points: { size: 7 }, drag: { x: true, y: false } },
      series: [
        {},
        ...series.map((line) => ({
          label: line.name,
          stroke: colour(line.colour),
          width: 1.75,
          show: line.shown !== false,
          dash: line.dashed ? [5, 4] : undefined,
          spanGaps: true,
          points: { show: times.length < 3 },
          fill: fill ? colour("--accent-wash") : undefined,
        })),
      ],
      hooks: {
        setCursor: [(plot) => showTip(plot, place.current, format)],
        setScale: [(plot, name) => name === "x" && onZoom?.(isZoomed(plot))],
      },
    };
    chart.current = new uPlot(options, [times, ...series.map((line) => line.values)], place.current);
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: place.current.clientWidth, height }));
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      chart.current.destroy();
      chart.current = null;
    };
  }, [identity]);

  useEffect(() => {
    const plot = chart.current;
    if (!plot) return;
    const before = isZoomed(plot) ? { ...plot.scales.x } : null;
    plot.setData([times, ...series.map((line) => line.values)], !before);
    if (before) plot.setScale("x", { min: before.min, max: before.max });
  }, [times, series]);

  useEffect(() => {
    series.forEach((line, index) => {
      const isShown = line.shown !== false;
      if (chart.current && chart.current.series[index + 1].show !== isShown) chart.current.setSeries(index + 1, { show: isShown });
    });
  }, [series]);

  useEffect(() => {
    const plot = chart.current;
    if (!plot || !times.length) return;
    plot.setScale("x", range ? { min: range[0], max: range[1] } : { min: times[0], max: times.at(-1) });
  }, [range]);

  return html`<figure class="chart" role="img" aria-label=${label}>
    <div ref=${place} class="plot"></div>
    <div class="tip" aria-hidden="true" hidden></div>
  </figure>`;
}

const DAY = 86_400;
// By the distance between two ticks: how a tick reads, and what stands below it where the day or year changes.
const DATES = [
  [DAY * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [DAY * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

function padded(_, low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

function isZoomed(plot) {
  const [times] = plot.data;
  const { min, max } = plot.scales.x;
  return times?.length > 1 && min !== null && (min > times[0] || max < times.at(-1));
}

function showTip(plot, place, format) {
  const tip = place.nextElementSibling;
  if (!tip) return;
  const { left, idx } = plot.cursor;
  if (idx === null || idx === undefined || left < 0) {
    tip.hidden = true;
    return;
  }
  const lines = plot.series.slice(1).map((line, index) => [line, plot.data[index + 1][idx]]);
  tip.replaceChildren(
    element("strong", `${time(new Date(plot.data[0][idx] * 1000), new Date(0))} UTC`),
    ...lines
      .filter(([line, value]) => line.show && value !== null && value !== undefined)
      .sort((a, b) => b[1] - a[1])
      .map(([line, value]) => {
        const row = element("span");
        const mark = element("i");
        mark.style.background = line._stroke ?? line.stroke();
        row.append(mark, element("em", line.label), element("b", format(value)));
        return row;
      }),
  );
  tip.hidden = false;
  const room = place.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(0, Math.min(room, left + 84))}px`;
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Columns of shares over time: `buckets` [{at, parts: {venue: number}}]. */
export function Shares({ buckets, venues, label }) {
  const most = Math.max(1, ...buckets.map((bucket) => total(bucket)));
  return html`<figure class="shares" role="img" aria-label=${label}>
    <div class="columns">
      ${buckets.map(
        (bucket) => html`<div class="column" key=${bucket.at} title=${describe(bucket)}>
          ${venues
            .filter((venue) => bucket.parts[venue])
            .map((venue) => html`<i data-venue=${venue} style=${{ height: `${(bucket.parts[venue] / most) * 100}%` }}></i>`)}
        </div>`,
      )}
    </div>
    <div class="scale" aria-hidden="true"><span>${time(buckets[0]?.at)}</span><span>${count(most)} at most</span><span>${time(buckets.at(-1)?.at)}</span></div>
  </figure>`;
}

const total = (bucket) => Object.values(bucket.parts).reduce((sum, part) => sum + part, 0);

function describe(bucket) {
  const parts = Object.entries(bucket.parts).map(([venue, part]) => `${venueName(venue)} ${part}`);
  return `${time(bucket.at)} UTC: ${parts.join(", ") || NONE}`;
}
