/** What changed between two prompts, word by word, in pieces that people can read. */

import { diffWordsWithSpace } from "diff";

export interface Piece {
  kind: "same" | "added" | "removed";
  text: string;
}

/** Edits past which a comparison would keep the browser busy. */
const MAX_EDITS = 2000;

/** Kept words that are fewer, between two changes, are read better as part of the change. */
const FEWEST_KEPT = 3;

/** Returns the pieces in order; undefined when the prompts have too little in common. */
export function wordDiff(before: string, after: string): Piece[] | undefined {
  const parts = diffWordsWithSpace(before, after, { maxEditLength: MAX_EDITS });
  if (parts === undefined) return undefined;
  const pieces: Piece[] = [];
  let removed = "";
  let added = "";
  const flush = () => {
    if (removed !== "") pieces.push({ kind: "removed", text: removed });
    if (added !== "") pieces.push({ kind: "added", text: added });
    removed = added = "";
  };
  parts.forEach((part, index) => {
    if (part.removed) removed += part.value;
    else if (part.added) added += part.value;
    else {
      const inside = index > 0 && index < parts.length - 1;
      if (inside && part.value.split(/\s+/).filter(Boolean).length < FEWEST_KEPT) {
        removed += part.value;
        added += part.value;
        return;
      }
      flush();
      pieces.push({ kind: "same", text: part.value });
    }
  });
  flush();
  return pieces;
}
