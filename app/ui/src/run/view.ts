/** What the page knows about a run, and how the server's events change it. */

import type { AttemptVerdict, Question, Settings, State } from "../records";
import type { Problem } from "./problem";

export type Phase = "empty" | "loading" | "running" | "waiting" | "done" | "stopped" | "failed";

export interface Waiting {
  id: string;
  question: Question;
}

export interface RunView {
  thread: string | null;
  run: string | null;
  phase: Phase;
  values: State;
  /** Verdicts as they come in, before the scorer has folded them: by attempt and requirement. */
  live: Record<string, AttemptVerdict>;
  /** Nodes at work, by the id of their task. */
  working: Record<string, string>;
  /** The node that began last: what the run is said to do between two steps. */
  last: string;
  /** The last denoising step that the generator told of. */
  step: { attempt: string; step: number; steps: number } | null;
  waiting: Waiting | null;
  problem: Problem | null;
  /** Milliseconds since the epoch at which the run began; null while none goes on. */
  began: number | null;
  settings: Settings;
}

export const EMPTY: RunView = {
  thread: null,
  run: null,
  phase: "empty",
  values: {},
  live: {},
  working: {},
  last: "",
  step: null,
  waiting: null,
  problem: null,
  began: null,
  settings: {},
};

export type Change =
  | { kind: "reset"; thread: string | null }
  | { kind: "started"; thread: string; values: State; settings: Settings; began: number }
  | { kind: "run"; run: string }
  | { kind: "checkpoint"; values: State; next: string[] }
  | { kind: "task began"; id: string; name: string }
  | { kind: "task ended"; id: string; name: string; verdicts: AttemptVerdict[] }
  | { kind: "step"; attempt: string; step: number; steps: number }
  | {
      kind: "settled";
      thread: string;
      phase: Phase;
      values: State;
      settings: Settings;
      waiting: Waiting | null;
      problem: Problem | null;
    }
  | { kind: "failed"; problem: Problem };

/** Returns the view after a change; never changes the old one. */
export function change(view: RunView, next: Change): RunView {
  switch (next.kind) {
    case "reset":
      return { ...EMPTY, thread: next.thread, phase: next.thread === null ? "empty" : "loading" };
    case "started":
      return {
        ...EMPTY,
        thread: next.thread,
        phase: "running",
        values: next.values,
        settings: next.settings,
        began: next.began,
      };
    case "run":
      return { ...view, run: next.run };
    case "checkpoint":
      return {
        ...view,
        values: { ...view.values, ...next.values },
        last: next.next[0] ?? view.last,
      };
    case "task began":
      return { ...view, working: { ...view.working, [next.id]: next.name }, last: next.name };
    case "task ended": {
      const { [next.id]: _, ...working } = view.working;
      const live = { ...view.live };
      for (const verdict of next.verdicts) {
        live[liveKey(verdict.attempt, verdict.requirement)] = verdict;
      }
      const step = next.name === "generator" ? null : view.step;
      return { ...view, working, live, step };
    }
    case "step":
      return { ...view, step: { attempt: next.attempt, step: next.step, steps: next.steps } };
    case "settled":
      return {
        ...view,
        thread: next.thread,
        phase: next.phase,
        values: next.values,
        settings: next.settings,
        waiting: next.waiting,
        problem: next.problem,
        working: {},
        step: null,
        began: null,
      };
    case "failed":
      return { ...view, phase: "failed", problem: next.problem, working: {}, step: null, began: null };
  }
}

export function liveKey(attempt: string, requirement: string): string {
  return `${attempt} ${requirement}`;
}

/** Reads one event of the stream; undefined for those that tell the page nothing. */
export function readEvent(event: string, data: unknown): Change | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const record = data as Record<string, unknown>;
  if (event === "metadata" && typeof record["run_id"] === "string") {
    return { kind: "run", run: record["run_id"] };
  }
  if (event === "checkpoints" && typeof record["values"] === "object" && record["values"] !== null) {
    const next = Array.isArray(record["next"]) ? record["next"].map(String) : [];
    return { kind: "checkpoint", values: record["values"] as State, next };
  }
  if (event === "custom" && record["event"] === "progress") {
    return {
      kind: "step",
      attempt: String(record["attempt"]),
      step: Number(record["step"]),
      steps: Number(record["steps"]),
    };
  }
  if (event === "tasks" && typeof record["id"] === "string" && typeof record["name"] === "string") {
    const { id, name } = record as { id: string; name: string };
    if (!("result" in record) && !("error" in record)) return { kind: "task began", id, name };
    return { kind: "task ended", id, name, verdicts: verdictsIn(record["result"]) };
  }
  return undefined;
}

function verdictsIn(result: unknown): AttemptVerdict[] {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return [];
  const found = (result as Record<string, unknown>)["verdicts"];
  return Array.isArray(found)
    ? found.filter((item): item is AttemptVerdict => typeof item?.attempt === "string")
    : [];
}
