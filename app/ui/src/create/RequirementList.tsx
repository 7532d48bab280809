import { Icon } from "../parts/Icon";
import type { Answer, Attempt, Requirement, Verdict } from "../records";
import { liveKey } from "../run/view";
import type { RunView } from "../run/view";

const WORDS: Record<Answer, string> = { yes: "met", no: "not met", unknown: "can't tell" };

interface Props {
  attempt: Attempt;
  view: RunView;
  /** Also say what was seen. */
  detailed?: boolean;
}

/** What an image had to show and what the verifier found; ticks appear as they come in. */
export function RequirementList({ attempt, view, detailed = false }: Props) {
  const rows = rowsOf(attempt, view);
  if (rows.length === 0) return <p className="muted">Nothing is checked.</p>;
  return (
    <ul className={detailed ? "requirements detailed" : "requirements"} aria-label="Requirements">
      {rows.map(({ requirement, verdict }) => (
        <li key={requirement.id} className={verdict?.answer ?? "open"}>
          <Icon name={verdict?.answer ?? "waiting"} />
          <span className="question" dir="auto">
            {requirement.question}
          </span>
          <span className="verdict">{verdict ? WORDS[verdict.answer] : "not checked yet"}</span>
          {detailed && verdict !== undefined && verdict.rationale !== "" && (
            <span className="rationale" dir="auto">
              {verdict.rationale}
              <span className="source"> {sourceOf(verdict)}</span>
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** The requirements of an attempt's turn, each with its verdict if there is one. */
export function rowsOf(
  attempt: Attempt,
  view: RunView,
): { requirement: Requirement; verdict: Verdict | undefined }[] {
  const { asked = [], requirements = [], turn } = view.values;
  const judged = new Map(attempt.verdicts.map((verdict) => [verdict.requirement, verdict]));
  const known = new Map([...asked, ...requirements].map((item) => [item.id, item]));
  const wanted =
    attempt.turn === turn && requirements.length > 0
      ? requirements
      : attempt.verdicts.flatMap((verdict) => known.get(verdict.requirement) ?? []);
  return wanted.map((requirement) => ({
    requirement,
    verdict: judged.get(requirement.id) ?? view.live[liveKey(attempt.id, requirement.id)],
  }));
}

function sourceOf(verdict: Verdict): string {
  const sure = `${Math.round(verdict.confidence * 100)} % sure`;
  switch (verdict.source) {
    case "evidence":
      return `(measured${verdict.evidence ? ` by ${verdict.evidence}` : ""})`;
    case "dependency":
      return "(follows from another)";
    case "error":
    case "budget":
      return "(nobody looked)";
    default:
      return `(${sure})`;
  }
}
