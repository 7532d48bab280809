import { useId, useState } from "react";

import { ArtifactImage } from "../parts/ArtifactImage";
import { Modal } from "../parts/Modal";
import { bestOf, nameOf } from "../records";
import type { Answer, Attempt } from "../records";
import type { RunView } from "../run/view";
import { rowsOf } from "./RequirementList";

interface Props {
  view: RunView;
  start: Attempt;
  onClose: () => void;
}

const WORDS: Record<Answer, string> = { yes: "met", no: "not met", unknown: "can't tell" };
const SIDE = 1024;

/** Two attempts, one over the other, with a divider to move. */
export function CompareDialog({ view, start, onClose }: Props) {
  const attempts = view.values.attempts ?? [];
  const other =
    attempts.findLast((item) => item.id !== start.id && item.round < start.round) ??
    bestOf(attempts.filter((item) => item.id !== start.id)) ??
    start;
  const [leftId, setLeft] = useState(other.id);
  const [rightId, setRight] = useState(start.id);
  const [divider, setDivider] = useState(50);
  const left = attempts.find((item) => item.id === leftId) ?? other;
  const right = attempts.find((item) => item.id === rightId) ?? start;
  const sliderId = useId();
  return (
    <Modal title="Compare attempts" wide onClose={onClose}>
      <div className="compare-choice">
        <Choice label="Left attempt" value={left} all={attempts} onChange={setLeft} />
        <Choice label="Right attempt" value={right} all={attempts} onChange={setRight} />
      </div>
      <div className="compare-images" style={{ aspectRatio: ratio(left) }}>
        <ArtifactImage
          key={`left ${left.id}`}
          image={left.image}
          side={SIDE}
          alt={nameOf(left, attempts)}
        />
        <div className="compare-top" style={{ clipPath: `inset(0 0 0 ${divider}%)` }}>
          <ArtifactImage
            key={`right ${right.id}`}
            image={right.image}
            side={SIDE}
            alt={nameOf(right, attempts)}
          />
        </div>
        <div className="compare-line" style={{ left: `${divider}%` }} aria-hidden="true" />
        <input
          id={sliderId}
          className="compare-slider"
          type="range"
          min={0}
          max={100}
          value={divider}
          aria-label="Divider"
          aria-valuetext={`${divider} % of the left attempt`}
          onChange={(event) => setDivider(Number(event.target.value))}
        />
      </div>
      <VerdictDifferences left={left} right={right} view={view} />
    </Modal>
  );
}

function ratio(attempt: Attempt): string {
  return `${attempt.image.width} / ${attempt.image.height}`;
}

interface ChoiceProps {
  label: string;
  value: Attempt;
  all: Attempt[];
  onChange: (id: string) => void;
}

function Choice({ label, value, all, onChange }: ChoiceProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value.id} onChange={(event) => onChange(event.target.value)}>
        {all.map((attempt) => (
          <option key={attempt.id} value={attempt.id}>
            {nameOf(attempt, all)}
          </option>
        ))}
      </select>
    </div>
  );
}

function VerdictDifferences({ left, right, view }: { left: Attempt; right: Attempt; view: RunView }) {
  const answersOf = (attempt: Attempt) =>
    new Map(rowsOf(attempt, view).map((row) => [row.requirement.id, row.verdict?.answer]));
  const [before, after] = [answersOf(left), answersOf(right)];
  const rows = [...new Map([...rowsOf(left, view), ...rowsOf(right, view)].map((row) => [row.requirement.id, row.requirement])).values()];
  const different = rows.filter((item) => before.get(item.id) !== after.get(item.id));
  const word = (answer: Answer | undefined) => (answer === undefined ? "not checked" : WORDS[answer]);
  if (different.length === 0) {
    return <p className="muted">Both meet the same requirements.</p>;
  }
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label="Verdict differences">
      <table className="differences">
        <caption>Verdict differences</caption>
        <thead>
          <tr>
            <th scope="col">Requirement</th>
            <th scope="col">Left</th>
            <th scope="col">Right</th>
          </tr>
        </thead>
        <tbody>
          {different.map((item) => (
            <tr key={item.id}>
              <th scope="row" dir="auto">
                {item.question}
              </th>
              <td className={before.get(item.id)}>{word(before.get(item.id))}</td>
              <td className={after.get(item.id)}>{word(after.get(item.id))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
