import { Icon } from "../parts/Icon";
import { threadHref } from "../route";
import type { ThreadLine } from "../server";
import type { Threads } from "./useThreads";

const STATUS: Record<string, string> = {
  busy: "running",
  interrupted: "waits for you",
  error: "failed",
};

interface Props {
  threads: Threads;
  current: string | null;
}

export function ThreadsNav({ threads, current }: Props) {
  const lines = threads.lines ?? [];
  return (
    <nav className="threads" aria-label="Threads" id="threads" tabIndex={-1}>
      <a className="button new" href="#/" aria-current={current === null ? "page" : undefined}>
        <Icon name="plus" /> New image
      </a>
      {threads.problem !== null && <p className="muted">{threads.problem.message}</p>}
      {threads.lines?.length === 0 && <p className="muted">Your images will be listed here.</p>}
      <ul>
        {lines.map((line) => (
          <li key={line.id}>
            <a href={threadHref(line.id)} aria-current={line.id === current ? "page" : undefined}>
              <span className="thread-prompt" dir="auto">
                {line.prompt || "(no prompt)"}
              </span>
              <span className="thread-note">{noteOf(line)}</span>
            </a>
          </li>
        ))}
      </ul>
      {threads.more && (
        <button type="button" className="quiet" onClick={threads.showMore}>
          Show more
        </button>
      )}
    </nav>
  );
}

function noteOf(line: ThreadLine): string {
  const when = new Date(line.updated).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
  const status = STATUS[line.status];
  if (status !== undefined) return `${when}, ${status}`;
  return line.score === null || line.image === "" ? when : `${when}, ${percent(line.score)}`;
}

function percent(score: number): string {
  return `${Math.round(score * 100)} %`;
}
