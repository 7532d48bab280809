/** The form's fields, read from the server's schema of the graph's context. */

import type { Settings } from "../records";

export interface Field {
  name: string;
  label: string;
  help: string;
  type: "text" | "whole" | "number" | "choice";
  options: string[];
  min: number | null;
  max: number | null;
  step: number | null;
  /** What an empty field means: the default as text, empty where the default is none. */
  standard: string;
  optional: boolean;
  first: boolean;
}

/** What people change most, in this order; the others come under "More settings". */
const FIRST = [
  "max_rounds",
  "candidates",
  "seed",
  "width",
  "height",
  "generator",
  "mllm",
  "verification",
  "review",
  "skills",
  "memory",
];

const LABELS: Record<string, string> = {
  max_rounds: "Rounds",
  mllm: "Chat model",
  accept_score: "Accept from score",
  manifest_skills: "Skills listed",
  manifest_chars: "Characters of the skill list",
  max_skills: "Skills loaded at most",
  history_images: "Images the refiner sees",
  recall_limit: "Lessons recalled at most",
  max_seconds: "Seconds at most",
  max_model_calls: "Model calls at most",
  user: "User of the lessons",
  refine_by: "Refine by",
};

/** Reads the fields of a JSON schema; what it can't show as a field is left out. */
export function fieldsOf(schema: unknown, standards: Settings): Field[] {
  const properties = record(record(schema)["properties"]);
  const fields = Object.entries(properties).flatMap(([name, given]) => {
    const field = fieldOf(name, record(given), standards[name]);
    return field === undefined ? [] : [field];
  });
  const place = (field: Field) =>
    field.first ? FIRST.indexOf(field.name) : FIRST.length + fields.indexOf(field);
  return [...fields].sort((a, b) => place(a) - place(b));
}

function fieldOf(
  name: string,
  given: Record<string, unknown>,
  standard: string | number | null | undefined,
): Field | undefined {
  const options = alternatives(given);
  const real = options.find((item) => item["type"] !== "null") ?? given;
  const choices = real["enum"];
  const type = typeOf(real);
  if (type === undefined) return undefined;
  const own = standard ?? given["default"] ?? null;
  return {
    name,
    label: labelOf(name),
    help: typeof given["description"] === "string" ? given["description"] : "",
    type,
    options: Array.isArray(choices) ? choices.map(String) : [],
    min: number(real["minimum"] ?? real["exclusiveMinimum"]),
    max: number(real["maximum"]),
    step: number(real["multipleOf"]),
    standard: own === null ? "" : String(own),
    optional: options.length > 1,
    first: FIRST.includes(name),
  };
}

function typeOf(schema: Record<string, unknown>): Field["type"] | undefined {
  if (Array.isArray(schema["enum"])) return "choice";
  switch (schema["type"]) {
    case "string":
      return "text";
    case "integer":
      return "whole";
    case "number":
      return "number";
    default:
      return undefined;
  }
}

function labelOf(name: string): string {
  const known = LABELS[name];
  if (known !== undefined) return known;
  if (name.endsWith("_mllm")) return `Chat model of the ${name.slice(0, -"_mllm".length)}`;
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Returns the settings that differ from their defaults, as the server wants them. */
export function settingsOf(fields: Field[], entered: Record<string, string>): Settings {
  const settings: Settings = {};
  for (const field of fields) {
    const text = (entered[field.name] ?? field.standard).trim();
    if (text === field.standard) continue;
    const isNumber = field.type === "whole" || field.type === "number";
    if (isNumber && text === "") {
      if (field.optional) settings[field.name] = null;
    } else {
      settings[field.name] = isNumber ? Number(text) : text;
    }
  }
  return settings;
}

function alternatives(given: Record<string, unknown>): Record<string, unknown>[] {
  const any = given["anyOf"];
  return Array.isArray(any) ? any.map(record) : [given];
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
