import { useState } from "react";
import type { FormEvent } from "react";

import { Modal } from "../parts/Modal";
import { nameOf } from "../records";
import type { Attempt } from "../records";
import type { ForkChoice } from "../run/fork";
import { ofRequest } from "../run/problem";

interface Props {
  attempt: Attempt;
  all: Attempt[];
  onClose: () => void;
  onFork: (choice: ForkChoice) => Promise<void>;
}

const MOST_ROUNDS = 50;

/** Goes on from an attempt in a copy of the thread. */
export function ForkDialog({ attempt, all, onClose, onFork }: Props) {
  const [feedback, setFeedback] = useState("");
  const [rounds, setRounds] = useState(3);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");

  function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    onFork({ attempt, feedback: feedback.trim(), rounds }).then(onClose, (error: unknown) => {
      setBusy(false);
      setProblem(ofRequest(error).message);
    });
  }

  return (
    <Modal title={`Continue from ${nameOf(attempt, all).toLowerCase()}`} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <p>
          A copy of this thread goes on from this attempt; the thread itself stays as it is.
        </p>
        <div className="field">
          <label htmlFor="fork-feedback">What should change</label>
          <textarea
            id="fork-feedback"
            rows={3}
            dir="auto"
            value={feedback}
            onChange={(event) => setFeedback(event.target.value)}
            aria-describedby="fork-help"
          />
          <p className="help" id="fork-help">
            May stay empty: then the refiner works on what is not met.
          </p>
        </div>
        <div className="field">
          <label htmlFor="fork-rounds">Further rounds at most</label>
          <input
            id="fork-rounds"
            type="number"
            min={1}
            max={MOST_ROUNDS - attempt.round}
            required
            value={Number.isNaN(rounds) ? "" : rounds}
            onChange={(event) => setRounds(event.target.valueAsNumber)}
          />
        </div>
        {problem !== "" && (
          <p className="field-problem" role="alert">
            {problem}
          </p>
        )}
        <div className="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            Continue
          </button>
        </div>
      </form>
    </Modal>
  );
}
