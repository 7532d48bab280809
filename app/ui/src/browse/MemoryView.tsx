import { useCallback, useEffect, useState } from "react";
import type { FormEvent } from "react";

import { ProblemAlert } from "../parts/ProblemAlert";
import type { Lesson } from "../records";
import { ofRequest } from "../run/problem";
import type { Problem } from "../run/problem";
import { client } from "../server";

interface Item {
  namespace: string[];
  key: string;
  value: Lesson;
}

/** First label of every namespace of lessons; the server narrows it to the caller's own. */
const ROOT = "experiences";

const PAGE = 50;

/** What runs have taught, to be read and deleted. */
export function MemoryView() {
  const [items, setItems] = useState<Item[] | null>(null);
  const [more, setMore] = useState(false);
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);

  const load = useCallback(async (words: string, offset: number) => {
    try {
      const found = await client().store.searchItems([ROOT], {
        limit: PAGE,
        offset,
        ...(words === "" ? {} : { query: words }),
      });
      const fresh = found.items as unknown as Item[];
      setItems((before) => (offset === 0 ? fresh : [...(before ?? []), ...fresh]));
      setMore(fresh.length === PAGE);
      setProblem(null);
    } catch (error) {
      setProblem(ofRequest(error));
    }
  }, []);

  useEffect(() => void load("", 0), [load]);

  async function forget(item: Item) {
    try {
      await client().store.deleteItem(item.namespace, item.key);
      setItems((before) => (before ?? []).filter((other) => other.key !== item.key));
    } catch (error) {
      setProblem(ofRequest(error));
    }
  }

  return (
    <main id="main" className="browse" tabIndex={-1}>
      <h2>Memory</h2>
      <p className="muted">What your runs have taught; new prompts recall the lessons that fit.</p>
      <form
        className="search"
        role="search"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          void load(query.trim(), 0);
        }}
      >
        <label htmlFor="memory-search" className="visually-hidden">
          Search lessons
        </label>
        <input
          id="memory-search"
          type="search"
          placeholder="Search by task"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        <button type="submit">Search</button>
      </form>
      {problem !== null && <ProblemAlert problem={problem} again={() => void load(query, 0)} />}
      <ul className="entries">
        {(items ?? []).map((item) => (
          <li key={`${item.namespace.join("/")}/${item.key}`} className="card entry">
            <LessonEntry item={item} onForget={() => void forget(item)} />
          </li>
        ))}
      </ul>
      {items?.length === 0 && <p>No lessons yet. Runs that had to correct something leave one.</p>}
      {more && (
        <button type="button" onClick={() => void load(query.trim(), items?.length ?? 0)}>
          Show more
        </button>
      )}
    </main>
  );
}

function LessonEntry({ item, onForget }: { item: Item; onForget: () => void }) {
  const [asked, setAsked] = useState(false);
  const { value: lesson, namespace } = item;
  const helped = lesson.gain > 0;
  return (
    <>
      <h3 dir="auto">{lesson.task}</h3>
      <dl>
        <dt>What went wrong</dt>
        <dd dir="auto">{lesson.failed || "Nothing"}</dd>
        {lesson.remedy !== "" && (
          <>
            <dt>{helped ? "What helped" : "What did not help"}</dt>
            <dd dir="auto">{lesson.remedy}</dd>
          </>
        )}
      </dl>
      <p className="muted">
        {namespace.slice(1).join(", ")} · taught by {times(lesson.count, "run")} · recalled{" "}
        {times(lesson.uses, "time")}, helped {times(lesson.wins, "time")}
      </p>
      <div className="actions">
        {asked ? (
          <>
            <button type="button" onClick={() => setAsked(false)}>
              Keep
            </button>
            <button type="button" className="danger" autoFocus onClick={onForget}>
              Delete for good
            </button>
          </>
        ) : (
          <button type="button" onClick={() => setAsked(true)}>
            Delete
          </button>
        )}
      </div>
    </>
  );
}

function times(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
