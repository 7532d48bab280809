/** The server that this page comes from: its API client, its images, and the key it asks for. */

import { Client } from "@langchain/langgraph-sdk";

import type { ImageRef, Settings, State } from "./records";

const KEY = "gems.key";

/** `/ui/` may be mounted below a prefix; everything else is its sibling. */
export const BASE = new URL("..", new URL(".", window.location.href)).href.replace(/\/$/, "");

export const GRAPH = "gems";

/** Where a thread's metadata say what it is about, until its values do. */
export const PROMPT_KEY = "gems_prompt";

const REQUEST_MS = 30_000;

/** The key that was given in this tab, or null. It is kept for the tab's life and no longer. */
export function storedKey(): string | null {
  return window.sessionStorage.getItem(KEY);
}

export function storeKey(key: string): void {
  window.sessionStorage.setItem(KEY, key);
}

export function forgetKey(): void {
  window.sessionStorage.removeItem(KEY);
}

/** What a request needs to be let in. */
function credentials(): Record<string, string> {
  const key = storedKey();
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

type Listener = (detail: string) => void;

const listeners = new Set<Listener>();

/** Calls `listener` with the server's words whenever it asks who calls; returns how to stop. */
export function onRefused(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** `fetch` that tells the login when the server does not let a request in. */
async function guardedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  const sent = new Headers(init?.headers).get("Authorization");
  // What was sent before the key was given says nothing about the key.
  if (response.status === 401 && sent === (credentials()["Authorization"] ?? null)) {
    const said = await detailOf(response.clone());
    for (const listener of listeners) listener(said);
  }
  return response;
}

/** What the server says is wrong, in words. */
export async function detailOf(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      for (const name of ["detail", "message", "error"] as const) {
        const said = (body as Record<string, unknown>)[name];
        if (typeof said === "string") return said;
      }
    }
  } catch {
    // Not JSON: the status says enough.
  }
  return `The server answered ${response.status}.`;
}

/** A client of the server's API with the current key. */
export function client(): Client<State> {
  return new Client<State>({
    apiUrl: BASE,
    apiKey: null,
    defaultHeaders: credentials(),
    timeoutMs: REQUEST_MS,
    // A run must not be created twice: what fails is shown, with "Try again". A broken stream is
    // joined again by the client itself.
    callerOptions: { maxRetries: 0, fetch: guardedFetch as (...args: unknown[]) => Promise<Response> },
  });
}

/** Gets something of our own routes; throws with the server's words. */
export async function get(path: string, signal?: AbortSignal): Promise<Response> {
  const response = await guardedFetch(`${BASE}${path}`, {
    headers: credentials(),
    signal: signal ?? null,
  });
  if (!response.ok) throw new Error(await detailOf(response));
  return response;
}

/** Where an image is, at most `side` pixels on its longest side; whole without one. */
export function imagePath(image: ImageRef, side?: number): string {
  const path = `/artifacts/${encodeURIComponent(image.sha256)}`;
  return side === undefined ? path : `${path}?size=${side}&format=webp`;
}

/** Saves something under a name, as a click on a download link does. */
export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the blob after the click has been handled.
  window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** What a thread in the list is called by. */
export interface ThreadLine {
  id: string;
  prompt: string;
  updated: string;
  status: string;
  score: number | null;
  image: string;
}

/** The newest threads of the graph that the caller may see. */
export async function listThreads(limit: number): Promise<ThreadLine[]> {
  // Whole threads are some 10 kB each; `extract` brings four words of them.
  const response = await guardedFetch(`${BASE}/threads/search`, {
    method: "POST",
    headers: { ...credentials(), "Content-Type": "application/json" },
    body: JSON.stringify({
      metadata: { graph_id: GRAPH },
      limit,
      sort_by: "updated_at",
      sort_order: "desc",
      select: ["thread_id", "updated_at", "status", "metadata"],
      extract: {
        prompt: "values.prompt",
        score: "values.score",
        image: "values.image.sha256",
      },
    }),
  });
  if (!response.ok) throw new Error(await detailOf(response));
  const found = (await response.json()) as {
    thread_id: string;
    updated_at: string;
    status: string;
    metadata?: Record<string, unknown> | null;
    extracted?: { prompt?: string; score?: number; image?: string };
  }[];
  return found.map((item) => ({
    id: item.thread_id,
    prompt: item.extracted?.prompt || String(item.metadata?.[PROMPT_KEY] ?? ""),
    updated: item.updated_at,
    status: item.status,
    score: item.extracted?.score ?? null,
    image: item.extracted?.image ?? "",
  }));
}

/** A run as the server lists it; the SDK's type leaves `kwargs` out. */
export interface RunRecord {
  run_id: string;
  status: string;
  created_at: string;
  assistant_id: string;
  kwargs?: { context?: Settings | null; stream_mode?: string[] };
}

/** The newest run of a thread, or undefined. */
export async function lastRun(thread: string): Promise<RunRecord | undefined> {
  const runs = (await client().runs.list(thread, { limit: 1 })) as unknown as RunRecord[];
  return runs[0];
}
