import { useEffect, useState } from "react";

import { ProblemAlert } from "../parts/ProblemAlert";
import { ofRequest } from "../run/problem";
import type { Problem } from "../run/problem";
import { get } from "../server";

interface SkillLine {
  name: string;
  description: string;
  source: string;
}

/** The skills that the planner may load, each with its instructions. */
export function SkillsView() {
  const [skills, setSkills] = useState<SkillLine[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);

  function load() {
    get("/skills")
      .then((response) => response.json() as Promise<{ skills: SkillLine[] }>)
      .then(
        (found) => {
          setSkills(found.skills);
          setProblem(null);
        },
        (error: unknown) => setProblem(ofRequest(error)),
      );
  }
  useEffect(load, []);

  return (
    <main id="main" className="browse" tabIndex={-1}>
      <h2>Skills</h2>
      <p className="muted">
        Folders of expertise. The planner sees names and descriptions, and loads a skill when the
        prompt needs it.
      </p>
      {problem !== null && <ProblemAlert problem={problem} again={load} />}
      <ul className="entries">
        {(skills ?? []).map((skill) => (
          <li key={skill.name}>
            <SkillEntry skill={skill} />
          </li>
        ))}
      </ul>
      {skills?.length === 0 && <p>There are none.</p>}
    </main>
  );
}

function SkillEntry({ skill }: { skill: SkillLine }) {
  const [text, setText] = useState<string | null>(null);

  function load() {
    get(`/skills/${encodeURIComponent(skill.name)}`)
      .then((response) => response.json() as Promise<{ instructions: string }>)
      .then(
        (found) => setText(found.instructions),
        (error: unknown) => setText(ofRequest(error).message),
      );
  }

  return (
    <details
      className="card entry"
      onToggle={(event) => {
        if (event.currentTarget.open && text === null) load();
      }}
    >
      <summary>
        <h3>{skill.name}</h3>
        {skill.source !== "builtin" && <span className="badge">{skill.source}</span>}
        <p dir="auto">{skill.description}</p>
      </summary>
      <pre dir="auto">{text ?? "Loading"}</pre>
    </details>
  );
}
