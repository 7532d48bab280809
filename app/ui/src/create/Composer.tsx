import { useEffect, useMemo, useRef, useState } from "react";
import type { FormEvent, KeyboardEvent } from "react";

import type { Settings } from "../records";
import { SettingsForm } from "../settings/SettingsForm";
import { settingsOf } from "../settings/schema";
import type { Assistants } from "../settings/useAssistants";

/** A prompt that was chosen elsewhere; each choice is an object of its own. */
export interface Draft {
  text: string;
}

/** What was typed; it outlives the composer, so that a look at the skills or a login loses nothing. */
export interface Typed {
  prompt: string;
  entered: Record<string, string>;
}

interface Props {
  typed: Typed;
  assistants: Assistants;
  running: boolean;
  stopping: boolean;
  /** The prompt of the open thread. */
  prompt: string;
  thread: string | null;
  draft: Draft | null;
  onGenerate: (prompt: string, settings: Settings, assistant: string) => void;
  onStop: () => void;
}

/** The prompt and the settings of the next run. */
export function Composer(props: Props) {
  const { typed, assistants, running, stopping, thread, draft, onGenerate, onStop } = props;
  const [prompt, setPrompt] = useState(typed.prompt);
  const [chosen, setChosen] = useState("");
  const [entered, setEntered] = useState(typed.entered);
  const form = useRef<HTMLFormElement>(null);
  const settings = useRef<HTMLDetailsElement>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const preset = assistants.presets.find((item) => item.id === chosen) ?? assistants.presets[0];
  const fields = useMemo(() => preset?.fields ?? [], [preset]);

  // An opened thread shows its prompt, to be changed and run anew; what was typed is not lost to
  // the first checkpoint of the run it started.
  const shown = useRef<string | null>(null);
  useEffect(() => {
    if (shown.current === thread) return;
    if (thread === null) {
      shown.current = null;
      setPrompt("");
    } else if (props.prompt !== "") {
      shown.current = thread;
      setPrompt(props.prompt);
    }
  }, [thread, props.prompt]);

  useEffect(() => {
    if (draft === null) return;
    setPrompt(draft.text);
    box.current?.focus();
  }, [draft]);

  useEffect(() => {
    Object.assign(typed, { prompt, entered });
  }, [typed, prompt, entered]);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (running || prompt.trim() === "" || preset === undefined) return;
    // The image is what counts now.
    if (settings.current !== null) settings.current.open = false;
    onGenerate(prompt.trim(), settingsOf(fields, entered), preset.id);
  }

  function onKey(event: KeyboardEvent) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
  }

  return (
    <form className="composer card" ref={form} onSubmit={submit}>
      <label htmlFor="prompt">Prompt</label>
      <textarea
        id="prompt"
        ref={box}
        rows={2}
        dir="auto"
        maxLength={20_000}
        placeholder="Three red cubes to the left of a blue ball, under a sign that says OPEN"
        value={prompt}
        onChange={(event) => setPrompt(event.target.value)}
        onKeyDown={onKey}
      />
      <div className="composer-row">
        <SettingsForm
          disclosure={settings}
          fields={fields}
          entered={entered}
          presets={assistants.presets}
          preset={preset?.id ?? ""}
          onPreset={setChosen}
          onChange={(name, value) => setEntered((before) => ({ ...before, [name]: value }))}
          onReset={() => setEntered({})}
        />
        {running ? (
          <button type="button" className="primary" onClick={onStop} disabled={stopping}>
            {stopping ? "Stopping" : "Stop"}
          </button>
        ) : (
          <button
            type="submit"
            className="primary"
            disabled={prompt.trim() === "" || preset === undefined}
          >
            Generate
          </button>
        )}
      </div>
    </form>
  );
}
