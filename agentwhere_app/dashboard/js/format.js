// Numbers and times as people read them. Everything that is unknown is a dash, never a zero.

export const NONE = "–";
const MINUS = "−";

const known = (value) => value !== null && value !== undefined && value !== "" && !Number.isNaN(Number(value));

function grouped(value, digits) {
  return Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function signed(value, text, withPlus) {
  const isZero = !/[1-9]/.test(text);
  if (value < 0 && !isZero) return MINUS + text;
  return withPlus && !isZero ? `+${text}` : text;
}

/** US dollars; `plus` writes the sign of gains, which a profit needs to be read without colour. */
export function usd(value, { plus = false, digits } = {}) {
  if (!known(value)) return NONE;
  const number = Number(value);
  const places = digits ?? (Math.abs(number) >= 100000 ? 0 : 2);
  return signed(number, `$${grouped(number, places)}`, plus);
}

/** A price or size with as many digits as it deserves. */
export function price(value) {
  if (!known(value)) return NONE;
  const number = Number(value);
  const size = Math.abs(number);
  const digits = size >= 1000 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 4 : 6;
  return signed(number, grouped(number, digits), false);
}

export function amount(value) {
  if (!known(value)) return NONE;
  const number = Number(value);
  return signed(number, Math.abs(number).toLocaleString("en-US", { maximumSignificantDigits: 6 }), false);
}

export function count(value) {
  return known(value) ? Number(value).toLocaleString("en-US") : NONE;
}

/** A fraction as percent. */
export function percent(value, { plus = false, digits = 1 } = {}) {
  if (!known(value)) return NONE;
  const number = Number(value) * 100;
  return signed(number, `${grouped(number, digits)} %`, plus);
}

export function ratio(value, digits = 2) {
  if (!known(value)) return NONE;
  const number = Number(value);
  return signed(number, grouped(number, digits), false);
}

export function bps(value) {
  return known(value) ? `${ratio(value, 1)} bp` : NONE;
}

export function milliseconds(value) {
  if (!known(value)) return NONE;
  const number = Number(value);
  return number >= 1000 ? `${ratio(number / 1000, 1)} s` : `${ratio(number, number < 10 ? 1 : 0)} ms`;
}

export function span(seconds) {
  if (!known(seconds)) return NONE;
  const number = Math.max(0, Number(seconds));
  if (number < 90) return `${Math.round(number)} s`;
  if (number < 5400) return `${Math.round(number / 60)} min`;
  if (number < 129600) return `${Math.round(number / 3600)} h`;
  return `${Math.round(number / 86400)} days`;
}

export function ago(moment, now = Date.now()) {
  return moment ? `${span((now - new Date(moment).getTime()) / 1000)} ago` : NONE;
}

const two = (number) => String(number).padStart(2, "0");

/** A moment in UTC: the clock time of today, else with its date. */
export function time(moment, now = new Date()) {
  if (!moment) return NONE;
  const at = new Date(moment);
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
  return now.toISOString().slice(0, 10) === day ? `${clock}:${two(at.getUTCSeconds())}` : `${day.slice(5)} ${clock}`;
}

export function tone(value) {
  const number = Number(value);
  if (!known(value) || Math.abs(number) < 1e-9) return "";
  return number > 0 ? "gain" : "loss";
}

/** A word of the database as a person writes it: TAKE_PROFIT is "take profit". */
export function words(text) {
  return text ? String(text).toLowerCase().replaceAll("_", " ") : NONE;
}

const VENUES = { HYPERLIQUID: "Hyperliquid", OSTIUM: "Ostium", LIGHTER: "Lighter", GMX: "GMX", SPOT: "Spot", MULTI: "Multi", NONE: "Nowhere" };

export function venueName(venue) {
  return venue ? (VENUES[String(venue).toUpperCase()] ?? venue) : NONE;
}
