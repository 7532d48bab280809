import { useCallback, useEffect, useState } from "react";

import { ProblemAlert } from "../parts/ProblemAlert";
import { useRun } from "../run/useRun";
import { useAssistants } from "../settings/useAssistants";
import { AnswerPanel } from "./AnswerPanel";
import { Composer } from "./Composer";
import type { Draft, Typed } from "./Composer";
import { CostPanel } from "./CostPanel";
import { ResultPanel } from "./ResultPanel";
import { RoundsPanel } from "./RoundsPanel";
import { ThreadsNav } from "./ThreadsNav";
import { useThreads } from "./useThreads";

interface Props {
  thread: string | null;
  onThread: (thread: string) => void;
  typed: Typed;
}

/** The prompt, the run as it goes on, and the threads of before. */
export function CreateView({ thread, onThread, typed }: Props) {
  const threads = useThreads();
  const [view, actions] = useRun(thread, onThread, threads.reload);
  const assistants = useAssistants();
  const [stopping, setStopping] = useState(false);
  const [draft, setDraft] = useState<Draft | null>(null);
  const running = view.phase === "running";

  useEffect(() => {
    if (!running) setStopping(false);
  }, [running]);

  useEffect(() => {
    document.title = view.values.prompt ? `${view.values.prompt.slice(0, 60)} – GEMS` : "GEMS";
  }, [view.values.prompt]);

  const stop = useCallback(() => {
    setStopping(true);
    actions.stop();
  }, [actions]);

  return (
    <div className="create">
      <ThreadsNav threads={threads} current={thread} />
      <main id="main" tabIndex={-1}>
        <Composer
          typed={typed}
          assistants={assistants}
          running={running}
          stopping={stopping}
          prompt={view.values.prompt ?? ""}
          thread={thread}
          draft={draft}
          onGenerate={actions.start}
          onStop={stop}
        />
        {assistants.problem !== null && (
          <ProblemAlert problem={assistants.problem} again={assistants.reload} />
        )}
        {view.problem !== null && <ProblemAlert problem={view.problem} again={actions.again} />}
        <ResultPanel view={view} onAgain={actions.again} />
        {view.waiting !== null && view.phase === "waiting" && (
          <AnswerPanel
            key={view.waiting.id}
            question={view.waiting.question}
            onAnswer={actions.answer}
          />
        )}
        <RoundsPanel
          view={view}
          onFork={actions.fork}
          onUse={(attempt) => setDraft({ text: attempt.prompt })}
        />
        <CostPanel view={view} />
      </main>
    </div>
  );
}
