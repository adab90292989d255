// Data of the views: asked for by fetch, kept up to date by server-sent events, honest about its age.
import { useCallback, useEffect, useRef, useState } from "./html.js";

const KEY = "agentwhere.key";
const REFRESH_MS = 60_000;
const GATHER_MS = 150;
const ASK_AGAIN_MS = 3000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    live.announce(null);
  },
};

/** Ask the API; throws an ApiError that says what to do. */
export async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      // Who asks because of a change wants to be told of it, neither by the browser's memory nor by the server's.
      cache: "no-cache",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer. Is `agentwhere up` running?");
  }
  const content = await reply.json().catch(() => null);
  // Critical health is an answer with the status 503, not a failure.
  if (reply.ok || (reply.status === 503 && content?.success)) return content;
  throw new ApiError(reply.status, content?.detail ?? content?.title ?? `The server answered ${reply.status}.`);
}

/** The stream of changes: who listens is told the topics that changed, or null for all of them. */
class Live {
  constructor() {
    this.listeners = new Set();
    this.state = "connecting";
  }

  connect() {
    this.source = new EventSource("/api/events");
    this.source.addEventListener("open", () => this.become("live"));
    this.source.addEventListener("error", () => {
      this.become("offline");
      // A browser gives up on a stream that was refused; we do not.
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => this.connect(), 5000);
    });
    this.source.addEventListener("changed", (event) => this.announce(JSON.parse(event.data).topics));
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.announce([]);
  }

  announce(topics) {
    for (const listener of this.listeners) listener(topics);
  }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export const live = new Live();

export function useLive() {
  const [state, setState] = useState(live.state);
  useEffect(() => {
    // It may have changed between the first drawing and now.
    setState(live.state);
    return live.listen(() => setState(live.state));
  }, []);
  return state;
}

/**
 * The answer of `path`, asked again when one of `topics` changes and once a minute.
 * Gives {data, error, loadedAt, reload}; old data stays while new data is awaited or cannot be had.
 */
export function useData(path, topics) {
  const [state, setState] = useState({ path, data: null, error: null, loadedAt: null });
  const flight = useRef(null);
  const later = useRef(null);
  const load = useCallback(async () => {
    flight.current?.abort();
    clearTimeout(later.current);
    const own = new AbortController();
    flight.current = own;
    try {
      const data = await ask(path, { signal: own.signal });
      setState({ path, data, error: null, loadedAt: Date.now() });
      // What is stale is being made anew beside this answer.
      if (data?.stale) later.current = setTimeout(load, ASK_AGAIN_MS);
    } catch (error) {
      if (error.name === "AbortError") return;
      setState((before) => ({ ...(before.path === path ? before : { path, data: null, loadedAt: null }), error }));
    }
  }, [path]);

  useEffect(() => {
    load();
    let soon = null;
    const stop = live.listen((changed) => {
      const concerns = changed === null || changed.some((topic) => topics.includes(topic));
      if (!concerns || soon !== null) return;
      soon = setTimeout(() => {
        soon = null;
        load();
      }, GATHER_MS);
    });
    const timer = setInterval(load, REFRESH_MS);
    return () => {
      stop();
      clearInterval(timer);
      clearTimeout(soon);
      clearTimeout(later.current);
      flight.current?.abort();
    };
  }, [load, topics.join()]);

  const isOurs = state.path === path;
  return { data: isOurs ? state.data : null, error: isOurs ? state.error : null, loadedAt: isOurs ? state.loadedAt : null, reload: load };
}

/** The time, again every few seconds, for texts that say how old something is. */
export function useNow(everyMs = 5000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
