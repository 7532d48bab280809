import { useState } from "react";

import type { Question } from "../records";
import { metCount } from "../records";

interface Props {
  question: Extract<Question, { ask: "round" }>;
  onAnswer: (value: unknown) => void;
}

/** What to do after a round: take it, go on (with words or without), or end here. */
export function RoundAnswer({ question, onAnswer }: Props) {
  const [feedback, setFeedback] = useState("");
  const best = Math.max(0, ...question.attempts.map(metCount));
  const total = question.attempts[0]?.verdicts.length ?? 0;
  const content = question.would_stop === "accepted";
  return (
    <div className="stack">
      <p>
        Round {question.round}: {best} of {total} requirements met.{" "}
        {content ? "The verifier would accept it." : "The verifier would go on."}
      </p>
      <div className="field">
        <label htmlFor="feedback">Feedback</label>
        <textarea
          id="feedback"
          rows={3}
          dir="auto"
          value={feedback}
          placeholder="What should be different in the next image"
          onChange={(event) => setFeedback(event.target.value)}
        />
      </div>
      <div className="actions">
        <button type="button" onClick={() => onAnswer({ decision: "stop" })}>
          Stop here
        </button>
        <button
          type="button"
          className={content ? "" : "primary"}
          onClick={() => onAnswer({ decision: "continue", feedback: feedback.trim() })}
        >
          Go on
        </button>
        <button
          type="button"
          className={content ? "primary" : ""}
          onClick={() => onAnswer({ decision: "accept" })}
        >
          Accept
        </button>
      </div>
    </div>
  );
}
