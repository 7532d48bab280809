import type { Problem } from "../run/problem";

interface Props {
  problem: Problem;
  again?: (() => void) | undefined;
  label?: string;
}

/** An error for people; with `again`, a button that tries once more. */
export function ProblemAlert({ problem, again, label = "Try again" }: Props) {
  return (
    <div className="problem" role="alert">
      <div>
        <p className="problem-message">{problem.message}</p>
        {problem.hint !== "" && <p className="problem-hint">{problem.hint}</p>}
      </div>
      {again !== undefined && (
        <button type="button" onClick={again}>
          {label}
        </button>
      )}
    </div>
  );
}
