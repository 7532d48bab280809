/**
 * Going on from an earlier attempt, in a copy of the thread.
 *
 * LangGraph's fork inside the thread would hide every later attempt from the page. The copy has the
 * same checkpoints; it goes on from the one in which the attempt had just been scored, as if a
 * person had answered the review of that round with "go on" (docs/studio.md does it by hand).
 */

import type { ThreadState } from "@langchain/langgraph-sdk";

import type { Attempt, State } from "../records";
import { client } from "../server";

export interface ForkChoice {
  attempt: Attempt;
  /** What should change; empty to let the refiner decide. */
  feedback: string;
  /** Rounds to make from here on. */
  rounds: number;
}

/** More checkpoints than the longest thread of one turn has: 50 rounds of 6 steps. */
const HISTORY = 1000;

const AFTER_SCORING = new Set(["summarizer", "reflector", "review", "selector", "finalizer"]);

/** Makes the copy, ready to run; throws when the attempt's checkpoint is no longer kept. */
export async function forkThread(
  thread: string,
  choice: ForkChoice,
): Promise<{ thread: string; values: State }> {
  const { threads } = client();
  const history = await threads.getHistory(thread, { limit: HISTORY });
  const point = history.find((state) => isAfter(state, choice.attempt));
  const checkpoint = point?.checkpoint.checkpoint_id;
  if (point === undefined || !checkpoint) {
    throw new Error("The step after this attempt is no longer kept on the server.");
  }
  const copy = (await threads.copy(thread)).thread_id;
  const usage = Object.entries(point.values.usage ?? {});
  const changed = {
    stopped_because: "",
    feedback: choice.feedback,
    // Budgets count from here on, as `used_before` in graph/budget.py has it.
    calls_before: usage
      .filter(([role]) => role !== "generator")
      .reduce((sum, [, used]) => sum + used.calls, 0),
    tokens_before: usage.reduce(
      (sum, [, used]) => sum + used.input_tokens + used.output_tokens,
      0,
    ),
  };
  await threads.updateState(copy, {
    values: changed,
    checkpointId: checkpoint,
    asNode: "review",
  });
  return { thread: copy, values: { ...point.values, stopped_because: "" } };
}

function isAfter(state: ThreadState<State>, attempt: Attempt): boolean {
  const { turn, round, attempts = [] } = state.values;
  return (
    turn === attempt.turn &&
    round === attempt.round &&
    state.next.some((node) => AFTER_SCORING.has(node)) &&
    attempts.some((item) => item.id === attempt.id && item.verdicts.length > 0)
  );
}
