/** One thread at a time: starts runs, follows them, rejoins them, answers their questions. */

import type { Command, ThreadState } from "@langchain/langgraph-sdk";
import { useCallback, useEffect, useMemo, useReducer, useRef } from "react";

import type { Question, Settings, State } from "../records";
import { GRAPH, PROMPT_KEY, client, lastRun } from "../server";
import type { RunRecord } from "../server";
import { forkThread } from "./fork";
import type { ForkChoice } from "./fork";
import { ofRequest, ofRun, ofTask } from "./problem";
import type { Problem } from "./problem";
import { EMPTY, change, readEvent } from "./view";
import type { Change, RunView, Waiting } from "./view";

/** `checkpoints` brings the whole state after each step, `tasks` each verdict as it is found. */
const STREAM_MODES = ["checkpoints", "tasks", "custom"] as const;

/** Characters of a prompt that name a thread in the list. */
const TITLE = 300;

const ACTIVE = new Set(["pending", "running"]);

/** How often a run is looked at that somebody else started with other stream modes. */
const POLL_MS = 1500;

export interface RunActions {
  /** Starts a run on a new thread; resolves with the thread's id once it exists. */
  start(prompt: string, settings: Settings, assistant: string): Promise<void>;
  /** Answers the question that the run waits with. */
  answer(value: unknown): void;
  /** Ends the run after what it is doing; it can go on later. */
  stop(): void;
  /** Goes on where it stopped: rejoins a run that is still at work, else resumes the thread. */
  again(): void;
  /** Copies the thread and goes on from an attempt in the copy. */
  fork(choice: ForkChoice): Promise<void>;
}

interface Submission {
  input?: { prompt: string };
  command?: Command;
}

/**
 * Follows the thread named `thread`, null for none.
 *
 * @param onThread is told the id of a thread that was made here.
 * @param onChange is called when a run begins or ends: the list of threads has changed.
 */
export function useRun(
  thread: string | null,
  onThread: (thread: string) => void,
  onChange: () => void,
): [RunView, RunActions] {
  const [view, dispatch] = useReducer(change, EMPTY);
  const latest = useRef(view);
  latest.current = view;
  const following = useRef<AbortController | null>(null);
  // The thread this page has just made and follows already: the address changes after it.
  const own = useRef<string | null>(null);
  const assistantOf = useRef(GRAPH);
  const failedStart = useRef<(() => Promise<void>) | null>(null);

  const begin = useCallback((): AbortController => {
    following.current?.abort();
    following.current = new AbortController();
    return following.current;
  }, []);

  /** Applies an event, unless the page has turned to another thread meanwhile. */
  const apply = useCallback((signal: AbortSignal, next: Change) => {
    if (!signal.aborted) dispatch(next);
  }, []);

  const follow = useCallback(
    async (signal: AbortSignal, id: string, events: AsyncIterable<{ event: string; data: unknown }>) => {
      let told: Problem | null = null;
      for await (const part of events) {
        if (signal.aborted) return;
        if (part.event === "error") {
          const { error, message } = part.data as { error?: string; message?: string };
          told = ofRun(error ?? "", message ?? "");
        }
        const next = readEvent(part.event, part.data);
        if (next !== undefined) apply(signal, next);
      }
      if (signal.aborted) return;
      const settled = await settle(id, told);
      apply(signal, { kind: "settled", ...settled, settings: latest.current.settings });
      onChange();
    },
    [apply, onChange],
  );

  const submit = useCallback(
    async (id: string, values: State, settings: Settings, what: Submission): Promise<void> => {
      const { signal } = begin();
      apply(signal, { kind: "started", thread: id, values, settings, began: Date.now() });
      try {
        const events = client().runs.stream(id, assistantOf.current, {
          input: what.input ?? null,
          ...(what.command ? { command: what.command } : {}),
          context: settings,
          streamMode: [...STREAM_MODES],
          streamResumable: true,
          onDisconnect: "continue",
          multitaskStrategy: "reject",
          signal,
          onRunCreated: ({ run_id }) => {
            apply(signal, { kind: "run", run: run_id });
            onChange();
          },
        });
        await follow(signal, id, events as AsyncIterable<{ event: string; data: unknown }>);
      } catch (error) {
        apply(signal, { kind: "failed", problem: ofRequest(error) });
      }
    },
    [apply, begin, follow, onChange],
  );

  const open = useCallback(
    async (id: string): Promise<void> => {
      const { signal } = begin();
      apply(signal, { kind: "reset", thread: id });
      try {
        const [state, run] = await Promise.all([client().threads.getState(id), lastRun(id)]);
        const settings = run?.kwargs?.context ?? {};
        assistantOf.current = run?.assistant_id ?? GRAPH;
        if (run === undefined || !ACTIVE.has(run.status)) {
          const told = await errorOf(id, run);
          apply(signal, { kind: "settled", ...read(id, state, told, run), settings });
          return;
        }
        const values = state.values ?? {};
        const began = Date.parse(run.created_at);
        apply(signal, { kind: "started", thread: id, values, settings, began });
        apply(signal, { kind: "run", run: run.run_id });
        const polled = run.kwargs?.stream_mode?.includes("checkpoints") !== true;
        const timer = polled ? window.setInterval(() => void poll(signal, id, apply), POLL_MS) : 0;
        try {
          const events = client().runs.joinStream(id, run.run_id, {
            signal,
            lastEventId: "-1",
            streamMode: [...STREAM_MODES],
          });
          await follow(signal, id, events);
        } finally {
          window.clearInterval(timer);
        }
      } catch (error) {
        apply(signal, { kind: "failed", problem: ofRequest(error) });
      }
    },
    [apply, begin, follow],
  );

  useEffect(() => {
    if (thread !== null && thread === own.current) return;
    own.current = null;
    failedStart.current = null;
    if (thread === null) {
      following.current?.abort();
      dispatch({ kind: "reset", thread: null });
    } else {
      void open(thread);
    }
  }, [thread, open]);

  useEffect(() => () => following.current?.abort(), []);

  const show = useCallback(
    (id: string) => {
      own.current = id;
      onThread(id);
    },
    [onThread],
  );

  const actions = useMemo<RunActions>(() => {
    const start: RunActions["start"] = async (prompt, settings, assistant) => {
      assistantOf.current = assistant;
      try {
        const made = await client().threads.create({
          graphId: GRAPH,
          metadata: { [PROMPT_KEY]: prompt.slice(0, TITLE) },
        });
        failedStart.current = null;
        show(made.thread_id);
        await submit(made.thread_id, { prompt }, settings, { input: { prompt } });
      } catch (error) {
        failedStart.current = () => start(prompt, settings, assistant);
        dispatch({ kind: "failed", problem: ofRequest(error) });
      }
    };
    return {
      start,
      answer(value) {
        const { thread: id, waiting, values, settings } = latest.current;
        if (id === null || waiting === null) return;
        void submit(id, values, settings, { command: { resume: { [waiting.id]: value } } });
      },
      stop() {
        const { thread: id, run } = latest.current;
        if (id !== null && run !== null) {
          client()
            .runs.cancel(id, run, false, "interrupt")
            .catch((error: unknown) => dispatch({ kind: "failed", problem: ofRequest(error) }));
        }
      },
      again() {
        if (failedStart.current !== null) {
          void failedStart.current();
          return;
        }
        const { thread: id } = latest.current;
        if (id !== null) void goOn(id);
      },
      async fork(choice) {
        const { thread: id, settings } = latest.current;
        if (id === null) return;
        const copy = await forkThread(id, choice);
        const changed = { ...settings, max_rounds: choice.attempt.round + choice.rounds };
        show(copy.thread);
        onChange();
        void submit(copy.thread, copy.values, changed, {});
      },
    };

    async function goOn(id: string): Promise<void> {
      const { values: known, settings, phase } = latest.current;
      try {
        const run = await lastRun(id);
        const state = await client().threads.getState(id);
        const values = state.values ?? {};
        if (run !== undefined && ACTIVE.has(run.status)) {
          await open(id);
        } else if (waitingIn(state) !== null) {
          await open(id);
        } else if (state.next.length > 0) {
          await submit(id, values, settings, {});
        } else if ((values.stopped_because ?? "").endsWith("_failed")) {
          // The graph kept the best image when its model or generator failed: one more round.
          await client().threads.updateState(id, {
            values: { stopped_because: "" },
            asNode: "review",
          });
          await submit(id, values, settings, {});
        } else if (phase === "failed" && known.prompt !== undefined && !values.prompt) {
          // The thread was made, and its run never began.
          await submit(id, known, settings, { input: { prompt: known.prompt } });
        } else {
          await open(id);
        }
      } catch (error) {
        dispatch({ kind: "failed", problem: ofRequest(error) });
      }
    }
  }, [onChange, open, show, submit]);

  return [view, actions];
}

async function poll(
  signal: AbortSignal,
  id: string,
  apply: (signal: AbortSignal, next: Change) => void,
): Promise<void> {
  try {
    const state = await client().threads.getState(id, undefined, { signal });
    apply(signal, { kind: "checkpoint", values: state.values ?? {}, next: state.next });
  } catch {
    // The stream says it if the server is gone.
  }
}

type Settled = Omit<Extract<Change, { kind: "settled" }>, "kind" | "settings">;

/** Where a thread stands after its run has ended; `told` is the error that the stream told. */
async function settle(id: string, told: Problem | null): Promise<Settled> {
  const [state, run] = await Promise.all([client().threads.getState(id), lastRun(id)]);
  return read(id, state, told ?? (await errorOf(id, run)), run);
}

/** What the server keeps of a failed run's error; null for any other run. */
async function errorOf(id: string, run: RunRecord | undefined): Promise<Problem | null> {
  if (run?.status !== "error") return null;
  const found = (await client().threads.get(id)).error;
  if (typeof found !== "object" || found === null) return ofRun("", String(found ?? ""));
  return ofRun(String(found["error"] ?? ""), String(found["message"] ?? ""));
}

function read(
  id: string,
  state: ThreadState<State>,
  told: Problem | null,
  run: RunRecord | undefined,
): Settled {
  const values = state.values ?? {};
  const waiting = waitingIn(state);
  const failed = state.tasks.find((task) => task.error);
  const problem = told ?? (failed?.error ? ofTask(String(failed.error)) : null);
  let phase: Settled["phase"] = "done";
  if (waiting !== null) phase = "waiting";
  else if (run?.status === "interrupted" && state.next.length > 0) phase = "stopped";
  else if (problem !== null) phase = "failed";
  else if (state.next.length > 0) phase = "stopped";
  else if (values.prompt === undefined) phase = "empty";
  return {
    thread: id,
    phase,
    values,
    waiting,
    problem: phase === "failed" ? problem : null,
  };
}

function waitingIn(state: ThreadState<State>): Waiting | null {
  for (const task of state.tasks) {
    for (const interrupt of task.interrupts) {
      const question = interrupt.value as Question | undefined;
      if (question?.ask === "requirements" || question?.ask === "round") {
        return { id: String(interrupt.id), question };
      }
    }
  }
  return null;
}
