import { useMemo } from "react";

import type { Attempt } from "../records";
import { wordDiff } from "./wordDiff";

interface Props {
  attempt: Attempt;
  before: Attempt | undefined;
}

/** The prompt that the generator was given, word by word against the round before. */
export function PromptChanges({ attempt, before }: Props) {
  const pieces = useMemo(
    () => (before === undefined ? undefined : wordDiff(before.prompt, attempt.prompt)),
    [attempt.prompt, before],
  );
  return (
    <div className="prompt-changes">
      <h4>{pieces === undefined ? "Prompt" : "Prompt changes"}</h4>
      <p dir="auto">
        {pieces === undefined
          ? attempt.prompt
          : pieces.map(({ kind, text }, index) => {
              if (kind === "added") return <ins key={index}>{text}</ins>;
              if (kind === "removed") return <del key={index}>{text}</del>;
              return <span key={index}>{text}</span>;
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
