import { useState } from "react";

import { Icon } from "../parts/Icon";
import type { Attempt } from "../records";
import { ofRequest } from "../run/problem";
import type { RunView } from "../run/view";
import { BASE, get, imagePath, save, storedKey } from "../server";

interface Props {
  view: RunView;
  best: Attempt;
}

export function Downloads({ view, best }: Props) {
  const [problem, setProblem] = useState("");
  const thread = view.thread ?? "";
  const report = `/threads/${encodeURIComponent(thread)}/report`;
  const name = `gems-${best.image.sha256.slice(0, 8)}`;

  function attempt(work: Promise<void>) {
    setProblem("");
    work.catch((error: unknown) => setProblem(ofRequest(error).message));
  }

  async function image() {
    const type = best.image.mime.split("/")[1] ?? "png";
    save(await (await get(imagePath(best.image))).blob(), `${name}.${type}`);
  }

  return (
    <div className="downloads">
      <button type="button" onClick={() => attempt(image())}>
        <Icon name="down" /> Download image
      </button>
      <button type="button" onClick={() => save(asJson(view), `${name}.json`)}>
        Download JSON
      </button>
      {view.phase === "done" && (
        <a
          className="button"
          href={`${BASE}${report}`}
          target="_blank"
          rel="noreferrer"
          onClick={(event) => {
            if (storedKey() === null) return;
            // A link sends no key: the report is fetched and saved.
            event.preventDefault();
            attempt(get(report).then(async (got) => save(await got.blob(), `${name}.html`)));
          }}
        >
          Report
        </a>
      )}
      {problem !== "" && (
        <p className="field-problem" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

/** What `gems generate --json` prints, without the paths of the server's machine. */
function asJson(view: RunView): Blob {
  const { values } = view;
  const document = {
    thread_id: view.thread,
    prompt: values.prompt,
    seed: values.seed,
    settings: view.settings,
    image: values.image,
    best: values.best,
    score: values.score,
    stopped_because: values.stopped_because,
    requirements: values.requirements,
    attempts: values.attempts,
    experiences: values.experiences,
    usage: values.usage,
    notices: values.notices,
  };
  const withoutPaths = (key: string, value: unknown) => (key === "uri" ? undefined : value);
  return new Blob([JSON.stringify(document, withoutPaths, 2)], { type: "application/json" });
}
