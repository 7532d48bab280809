import { useState } from "react";

import type { Attempt } from "../records";
import type { RunView } from "../run/view";
import type { ForkChoice } from "../run/fork";
import { CompareDialog } from "./CompareDialog";
import { ForkDialog } from "./ForkDialog";
import { RoundArticle } from "./RoundArticle";

interface Props {
  view: RunView;
  onFork: (choice: ForkChoice) => Promise<void>;
  /** Takes an attempt's prompt as the next one. */
  onUse: (attempt: Attempt) => void;
}

type Open = { dialog: "compare" | "fork"; attempt: string } | null;

/** Every attempt of the thread, the newest last. */
export function RoundsPanel({ view, onFork, onUse }: Props) {
  const [open, setOpen] = useState<Open>(null);
  const attempts = view.values.attempts ?? [];
  const chosen = attempts.find((item) => item.id === open?.attempt);
  if (attempts.length === 0) return null;
  return (
    <section className="rounds" aria-labelledby="rounds-title">
      <h2 id="rounds-title">Rounds</h2>
      {attempts.map((attempt, index) => (
        <RoundArticle
          key={attempt.id}
          attempt={attempt}
          before={beforeOf(attempts, index)}
          view={view}
          onCompare={() => setOpen({ dialog: "compare", attempt: attempt.id })}
          onFork={() => setOpen({ dialog: "fork", attempt: attempt.id })}
          onUse={() => onUse(attempt)}
        />
      ))}
      {open?.dialog === "compare" && chosen !== undefined && (
        <CompareDialog view={view} start={chosen} onClose={() => setOpen(null)} />
      )}
      {open?.dialog === "fork" && chosen !== undefined && (
        <ForkDialog
          attempt={chosen}
          all={attempts}
          onClose={() => setOpen(null)}
          onFork={onFork}
        />
      )}
    </section>
  );
}

/** The attempt that a prompt is compared with: the last one of the round before. */
function beforeOf(attempts: Attempt[], index: number): Attempt | undefined {
  const own = attempts[index];
  return attempts.slice(0, index).findLast((item) => {
    return own !== undefined && (item.round !== own.round || item.turn !== own.turn);
  });
}
