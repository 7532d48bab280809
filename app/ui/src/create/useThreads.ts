import { useCallback, useEffect, useRef, useState } from "react";

import { ofRequest } from "../run/problem";
import type { Problem } from "../run/problem";
import { listThreads } from "../server";
import type { ThreadLine } from "../server";

export interface Threads {
  lines: ThreadLine[] | null;
  problem: Problem | null;
  more: boolean;
  reload(): void;
  showMore(): void;
}

const PAGE = 30;

/** The list of threads; asked for anew when a run begins or ends. */
export function useThreads(): Threads {
  const [limit, setLimit] = useState(PAGE);
  const [lines, setLines] = useState<ThreadLine[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const asked = useRef(0);

  const reload = useCallback(() => {
    const mine = ++asked.current;
    listThreads(limit).then(
      (found) => {
        if (mine !== asked.current) return;
        setLines(found);
        setProblem(null);
      },
      (error: unknown) => {
        if (mine === asked.current) setProblem(ofRequest(error));
      },
    );
  }, [limit]);

  useEffect(reload, [reload]);

  return {
    lines,
    problem,
    more: lines !== null && lines.length >= limit,
    reload,
    showMore: () => setLimit((shown) => shown + PAGE),
  };
}
