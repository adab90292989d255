// The shell: navigation, theme, connection; and which view an address means.
import { html, render, useEffect, useState } from "./html.js";
import { ask, live, useData, useLive } from "./data.js";
import { Pill } from "./parts.js";
import { Agent } from "./views/agent.js";
import { Arena } from "./views/arena.js";
import { Marketplace } from "./views/marketplace.js";
import { Overview } from "./views/overview.js";
import { Positions } from "./views/positions.js";
import { Routing } from "./views/routing.js";
import { Sources } from "./views/sources.js";

const VIEWS = [
  ["/", "Overview", Overview],
  ["/marketplace", "Marketplace", Marketplace],
  ["/routing", "Routing", Routing],
  ["/positions", "Positions", Positions],
  ["/sources", "Sources", Sources],
  ["/arena", "Arena", Arena],
];

function App() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const moved = () => setPath(location.pathname);
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  useEffect(() => {
    const follow = (event) => {
      const link = event.target.closest?.("a[href^='/']");
      if (!link || link.target || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      if (link.pathname === location.pathname) return;
      history.pushState(null, "", link.href);
      setPath(location.pathname);
      scrollTo(0, 0);
      requestAnimationFrame(() => document.getElementById("view-title")?.focus({ preventScroll: true }));
    };
    document.addEventListener("click", follow);
    return () => document.removeEventListener("click", follow);
  }, []);
  const agentId = path.match(/^\/marketplace\/([0-9a-f-]{36})$/)?.[1];
  const View = VIEWS.find(([address]) => address === path)?.[2];
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <${Side} path=${path} />
    <main id="main">
      ${agentId ? html`<${Agent} key=${agentId} id=${agentId} />` : View ? html`<${View} />` : html`<${Nowhere} />`}
    </main>
  `;
}

function Side({ path }) {
  const state = useLive();
  const health = useData("/api/monitoring/health", ["health", "alerts", "kill_switches", "positions"]);
  const status = health.error ? null : health.data?.status;
  return html`<div class="side-bar">
    <a class="brand" href="/"><img src="/icon.svg" alt="" width="22" height="22" />Agent Where</a>
    <nav aria-label="Views">
      ${VIEWS.map(([address, name]) => {
        const isHere = address === "/" ? path === "/" : path.startsWith(address);
        return html`<a href=${address} aria-current=${isHere ? "page" : undefined}>${name}</a>`;
      })}
    </nav>
    <div class="side-foot">
      ${status && html`<span class="status" role="status" aria-label="System"><${Pill} state=${status} /></span>`}
      <span class="stream ${state}" role="status">${{ live: "Live", offline: "Offline", connecting: "Connecting" }[state]}</span>
      <${Theme} />
    </div>
  </div>`;
}

function Theme() {
  const isDark = () =>
    (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const [dark, setDark] = useState(isDark());
  const turn = () => {
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    setDark(!dark);
    dispatchEvent(new Event("themechange"));
  };
  return html`<button class="theme" onClick=${turn} aria-label=${dark ? "Use light colours" : "Use dark colours"}>${dark ? "Light" : "Dark"}</button>`;
}

function Nowhere() {
  return html`<div class="card notice">
    <h1>There is nothing at this address</h1>
    <p><a href="/">Go to the overview</a></p>
  </div>`;
}

async function start() {
  // What the page must know before it draws; without it, it draws what it can.
  const session = await ask("/api/pages/session").catch(() => null);
  window.agentWhere = session ?? {};
  live.connect();
  render(html`<${App} />`, document.getElementById("app"));
}

start();
