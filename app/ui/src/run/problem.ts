/** What went wrong, for people: a sentence, and what to do next. */

export interface Problem {
  message: string;
  hint: string;
}

/** By the name of the error's class; "Try again" goes on with the same settings. */
const HINTS: Record<string, string> = {
  GenerationError: "Look after the image generator and try again, or choose another one in the settings and generate anew.",
  GeneratorBusyError: "The image generator is busy or can't be reached. Try again in a while.",
  GenerationRefusedError: "The generator's moderation refused it. Word the prompt differently and generate anew.",
  ModelError: "Look after the chat model and its key and try again, or choose another one in the settings and generate anew.",
  ModelBusyError: "The chat model is busy or can't be reached. Try again in a while.",
  StructuredOutputError: "The chat model did not answer in the form asked for. Try again, or choose another one in the settings and generate anew.",
  ConfigurationError: "Correct the settings and generate anew.",
  InputError: "Correct what you entered.",
  ArtifactError: "Is there space left where the server keeps its images?",
};

const KEPT = "What was made so far is kept.";

/** What the server puts in place of the message of an error it does not know. */
const MASKED = "An internal error occurred";

/** Reads the error of a failed run: its class and its message. */
export function ofRun(name: string, message: string): Problem {
  const hint = HINTS[name] ?? "The server's log says more.";
  if (message === MASKED || message.trim() === "") {
    return { message: `The run failed on the server (${name || "no reason given"}).`, hint };
  }
  return { message, hint: `${hint} ${KEPT}` };
}

/** Reads what a state's failed task says: `GenerationError('…')`, the error's repr. */
export function ofTask(said: string): Problem {
  const found = /^([A-Za-z_.]+)\((['"])([\s\S]*)\2,?\)$/.exec(said.trim());
  if (!found) return ofRun("", said);
  const text = (found[3] ?? "").replace(/\\(['"\\])/g, "$1").replace(/\\n/g, "\n");
  return ofRun((found[1] ?? "").split(".").at(-1) ?? "", text);
}

/** Reads whatever a request to the server threw. */
export function ofRequest(error: unknown): Problem {
  if (isRefusal(error)) return ofStatus(error.status, error.text);
  const text = error instanceof Error ? error.message : String(error);
  if (/fetch|network|connect/i.test(text)) {
    return {
      message: "The server can't be reached.",
      hint: "Is it still running? A run that has begun goes on there.",
    };
  }
  return { message: text, hint: "" };
}

/** The SDK throws an `HTTPError` for an error status, and does not export the class. */
function isRefusal(error: unknown): error is Error & { status: number; text: string } {
  if (!(error instanceof Error)) return false;
  const found = error as { status?: unknown; text?: unknown };
  return typeof found.status === "number" && typeof found.text === "string";
}

function ofStatus(status: number, text: string): Problem {
  let said = text;
  try {
    const body: unknown = JSON.parse(text);
    const detail = (body as Record<string, unknown>)["detail"];
    if (typeof detail === "string") said = detail;
  } catch {
    // Not JSON: its text is shown.
  }
  if (status === 401) return { message: said, hint: "Give your key." };
  if (status === 403) return { message: said, hint: "Your key does not allow it." };
  if (status === 404) {
    return { message: "There is no such thread.", hint: "It was deleted, or it is somebody else's." };
  }
  if (status === 409) {
    return { message: said, hint: "Another run is at work on this thread; wait for it or stop it." };
  }
  return { message: said || `The server answered ${status}.`, hint: "" };
}
