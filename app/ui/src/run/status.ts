/** The sentence that says where a run is. */

import { bestOf, metCount } from "../records";
import type { Attempt } from "../records";
import type { RunView } from "./view";

const DOING: [node: string, doing: string][] = [
  // The first that is at work names the step.
  ["finalizer", "finishing"],
  ["selector", "comparing those that tie"],
  ["reflector", "refining the prompt"],
  ["refiner", "refining the prompt"],
  ["summarizer", "learning from it"],
  ["review", "waiting for you"],
  ["scorer", "scoring"],
  ["verifier", "verifying"],
  ["generator", "generating"],
  ["approval", "settling the requirements"],
  ["planner", "planning"],
  ["decomposer", "planning"],
  ["reviser", "reading the new message"],
  ["recall", "recalling"],
  ["intake", "starting"],
];

const ENDED: Record<string, string> = {
  max_rounds: "",
  max_model_calls: " (the budget of model calls is used up)",
  max_seconds: " (the time is used up)",
  max_images: " (the budget of images is used up)",
  max_tokens: " (the budget of tokens is used up)",
  not_verified: "",
  generator_failed: " (the image generator failed)",
  model_failed: " (the chat model failed)",
  stopped_by_reviewer: " (stopped by you)",
};

/** The most rounds that a run may have; the graph's default where nothing was set. */
export function roundsOf(view: RunView): number {
  const set = view.settings["max_rounds"];
  return typeof set === "number" ? set : 5;
}

export function attemptsOfTurn(view: RunView): Attempt[] {
  return (view.values.attempts ?? []).filter((item) => item.turn === view.values.turn);
}

/** The best attempt of the current turn; of a finished run, the one that it chose. */
export function bestAttempt(view: RunView): Attempt | undefined {
  const attempts = attemptsOfTurn(view);
  const chosen = attempts.find((item) => item.id === view.values.best);
  const scored = attempts.filter((item) => item.verdicts.length > 0);
  return chosen ?? bestOf(scored) ?? attempts.at(-1) ?? view.values.attempts?.at(-1);
}

/** The attempt to look at: while a run goes on the one that is being checked, else the best. */
export function shownAttempt(view: RunView): Attempt | undefined {
  const newest = attemptsOfTurn(view).at(-1);
  const isChecked = view.phase !== "running" || newest === undefined || newest.verdicts.length > 0;
  return isChecked ? bestAttempt(view) : newest;
}

/** Returns where the run is, for everybody and for screen readers; empty when there is none. */
export function statusOf(view: RunView): string {
  const round = view.values.round ?? 1;
  switch (view.phase) {
    case "empty":
      return "";
    case "loading":
      return "Loading the thread";
    case "running":
      return `Round ${round} of ${Math.max(roundsOf(view), round)}: ${doing(view)}`;
    case "waiting":
      return view.waiting?.question.ask === "requirements"
        ? "Waiting for your answer: are these the right requirements?"
        : `Round ${round} of ${roundsOf(view)}: waiting for your answer`;
    case "stopped":
      return `Stopped in round ${round}`;
    case "failed":
      return "The run failed";
    case "done":
      return conclusion(view);
  }
}

function doing(view: RunView): string {
  const names = new Set(Object.values(view.working));
  if (names.size === 0) names.add(view.last);
  return DOING.find(([node]) => names.has(node))?.[1] ?? "starting";
}

function conclusion(view: RunView): string {
  const best = bestAttempt(view);
  if (best === undefined) return "Finished without an image";
  const total = best.verdicts.length;
  const met = metCount(best);
  const reason = view.values.stopped_because ?? "";
  const found =
    total === 0
      ? "nothing was checked"
      : met === total
        ? `all ${total} requirements met`
        : `${met} of ${total} requirements met`;
  if (reason.startsWith("accepted")) return `Accepted in round ${best.round}: ${found}`;
  const rounds = new Set(attemptsOfTurn(view).map((item) => item.round)).size;
  return `Best of ${rounds} ${rounds === 1 ? "round" : "rounds"}: ${found}${ENDED[reason] ?? ""}`;
}
