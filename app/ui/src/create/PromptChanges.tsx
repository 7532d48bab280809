import { diffWordsWithSpace } from "diff";
import { useMemo } from "react";

import type { Attempt } from "../records";

interface Props {
  attempt: Attempt;
  before: Attempt | undefined;
}

/** Words past which a comparison would keep the browser busy; then the prompt is shown as it is. */
const MAX_EDITS = 2000;

/** The prompt that the generator was given, word by word against the round before. */
export function PromptChanges({ attempt, before }: Props) {
  const parts = useMemo(
    () =>
      before === undefined
        ? undefined
        : diffWordsWithSpace(before.prompt, attempt.prompt, { maxEditLength: MAX_EDITS }),
    [attempt.prompt, before],
  );
  return (
    <div className="prompt-changes">
      <h4>{parts === undefined ? "Prompt" : "Prompt changes"}</h4>
      <p dir="auto">
        {parts === undefined
          ? attempt.prompt
          : parts.map((part, index) => {
              if (part.added) return <ins key={index}>{part.value}</ins>;
              if (part.removed) return <del key={index}>{part.value}</del>;
              return <span key={index}>{part.value}</span>;
            })}
      </p>
      {attempt.rationale !== "" && (
        <p className="muted rationale" dir="auto">
          {attempt.rationale}
        </p>
      )}
    </div>
  );
}
