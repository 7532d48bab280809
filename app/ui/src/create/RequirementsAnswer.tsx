import { useRef, useState } from "react";
import type { FormEvent } from "react";

import { Icon } from "../parts/Icon";
import type { Question, Requirement } from "../records";

interface Props {
  question: Extract<Question, { ask: "requirements" }>;
  onAnswer: (value: unknown) => void;
}

interface Row {
  key: number;
  text: string;
  from: Requirement | null;
}

/** The list of requirements, to be edited before the first image; and the first prompts. */
export function RequirementsAnswer({ question, onAnswer }: Props) {
  const next = useRef(question.requirements.length);
  const [rows, setRows] = useState<Row[]>(() =>
    question.requirements.map((item, key) => ({ key, text: item.question, from: item })),
  );
  const [prompts, setPrompts] = useState(question.prompts);

  function submit(event: FormEvent) {
    event.preventDefault();
    onAnswer(answerOf(question, rows, prompts));
  }

  return (
    <form className="stack" onSubmit={submit}>
      <p>These questions will be asked about every image. Correct them, drop some, add others.</p>
      <ol className="edit-list">
        {rows.map((row, index) => (
          <li key={row.key}>
            <input
              type="text"
              dir="auto"
              aria-label={`Requirement ${index + 1}`}
              autoFocus={row.from === null}
              value={row.text}
              onChange={(event) =>
                setRows(rows.map((old) => (old === row ? { ...row, text: event.target.value } : old)))
              }
            />
            <button
              type="button"
              className="quiet icon-only"
              aria-label={`Remove requirement ${index + 1}`}
              onClick={() => setRows(rows.filter((old) => old !== row))}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ol>
      <div>
        <button
          type="button"
          className="quiet"
          onClick={() => setRows([...rows, { key: next.current++, text: "", from: null }])}
        >
          <Icon name="plus" /> Add a requirement
        </button>
      </div>
      {prompts.map((prompt, index) => (
        <div className="field" key={index}>
          <label htmlFor={`first-prompt-${index}`}>
            {prompts.length > 1 ? `Prompt of candidate ${index + 1}` : "Prompt for the generator"}
          </label>
          <textarea
            id={`first-prompt-${index}`}
            rows={2}
            dir="auto"
            value={prompt}
            onChange={(event) =>
              setPrompts(prompts.map((old, place) => (place === index ? event.target.value : old)))
            }
          />
        </div>
      ))}
      <div className="actions">
        <button type="submit" className="primary" disabled={rows.every((row) => row.text.trim() === "")}>
          Approve
        </button>
      </div>
    </form>
  );
}

/** `true` where nothing was changed; else what was, as nodes/approval.py takes it. */
function answerOf(question: Props["question"], rows: Row[], prompts: string[]): unknown {
  const kept = rows.filter((row) => row.text.trim() !== "");
  const same =
    kept.length === question.requirements.length &&
    kept.every((row, index) => row.text === question.requirements[index]?.question);
  const answer: Record<string, unknown> = {};
  if (!same) {
    answer["requirements"] = kept.map(({ text, from }) => {
      if (from === null) return text.trim();
      // A new wording needs checks of its own; what the question depends on stays.
      return text === from.question
        ? from
        : { id: from.id, question: text.trim(), kind: from.kind, depends_on: from.depends_on };
    });
  }
  if (prompts.some((prompt, index) => prompt !== question.prompts[index])) {
    answer["prompts"] = prompts;
  }
  return Object.keys(answer).length === 0 ? true : answer;
}
