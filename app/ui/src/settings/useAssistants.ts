/** The graph's assistants (the graph itself, and presets) and the settings each may be given. */

import { useCallback, useEffect, useState } from "react";

import type { Settings } from "../records";
import { ofRequest } from "../run/problem";
import type { Problem } from "../run/problem";
import { GRAPH, client } from "../server";
import { fieldsOf } from "./schema";
import type { Field } from "./schema";

export interface Preset {
  id: string;
  name: string;
  description: string;
  fields: Field[];
}

export interface Assistants {
  presets: Preset[];
  problem: Problem | null;
  reload(): void;
}

export function useAssistants(): Assistants {
  const [presets, setPresets] = useState<Preset[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);

  const load = useCallback(async () => {
    try {
      const found = await client().assistants.search({ graphId: GRAPH, limit: 50 });
      // The graph's own assistant comes first: it is the server's, with nothing set.
      const isOwn = (item: (typeof found)[number]) => item.metadata?.["created_by"] === "system";
      found.sort((a, b) => Number(isOwn(b)) - Number(isOwn(a)));
      const first = found[0];
      if (first === undefined) {
        setProblem({
          message: `This server has no graph "${GRAPH}".`,
          hint: "Start it with the langgraph.json of this project, or with `gems ui`.",
        });
        return;
      }
      const schema = (await client().assistants.getSchemas(first.assistant_id)).context_schema;
      setPresets(
        found.map((item) => ({
          id: item.assistant_id,
          name: isOwn(item) ? "Defaults" : item.name,
          description: item.description ?? "",
          fields: fieldsOf(schema, (item.context ?? {}) as Settings),
        })),
      );
      setProblem(null);
    } catch (error) {
      setProblem(ofRequest(error));
    }
  }, []);

  useEffect(() => void load(), [load]);
  return { presets, problem, reload: () => void load() };
}
