/** The graph's records as the server sends them: `gems.records` and `gems.graph.state`. */

export type Answer = "yes" | "no" | "unknown";

export interface ImageRef {
  uri: string;
  sha256: string;
  mime: string;
  width: number;
  height: number;
  size: number;
}

export interface Verdict {
  requirement: string;
  answer: Answer;
  confidence: number;
  rationale: string;
  source: string;
  evidence?: string;
}

/** A verdict that the scorer has not folded in yet. */
export interface AttemptVerdict extends Verdict {
  attempt: string;
}

export interface Requirement {
  id: string;
  question: string;
  kind: string;
  depends_on: string[];
  origin: string;
  verdict?: Verdict;
}

export interface Attempt {
  id: string;
  turn: number;
  round: number;
  candidate: number;
  prompt: string;
  negative_prompt: string;
  seed: number;
  generator: string;
  image: ImageRef;
  skills: string[];
  rationale: string;
  edited_from: string;
  verdicts: Verdict[];
  score: number;
  confidence: number;
  seconds: number;
}

export interface Experience {
  turn: number;
  round: number;
  text: string;
}

export interface RoleUsage {
  calls: number;
  input_tokens: number;
  output_tokens: number;
  seconds: number;
}

export interface Lesson {
  id: string;
  user: string;
  generator: string;
  task: string;
  failed: string;
  remedy: string;
  skill: string;
  gain: number;
  count: number;
  uses: number;
  wins: number;
  updated: string;
}

/** A thread's channels; early checkpoints have few of them. */
export interface State {
  prompt?: string;
  negative_prompt?: string;
  seed?: number;
  turn?: number;
  round?: number;
  requirements?: Requirement[];
  asked?: Requirement[];
  prompts?: string[];
  rationale?: string;
  skills?: string[];
  lessons?: Lesson[];
  attempts?: Attempt[];
  verdicts?: AttemptVerdict[];
  experiences?: Experience[];
  best?: string;
  image?: ImageRef;
  score?: number;
  stopped_because?: string;
  usage?: Record<string, RoleUsage>;
  notices?: string[];
  stretches?: number[][];
}

/** A run's settings: the fields of `gems.graph.context.Context`, those that were given. */
export type Settings = Record<string, string | number | null>;

/** What the graph asks a person: `nodes/approval.py` and `nodes/review.py`. */
export type Question =
  | { ask: "requirements"; requirements: Requirement[]; prompts: string[] }
  | { ask: "round"; round: number; attempts: Attempt[]; would_stop: string };

/** The best of some attempts, as `nodes/scorer.py` chooses it. */
export function bestOf(attempts: Attempt[]): Attempt | undefined {
  return attempts.reduce<Attempt | undefined>((best, item) => {
    if (best === undefined || item.score > best.score) return item;
    return item.score === best.score && item.confidence > best.confidence ? item : best;
  }, undefined);
}

/** How many of an attempt's requirements are met. */
export function metCount(attempt: Attempt): number {
  return attempt.verdicts.filter((verdict) => verdict.answer === "yes").length;
}

/** An attempt's name on the page; the candidate and the turn are said where there are several. */
export function nameOf(attempt: Attempt, all: Attempt[]): string {
  const several = all.some((other) => other.candidate > 1);
  const turns = all.some((other) => other.turn > 1);
  const round = turns ? `Turn ${attempt.turn}, round ${attempt.round}` : `Round ${attempt.round}`;
  return several ? `${round}, candidate ${attempt.candidate}` : round;
}
