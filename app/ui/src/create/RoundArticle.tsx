import { useId } from "react";

import { ArtifactImage } from "../parts/ArtifactImage";
import { metCount, nameOf } from "../records";
import type { Attempt } from "../records";
import type { RunView } from "../run/view";
import { PromptChanges } from "./PromptChanges";
import { RequirementList } from "./RequirementList";
import { duration } from "./Elapsed";

interface Props {
  attempt: Attempt;
  before: Attempt | undefined;
  view: RunView;
  onCompare: () => void;
  onFork: () => void;
  onUse: () => void;
}

const THUMBNAIL_SIDE = 512;

/** One attempt: its image, its verdicts, how the prompt changed and what the round taught. */
export function RoundArticle({ attempt, before, view, onCompare, onFork, onUse }: Props) {
  const id = useId();
  const all = view.values.attempts ?? [];
  const experience = (view.values.experiences ?? []).find(
    (item) => item.turn === attempt.turn && item.round === attempt.round,
  );
  const scored = attempt.verdicts.length > 0;
  const isBest = view.phase === "done" && view.values.best === attempt.id;
  return (
    <article className="round card" aria-labelledby={id}>
      <div className="round-image">
        <ArtifactImage
          key={attempt.image.sha256}
          image={attempt.image}
          side={THUMBNAIL_SIDE}
          alt={`Image of ${nameOf(attempt, all).toLowerCase()}`}
          lazy
        />
      </div>
      <div className="round-body">
        <header className="round-head">
          <h3 id={id}>{nameOf(attempt, all)}</h3>
          {isBest && <span className="badge">best</span>}
          <p className="round-score muted">
            {scored && `${metCount(attempt)} of ${attempt.verdicts.length} met · `}
            {seconds(attempt.seconds)} to generate · seed {attempt.seed}
          </p>
        </header>
        <RequirementList attempt={attempt} view={view} />
        <PromptChanges attempt={attempt} before={before} />
        {attempt.skills.length > 0 && (
          <p className="muted">Skills used: {attempt.skills.join(", ")}</p>
        )}
        {experience !== undefined && (
          <div className="experience">
            <h4>What this round taught</h4>
            <p dir="auto">{experience.text}</p>
          </div>
        )}
        <div className="actions">
          {all.length > 1 && (
            <button type="button" onClick={onCompare}>
              Compare
            </button>
          )}
          {scored && view.phase !== "running" && (
            <button type="button" onClick={onFork}>
              Continue from here
            </button>
          )}
          <button type="button" onClick={onUse}>
            Use as input
          </button>
        </div>
      </div>
    </article>
  );
}

function seconds(value: number): string {
  return value < 10 ? `${value.toFixed(1)} s` : duration(value);
}
