// The one place that knows which libraries render the page.
import htm from "/vendor/htm-3.1.1/htm.js";
import { h } from "/vendor/preact-10.29.8/preact.js";

export { render } from "/vendor/preact-10.29.8/preact.js";
export {
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "/vendor/preact-10.29.8/hooks.js";

export const html = htm.bind(h);
