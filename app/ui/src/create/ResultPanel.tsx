import { ArtifactImage } from "../parts/ArtifactImage";
import { Icon } from "../parts/Icon";
import { nameOf } from "../records";
import type { Attempt } from "../records";
import { shownAttempt, statusOf } from "../run/status";
import type { RunView } from "../run/view";
import { Downloads } from "./Downloads";
import { RequirementList } from "./RequirementList";
import { Elapsed } from "./Elapsed";

interface Props {
  view: RunView;
  onAgain: () => void;
}

const SHOWN_SIDE = 1280;

/** The best image so far, where the run is, and what the image meets. */
export function ResultPanel({ view, onAgain }: Props) {
  const best = shownAttempt(view);
  const running = view.phase === "running";
  const failedInside = (view.values.stopped_because ?? "").endsWith("_failed");
  return (
    <section className="result" aria-labelledby="result-title" id="result" tabIndex={-1}>
      <h2 id="result-title" className="visually-hidden">
        Result
      </h2>
      <div className={`status-line ${view.phase}`} hidden={view.phase === "empty"}>
        {running && <span className="pulse" aria-hidden="true" />}
        <p role="status">{statusOf(view)}</p>
        {running && view.began !== null && <Elapsed since={view.began} />}
        {view.phase === "stopped" && (
          <button type="button" onClick={onAgain}>
            Go on
          </button>
        )}
      </div>
      {view.step !== null && view.step.steps > 1 && (
        <progress
          aria-label="Denoising steps"
          value={view.step.step}
          max={view.step.steps}
          className="steps"
        />
      )}
      {view.phase === "empty" && <Welcome />}
      {best === undefined && (running || view.phase === "loading") && (
        <div className="canvas placeholder" aria-hidden="true" />
      )}
      {best !== undefined && (
        <div className="result-grid card">
          <figure className="canvas">
            <ArtifactImage
              key={best.image.sha256}
              image={best.image}
              side={SHOWN_SIDE}
              alt={view.values.prompt ?? best.prompt}
            />
            <figcaption className="muted">
              {nameOf(best, view.values.attempts ?? [])}
              {noteOf(view, best)}
            </figcaption>
          </figure>
          <div className="result-side">
            <p className="result-prompt" dir="auto">
              {view.values.prompt}
            </p>
            <RequirementList attempt={best} view={view} detailed />
            <Downloads view={view} best={best} />
          </div>
        </div>
      )}
      {failedInside && view.phase === "done" ? (
        <div className="problem" role="alert">
          <div>
            {(view.values.notices ?? []).map((notice) => (
              <p key={notice} className="problem-message" dir="auto">
                {notice}
              </p>
            ))}
            <p className="problem-hint">
              This is the best image before that. What was made so far is kept.
            </p>
          </div>
          <button type="button" onClick={onAgain}>
            Try again
          </button>
        </div>
      ) : (
        (view.values.notices ?? []).length > 0 && (
          <ul className="notices">
            {(view.values.notices ?? []).map((notice) => (
              <li key={notice} dir="auto">
                <Icon name="unknown" /> {notice}
              </li>
            ))}
          </ul>
        )
      )}
    </section>
  );
}

function noteOf(view: RunView, shown: Attempt): string {
  if (view.phase === "done") return "";
  return shown.verdicts.length === 0 ? ", being checked" : ", the best so far";
}

function Welcome() {
  return (
    <div className="welcome">
      <p className="welcome-lead">Say what the image must show.</p>
      <p className="muted">
        Every requirement in your words is checked on each image, and the prompt is refined until
        the image meets them all or the rounds are used up.
      </p>
    </div>
  );
}
