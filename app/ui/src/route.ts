/** The address after `#`: which view, and which thread. */

import { useCallback, useSyncExternalStore } from "react";

export type Route = { view: "create"; thread: string | null } | { view: "skills" } | { view: "memory" };

export function readRoute(hash: string): Route {
  const [first, second] = hash.replace(/^#\/?/, "").split("/");
  if (first === "skills" || first === "memory") return { view: first };
  if (first === "threads" && second) {
    try {
      return { view: "create", thread: decodeURIComponent(second) };
    } catch {
      return { view: "create", thread: null };
    }
  }
  return { view: "create", thread: null };
}

export function threadHref(thread: string): string {
  return `#/threads/${encodeURIComponent(thread)}`;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

/** The current route, and how to go to a thread. */
export function useRoute(): [Route, (thread: string) => void] {
  const hash = useSyncExternalStore(subscribe, () => window.location.hash);
  const go = useCallback((thread: string) => {
    window.location.hash = threadHref(thread);
  }, []);
  return [readRoute(hash), go];
}
