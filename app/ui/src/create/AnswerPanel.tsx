import { useEffect, useRef } from "react";

import type { Question } from "../records";
import { RequirementsAnswer } from "./RequirementsAnswer";
import { RoundAnswer } from "./RoundAnswer";

interface Props {
  question: Question;
  onAnswer: (value: unknown) => void;
}

/** What the run waits for; the focus goes to it, because nothing happens without. */
export function AnswerPanel({ question, onAnswer }: Props) {
  const region = useRef<HTMLElement>(null);
  useEffect(() => region.current?.focus(), []);
  return (
    <section className="answer card" aria-labelledby="answer-title" tabIndex={-1} ref={region}>
      <h2 id="answer-title">Your answer</h2>
      {question.ask === "requirements" ? (
        <RequirementsAnswer question={question} onAnswer={onAnswer} />
      ) : (
        <RoundAnswer question={question} onAnswer={onAnswer} />
      )}
    </section>
  );
}
